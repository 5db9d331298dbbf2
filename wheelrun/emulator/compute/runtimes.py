"""What a cluster can be asked for: runtimes with the Python and Spark that each has, and types of nodes.

The emulator runs with the Python and Spark that it has; the table lets it say where those are others.
"""

from __future__ import annotations

import functools
import platform
import re
from dataclasses import dataclass

from wheelrun.errors import ConfigurationError
from wheelrun.runtime.java import find_spark


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A Databricks runtime.

    Attributes:
        name: Its version, "16.4".
        python: The Python's minor version that it has.
        spark: The Spark's.
        scala: The versions of Scala that it is offered with.
        lts: Whether it is supported for long.
    """

    name: str
    python: str
    spark: str
    scala: tuple[str, ...] = ("2.12",)
    lts: bool = False


RUNTIMES = {
    item.name: item
    for item in (
        Runtime(name="18.0", python="3.12", spark="4.1.0", scala=("2.13",)),
        Runtime(name="17.3", python="3.12", spark="4.0.0", scala=("2.13",), lts=True),
        Runtime(name="17.2", python="3.12", spark="4.0.0", scala=("2.13",)),
        Runtime(name="17.1", python="3.12", spark="4.0.0", scala=("2.13",)),
        Runtime(name="17.0", python="3.12", spark="4.0.0", scala=("2.13",)),
        Runtime(name="16.4", python="3.12", spark="3.5.2", scala=("2.12", "2.13"), lts=True),
        Runtime(name="16.3", python="3.12", spark="3.5.2"),
        Runtime(name="16.2", python="3.12", spark="3.5.2"),
        Runtime(name="16.1", python="3.12", spark="3.5.0"),
        Runtime(name="16.0", python="3.12", spark="3.5.0"),
        Runtime(name="15.4", python="3.11", spark="3.5.0", lts=True),
        Runtime(name="14.3", python="3.10", spark="3.5.0", lts=True),
        Runtime(name="13.3", python="3.10", spark="3.4.1", lts=True),
        Runtime(name="12.2", python="3.9", spark="3.3.2", lts=True),
        Runtime(name="11.3", python="3.9", spark="3.3.0", lts=True),
        Runtime(name="10.4", python="3.8", spark="3.2.1", lts=True),
    )
}
"""The runtimes, the newest first."""

_KEY = re.compile(r"(?P<name>\d+\.\d+)\.x(?P<kind>(?:-aarch64)?(?:-cpu|-gpu)?(?:-ml|-photon)?)-scala(?P<scala>2\.1\d)")


def runtime_of(spark_version: str) -> Runtime | None:
    """Return the runtime of a key such as "16.4.x-scala2.12"; None if there is none."""
    found = _KEY.fullmatch(spark_version)
    runtime = RUNTIMES.get(found["name"]) if found else None
    return runtime if found and runtime and found["scala"] in runtime.scala else None


def spark_versions() -> list[dict[str, str]]:
    """Return the keys and names of the runtimes, as the service lists them."""
    kinds = {"": "", "-photon": " Photon", "-cpu-ml": " ML"}
    return [
        {
            "key": f"{runtime.name}.x{kind}-scala{scala}",
            "name": f"{runtime.name}{' LTS' if runtime.lts else ''}{words} "
            f"(includes Apache Spark {runtime.spark}, Scala {scala})",
        }
        for runtime in RUNTIMES.values()
        for scala in runtime.scala
        for kind, words in kinds.items()
    ]


@functools.cache
def spark_here() -> str | None:
    """Return the version of the Spark that tasks get; None if there is none."""
    try:
        return find_spark({}).version
    except ConfigurationError:
        return None


def difference(runtime: Runtime) -> str:
    """Say where a runtime is another than what runs here, empty if nowhere."""
    here, spark = platform.python_version(), spark_here()
    parts = []
    if here.rpartition(".")[0] != runtime.python:
        parts.append(f"Python {here} in place of {runtime.python}")
    if spark is None or spark.split(".")[:2] != runtime.spark.split(".")[:2]:
        parts.append(f"Spark {spark} in place of {runtime.spark}" if spark else "no Spark")
    return f"The emulator runs {' and '.join(parts)}" if parts else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A type of node: its cores, its memory in MiB, and its GPUs, of which there are none here."""

    cores: int
    memory: int
    gpus: int = 0


NODES = {
    # AWS
    "m5d.large": Node(cores=2, memory=8192),
    "m5d.xlarge": Node(cores=4, memory=16384),
    "m5d.2xlarge": Node(cores=8, memory=32768),
    "m6gd.large": Node(cores=2, memory=8192),
    "m6gd.xlarge": Node(cores=4, memory=16384),
    "m6id.large": Node(cores=2, memory=8192),
    "m6id.xlarge": Node(cores=4, memory=16384),
    "r5d.large": Node(cores=2, memory=16384),
    "r5d.xlarge": Node(cores=4, memory=32768),
    "r6id.xlarge": Node(cores=4, memory=32768),
    "c5d.xlarge": Node(cores=4, memory=8192),
    "i3.xlarge": Node(cores=4, memory=31232),
    "i3.2xlarge": Node(cores=8, memory=62464),
    "i3.4xlarge": Node(cores=16, memory=124928),
    "rd-fleet.xlarge": Node(cores=4, memory=32768),
    "md-fleet.xlarge": Node(cores=4, memory=16384),
    "g5.xlarge": Node(cores=4, memory=16384, gpus=1),
    # Azure
    "Standard_DS3_v2": Node(cores=4, memory=14336),
    "Standard_DS4_v2": Node(cores=8, memory=28672),
    "Standard_DS5_v2": Node(cores=16, memory=57344),
    "Standard_D4ds_v5": Node(cores=4, memory=16384),
    "Standard_D8ds_v5": Node(cores=8, memory=32768),
    "Standard_E4ds_v5": Node(cores=4, memory=32768),
    "Standard_F4s": Node(cores=4, memory=8192),
    "Standard_L4s": Node(cores=4, memory=32768),
    "Standard_NC6s_v3": Node(cores=6, memory=114688, gpus=1),
    # GCP
    "n1-standard-4": Node(cores=4, memory=15360),
    "n2-standard-4": Node(cores=4, memory=16384),
    "n2-highmem-4": Node(cores=4, memory=32768),
    "n2-highmem-8": Node(cores=8, memory=65536),
    "n2d-standard-4": Node(cores=4, memory=16384),
    "e2-standard-4": Node(cores=4, memory=16384),
    "e2-highmem-4": Node(cores=4, memory=32768),
}
"""The types of nodes of all three clouds: nothing is rented here, so that none is out of reach."""


def node_types() -> list[dict[str, object]]:
    """Return the types of nodes, as the service lists them."""
    return [
        {
            "node_type_id": name,
            "instance_type_id": name,
            "node_instance_type": {"instance_type_id": name, "local_disks": 1, "local_disk_size_gb": 100},
            "description": name,
            "category": "General Purpose",
            "memory_mb": node.memory,
            "num_cores": float(node.cores),
            "num_gpus": node.gpus,
            "is_deprecated": False,
            "is_io_cache_enabled": True,
            "photon_driver_capable": True,
            "photon_worker_capable": True,
            "support_cluster_tags": True,
            "is_hidden": False,
        }
        for name, node in NODES.items()
    ]
