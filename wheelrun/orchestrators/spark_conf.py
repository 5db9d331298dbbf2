"""What a run asks of Spark, as Spark's own settings: resources with their units converted, environment, code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from wheelrun.config.units import parse_size
from wheelrun.deployment import StepSpec
from wheelrun.errors import ConfigurationError
from wheelrun.runtime.masking import is_secret
from wheelrun.step_settings import Resources

CODE = "wheelrun_code"
"""What the folders are called into which executors unpack the code: this name and a number."""


def mebibytes(size: Any) -> str:
    """Return a size as the JVM writes it: "8GiB" is "8192m". The JVM's own letters mean powers of 1024.

    Raises:
        ConfigurationError: it is no size, or less than a mebibyte.
    """
    amount = parse_size(size) // 2**20
    if amount < 1:
        raise ConfigurationError(f"{size!r} is less than a mebibyte")
    return f"{amount}m"


def whole(number: float) -> str:
    """Return a number of cores as Spark takes it.

    Raises:
        ConfigurationError: it is not a whole one.
    """
    if number != int(number) or number < 1:
        raise ConfigurationError(f"Spark takes whole cores, not {number:g}")
    return str(int(number))


SETTINGS: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "cpu_count": ("spark.driver.cores", whole),
    "memory": ("spark.driver.memory", mebibytes),
    "executors": ("spark.executor.instances", whole),
    "executor_cpu_count": ("spark.executor.cores", whole),
    "executor_memory": ("spark.executor.memory", mebibytes),
    "gpu_count": ("spark.driver.resource.gpu.amount", whole),
}
"""A field of `Resources` -> Spark's setting for it, and how its value is written."""


def together(steps: Iterable[StepSpec]) -> Resources:
    """Return what all steps need that share an application: the most that any of them asks for, field by field."""
    most: dict[str, Any] = {}
    for spec in steps:
        for name in Resources.__dataclass_fields__:
            value = getattr(spec.resources, name)
            if value is not None and (name not in most or _amount(value) > _amount(most[name])):
                most[name] = value
    return Resources(**most)


def resource_conf(resources: Resources, *, honoured: Sequence[str], target: str) -> dict[str, str]:
    """Return resources as Spark's settings.

    Args:
        resources: What is asked for.
        honoured: The fields that the target's master honours.
        target: The target's name, for the message.

    Raises:
        ConfigurationError: a field is set that is not honoured, or that Spark does not take.
    """
    conf = {}
    for name, (key, written) in SETTINGS.items():
        value = getattr(resources, name)
        if value is None:
            continue
        if name not in honoured:
            raise ConfigurationError(
                f"target {target!r} cannot honour {name} = {value!r}",
                hint=f"remove it from the step's resources; it honours {', '.join(honoured) or 'none'}",
            )
        try:
            conf[key] = written(value)
        except ConfigurationError as error:
            raise ConfigurationError(f"a step's {name}: {error.message}", hint=error.hint) from None
    return conf


def by_cores(asked: Mapping[str, str]) -> dict[str, str]:
    """Return settings for a standalone cluster, which counts not executors but the cores that they have in all."""
    conf = dict(asked)
    executors = conf.pop("spark.executor.instances", None)
    if executors is not None:
        each = conf.setdefault("spark.executor.cores", "1")
        conf["spark.cores.max"] = str(int(executors) * int(each))
    return conf


def executor_environment(environment: Mapping[str, str], code: Sequence[str]) -> dict[str, str]:
    """Return the settings that give executors the run's environment variables, and the code's folders as their path.

    Args:
        environment: The run's environment variables.
        code: The archives that executors unpack.
    """
    conf = {f"spark.executorEnv.{name}": value for name, value in environment.items()}
    path = [f"{CODE}_{number}" for number in range(len(code))]
    if given := environment.get("PYTHONPATH"):
        path.append(given)
    conf["spark.executorEnv.PYTHONPATH"] = ":".join(path)
    return conf


def archives(code: Sequence[str], given: str = "") -> str:
    """Return `spark.archives` for the code's archives, each unpacked under a name of its own, and what was given.

    Args:
        code: Where the archives lie, as the cluster names it.
        given: The user's own value of the setting.
    """
    own = [f"{place}#{CODE}_{number}" for number, place in enumerate(code)]
    return ",".join([*own, *([given] if given else [])])


def split(conf: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the settings that may be on a command line, and those that are secret."""
    shown = {name: value for name, value in conf.items() if not is_secret(name)}
    return shown, {name: value for name, value in conf.items() if name not in shown}


def _amount(value: Any) -> float:
    return float(parse_size(value) if isinstance(value, str) else value)


def agree(conf: Mapping[str, str], own: Mapping[str, tuple[str, str]], *, target: str) -> None:
    """Refuse Spark settings that contradict the target's own keys, which stand for them.

    Args:
        conf: Spark settings.
        own: The key that stands for a setting, and its value.
        target: The target's name, for the message.

    Raises:
        ConfigurationError: one says another thing.
    """
    for setting, (key, value) in own.items():
        if conf.get(setting, value) != value:
            raise ConfigurationError(
                f"target {target!r}: {setting} = {conf[setting]!r} is at odds with {key} = {value!r}",
                hint=f"set {key} alone",
            )
