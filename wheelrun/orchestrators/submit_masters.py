"""What the masters that spark-submit knows can do, and the settings of a target that uses one of them."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.orchestrators.process import ProcessConfig
from wheelrun.orchestrators.shipment import ShipmentConfig

_CONNECT_TIMEOUT = 5.0
_EXECUTORS = ("executors", "executor_cpu_count", "executor_memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of master.

    Attributes:
        name: What it is called.
        form: The form of its masters.
        client: The fields of `Resources` that it honours when the driver is on this machine.
        cluster: Likewise when the driver is on the cluster; None where a Python driver cannot be.
        no_cluster: What to do instead, where a Python driver cannot be on the cluster.
        zips: Whether executors get the code by `--py-files`, and not by archives that they unpack.
        reader: Who reads what spark-submit says (`wheelrun.runtime.submit_output.READERS`).
        environment: What stands before the name of an environment variable of a driver on the cluster.
        keys: The keys of the configuration that it alone knows.
        conf: Spark settings below the target's.
    """

    name: str
    form: str
    client: tuple[str, ...]
    cluster: tuple[str, ...] | None = None
    no_cluster: str | None = None
    zips: bool = False
    reader: str = ""
    environment: str = ""
    keys: frozenset[str] = frozenset()
    conf: Mapping[str, str] = field(default_factory=dict)


