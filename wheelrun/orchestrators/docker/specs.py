"""What a step's container is started with: the target's settings and the step's resources, as the SDK's arguments."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wheelrun.config.units import parse_size
from wheelrun.deployment import StepSpec
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.docker.config import DockerConfig
from wheelrun.orchestrators.docker.engine import load_sdk
from wheelrun.orchestrators.docker.recipes import WORK
from wheelrun.step_settings import Resources

HONOURED = ("cpu_count", "memory", "gpu_count")
"""The fields of `Resources` that a container takes."""

_LEAST_MEMORY = 6 * 2**20
_HEAP = 0.6
"""The part of a container's memory that is the driver's heap: the rest is Python's, and the JVM's beside its heap."""


def container_spec(
    config: DockerConfig, step: StepSpec, *, root: Path, user: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    """Return the arguments for the SDK's `create`, but for image, command, name and environment.

    Args:
        config: The target's settings.
        step: The step.
        root: The artifact root, which is mounted at the same path.
        user: Who runs it.
        labels: Its labels.

    Raises:
        ConfigurationError: the step asks for something that a container does not have.
    """
    args = dict(config.run_args)
    spec: dict[str, Any] = {
        **args,
        **limits(step),
        "labels": {**args.get("labels", {}), **labels},
        "user": user,
        "init": config.init,
        "working_dir": config.working_directory or WORK,
        "volumes": _at_places([*map(_absolute, config.volumes), f"{root}:{root}"]),
    }
    if config.network is not None:
        spec["network_mode"] = config.network
    return spec


def check_run_args(args: Mapping[str, Any]) -> None:
    """Refuse further arguments that the SDK does not know, or does not take so.

    Raises:
        ConfigurationError: there is one.
    """
    sdk = load_sdk()
    of_host = {name: value for name, value in args.items() if name in sdk.models.containers.RUN_HOST_CONFIG_KWARGS}
    known = {*sdk.models.containers.RUN_CREATE_KWARGS, *of_host, "ports", "volumes"}
    for name in args:
        if name not in known:
            raise ConfigurationError(
                f"run_args: docker-py has no {name!r}", hint="its containers.run lists what there is"
            )
    try:
        sdk.types.HostConfig(version=sdk.constants.DEFAULT_DOCKER_API_VERSION, **of_host)
    except (TypeError, ValueError, sdk.errors.DockerException) as error:
        raise ConfigurationError(f"run_args: {error}", hint="its containers.run says how each is written") from error


def limits(step: StepSpec) -> dict[str, Any]:
    """Return a step's resources as the SDK's arguments.

    Raises:
        ConfigurationError: it asks for something that a container does not have.
    """
    found: dict[str, Any] = {}
    for name in Resources.__dataclass_fields__:
        value = getattr(step.resources, name)
        if value is not None and name not in HONOURED:
            raise ConfigurationError(
                f"step {step.name!r}: a container has no {name}",
                hint=f"remove it from the step's resources; containers honour {', '.join(HONOURED)}",
            )
    if step.resources.cpu_count is not None:
        found["nano_cpus"] = int(step.resources.cpu_count * 1e9)
    if (memory := memory_of(step)) is not None:
        found |= {"mem_limit": memory, "memswap_limit": memory}
    if step.resources.gpu_count:
        found["device_requests"] = [{"count": step.resources.gpu_count, "capabilities": [["gpu"]]}]
    return found


def memory_of(step: StepSpec) -> int | None:
    """Return how many bytes of memory a step asks for.

    Raises:
        ConfigurationError: it is no size, or less than an engine takes.
    """
    if step.resources.memory is None:
        return None
    memory = parse_size(step.resources.memory)
    if memory < _LEAST_MEMORY:
        raise ConfigurationError(f"step {step.name!r}: memory {step.resources.memory!r} is less than 6 MiB")
    return memory


def driver_conf(conf: Mapping[str, str], step: StepSpec) -> dict[str, str]:
    """Return a step's Spark settings: the driver's heap is a part of the container's memory, unless somebody set it."""
    memory = memory_of(step)
    if memory is None or "spark.driver.memory" in conf:
        return dict(conf)
    return {**conf, "spark.driver.memory": f"{int(memory * _HEAP) // 2**20}m"}


def default_user(*, rootless: bool) -> str:
    """Return the user whose files in the artifact root are the caller's own.

    Args:
        rootless: Whether the engine runs as the caller: to such a one, the caller is root.
    """
    return "0:0" if rootless else f"{os.getuid()}:{os.getgid()}"


def refuse_user(user: str, *, default: str) -> None:
    """Refuse a user who could not read the run's files, which are the caller's only.

    Args:
        user: Who is to run the steps.
        default: The user whose files they are in a container.

    Raises:
        ConfigurationError: it is another one, and not root.
    """
    uid = user.partition(":")[0]
    if uid.isdigit() and uid not in ("0", default.partition(":")[0]):
        raise ConfigurationError(
            f"user {user!r} could not read the run's files, which are yours only (user {default})",
            hint=f"leave the target's user out, or submit as user {uid}",
        )


def _at_places(volumes: Iterable[str]) -> list[str]:
    """Return volumes without those that another one, further behind, takes the place of."""
    return list({volume.split(":")[1].rstrip("/"): volume for volume in volumes}.values())


def _absolute(volume: str) -> str:
    """Return a volume whose folder of this machine is absolute; a plain word is the name of a volume."""
    source, _, rest = volume.partition(":")
    if "/" not in source and not source.startswith((".", "~")):
        return volume
    return f"{Path(source).expanduser().absolute()}:{rest}"
