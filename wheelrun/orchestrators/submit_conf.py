"""The Spark settings of a run that spark-submit starts. Pure, but for a look into the user's properties file."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence

from wheelrun.config import Stack
from wheelrun.config.masters import is_loopback
from wheelrun.deployment import StepSpec
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.shipment import Shipment
from wheelrun.orchestrators.spark_conf import agree, archives, by_cores, executor_environment, resource_conf, together
from wheelrun.orchestrators.submit_masters import LOOPBACK, SubmitConfig

_OWN = {"spark.master": "master", "spark.submit.deployMode": "deploy_mode"}
"""Spark settings that keys of the target stand for."""

_GPU_SCRIPT = "spark.driver.resource.gpu.discoveryScript"


def submit_conf(
    config: SubmitConfig, shipment: Shipment, stack: Stack, places: Sequence[str], *, target: str
) -> dict[str, str]:
    """Return the run's Spark settings, secrets included.

    Args:
        config: The target's keys.
        shipment: What travels.
        stack: The target.
        places: Where spark-submit finds the code's archives.
        target: The target's name, for messages.

    Raises:
        ConfigurationError: a setting cannot be honoured, or is at odds with another.
    """
    agree(stack.conf, {setting: (key, getattr(config, key)) for setting, key in _OWN.items()}, target=target)
    conf = {
        **config.kind.conf,
        **(LOOPBACK if is_loopback(config.master) else {}),
        "spark.app.name": shipment.deployment.name,
        "spark.ui.showConsoleProgress": "false",
        **resources(config, shipment.deployment.steps, stack.conf, target),
        **pythons(config, stack.environment),
        **_environment(config, stack.environment, shipment.code),
        **stack.conf,
    }
    if not config.kind.zips:
        conf["spark.archives"] = archives(places, stack.conf.get("spark.archives") or _given(config, "spark.archives"))
    return shipment.quiet(conf) if config.on_cluster else conf


def pythons(config: SubmitConfig, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the settings for the Python of driver and executors.

    Where nobody says which, it is `python3`; on this machine it is this Python.
    """
    said = config.python or environment.get("PYSPARK_PYTHON")
    here = config.kind.name == "local-cluster" or is_loopback(config.master)
    executors = said or (sys.executable if here else "python3")
    driver = config.python or environment.get("PYSPARK_DRIVER_PYTHON") or said
    driver = driver or ("python3" if config.on_cluster else sys.executable)
    settings = {"spark.pyspark.python": executors}
    return settings if driver == executors else {**settings, "spark.pyspark.driver.python": driver}


def resources(config: SubmitConfig, steps: Sequence[StepSpec], conf: Mapping[str, str], target: str) -> dict[str, str]:
    """Return the settings for what steps ask for that share an application.

    Args:
        config: The target's keys.
        steps: The steps.
        conf: The target's Spark settings.
        target: The target's name, for messages.

    Raises:
        ConfigurationError: the master cannot honour it.
    """
    asked = resource_conf(together(steps), honoured=config.honoured, target=target)
    if config.kind.name == "standalone":
        asked = by_cores(asked)
    if "spark.driver.resource.gpu.amount" in asked:
        if _GPU_SCRIPT not in conf and not _given(config, _GPU_SCRIPT):
            raise ConfigurationError(
                f"target {target!r} cannot honour gpu_count: Spark is not told how a driver finds its GPUs",
                hint=f"set {_GPU_SCRIPT} in the target's conf",
            )
        if config.kind.name == "kubernetes":
            asked["spark.driver.resource.gpu.vendor"] = "nvidia.com"
    return asked


def _environment(config: SubmitConfig, environment: Mapping[str, str], code: Sequence[str]) -> dict[str, str]:
    """Return the settings that give executors, and a driver on the cluster, the run's environment variables."""
    conf = {f"spark.executorEnv.{name}": value for name, value in environment.items()}
    if not config.kind.zips:
        conf |= executor_environment(environment, code)
    if config.on_cluster:
        conf |= {f"{config.kind.environment}{name}": value for name, value in environment.items()}
    return conf


def _given(config: SubmitConfig, setting: str) -> str:
    """Return what the user's properties file says of a setting, empty if nothing."""
    if config.properties_file is None:
        return ""
    text = config.properties_file.read_text(encoding="utf-8", errors="replace")
    found = re.findall(rf"(?m)^[ \t]*{re.escape(setting)}[ \t]*[ \t=:][ \t]*(.*?)[ \t]*$", text)
    return str(found[-1]) if found else ""