LOOPBACK: Mapping[str, str] = {
    "spark.ui.enabled": "false",  # its port is open to the network and takes a second to start
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
"""Spark settings where driver and executors are on this machine."""

KINDS: tuple[Kind, ...] = (
    Kind(
        name="local-cluster",
        form=r"local-cluster\[\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\]",
        client=("memory",),  # how many executors there are, and how large, is in the brackets
        no_cluster="leave deploy_mode out",
        conf=LOOPBACK,
    ),
    Kind(
        name="standalone",
        form=r"spark://[^,\s]+:\d+(,[^,\s]+:\d+)*",
        client=("memory", *_EXECUTORS),
        no_cluster='use orchestrator = "spark-standalone", which runs Python drivers on the cluster',
        keys=frozenset({"proxy_user"}),
    ),
    Kind(
        name="yarn",
        form=r"yarn",
        client=("memory", *_EXECUTORS),
        cluster=("cpu_count", "memory", "gpu_count", *_EXECUTORS),
        zips=True,
        reader="yarn",
        environment="spark.yarn.appMasterEnv.",
        keys=frozenset({"queue", "proxy_user", "principal", "keytab"}),
        conf={"spark.yarn.maxAppAttempts": "1"},  # a run that failed is taken up by resume, not by YARN
    ),
    Kind(
        name="kubernetes",
        form=r"k8s://\S+",
        client=("memory", *_EXECUTORS),
        cluster=("cpu_count", "memory", "gpu_count", *_EXECUTORS),
        zips=True,
        reader="kubernetes",
        environment="spark.kubernetes.driverEnv.",
        keys=frozenset({"proxy_user", "principal", "keytab"}),
    ),
)


def kind_of(master: str) -> Kind | None:
    """Return the kind of a master, None if it is none of those."""
    return next((kind for kind in KINDS if re.fullmatch(kind.form, master)), None)


class SubmitConfig(ProcessConfig, ShipmentConfig):
    """The settings of a target that spark-submit reaches."""

    master: str = Field(description="yarn, k8s://https://host:6443, local-cluster[2,1,1024], or spark://host:7077")
    deploy_mode: Literal["client", "cluster"] = Field(
        default="client", description="Whether the driver runs on this machine or on the cluster"
    )
    python: str | None = Field(
        default=None,
        description="The Python of driver and executors; by default python3, and wheelrun's own on this machine",
    )
    submit_command: str | None = Field(
        default=None, description="The spark-submit; by default the one of SPARK_HOME or of the pyspark package"
    )
    properties_file: Path | None = Field(
        default=None, description="Spark settings below the target's, in the place of conf/spark-defaults.conf"
    )
    packages: tuple[str, ...] = Field(default=(), description="Maven coordinates of further jars: group:name:version")
    jars: tuple[str, ...] = Field(default=(), description="Further jars for driver and executors")
    files: tuple[str, ...] = Field(default=(), description="Files for the working directory of each executor")
    queue: str | None = Field(default=None, description="YARN's queue")
    proxy_user: str | None = Field(default=None, description="The user that the application runs as")
    principal: str | None = Field(default=None, description="The Kerberos principal; needs keytab")
    keytab: Path | None = Field(default=None, description="The file with the principal's key")

    @field_validator("master")
    @classmethod
    def _is_master(cls, value: str) -> str:
        if re.fullmatch(r"local(\[.*\])?", value):
            raise ValueError('orchestrator = "local" runs on this machine')
        if kind_of(value) is None:
            raise ValueError("a master is yarn, k8s://…, local-cluster[executors,cores,MiB], or spark://host:port")
        return value

    def anchored(self, folder: Path) -> SubmitConfig:
        """Return it with every file named in full: a relative one lies below a folder."""
        changes: dict[str, Any] = {key: tuple(_full(place, folder) for place in getattr(self, key)) for key in _PLACES}
        for key in ("properties_file", "keytab"):
            if (path := getattr(self, key)) is not None:
                changes[key] = Path(_full(str(path), folder))
        return self.model_copy(update=changes)

    @property
    def kind(self) -> Kind:
        """The kind of its master."""
        found = kind_of(self.master)
        assert found is not None
        return found

    @property
    def on_cluster(self) -> bool:
        """Whether the driver runs on the cluster."""
        return self.deploy_mode == "cluster"

    @property
    def honoured(self) -> tuple[str, ...]:
        """The fields of `Resources` that its master honours."""
        return (self.kind.cluster or ()) if self.on_cluster else self.kind.client


def check(config: SubmitConfig, *, target: str) -> None:
    """Refuse settings that a master cannot honour, or that cannot stand together.

    Args:
        config: The target's keys.
        target: The target's name, for messages.

    Raises:
        ConfigurationError: there is one.
    """
    kind, where = config.kind, f"target {target!r}"
    if config.on_cluster and kind.cluster is None:
        raise ConfigurationError(
            f"{where}: master {config.master} runs no Python driver with deploy_mode = 'cluster'", hint=kind.no_cluster
        )
    for key in ("queue", "proxy_user", "principal", "keytab"):
        if getattr(config, key) is not None and key not in kind.keys:
            raise ConfigurationError(
                f"{where}: master {config.master} cannot honour {key} = {str(getattr(config, key))!r}",
                hint=f"remove it, or set master to one that can: {', '.join(_that_know(key))}",
            )
    if config.proxy_user and config.principal:
        raise ConfigurationError(f"{where}: proxy_user and principal exclude each other", hint="remove one of them")
    if (config.principal is None) != (config.keytab is None):
        raise ConfigurationError(f"{where}: principal and keytab belong together", hint="give both, or none")
    if config.isolation == "step" and config.on_cluster:
        raise ConfigurationError(
            f"{where}: a driver on master {config.master} starts no further applications",
            hint="set isolation = 'pipeline', or deploy_mode = 'client'",
        )
    _check_files(config, where)


def reach(master: str) -> None:
    """Refuse a standalone cluster of which no Master answers: Spark would try for a minute, and then not say so."""
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT):
                return
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
    raise ClusterError(f"no master of {master} answers ({'; '.join(reasons)})", hint="is it up, and is the port right?")


_PLACES = ("jars", "files")


def _that_know(key: str) -> list[str]:
    return [kind.name for kind in KINDS if key in kind.keys]


def _check_files(config: SubmitConfig, where: str) -> None:
    named: dict[str, Any] = {"properties_file": (config.properties_file,), "keytab": (config.keytab,)}
    named |= {key: getattr(config, key) for key in _PLACES}
    for key, values in named.items():
        for value in values:
            if value is not None and not _is_there(str(value)):
                raise ConfigurationError(f"{where}: {key} names {str(value)!r}, which is not a file")


def _is_there(place: str) -> bool:
    path = Path(place.partition("#")[0])
    return _is_elsewhere(place) or "*" in path.name or path.is_file()


def _is_elsewhere(place: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", place) is not None


def _full(place: str, folder: Path) -> str:
    return place if _is_elsewhere(place) else str(folder.absolute() / Path(place).expanduser())
