"""What a cluster's specification makes of Spark's settings and of the environment of its tasks. Pure but for Java."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelrun.emulator.compute.runtimes import NODES, Node, runtime_of
from wheelrun.errors import ConfigurationError
from wheelrun.runtime.java import find_java, java_environment

MOST_CORES = 64
"""The most threads that a cluster's Spark has, however many cores its nodes have."""

SERVERLESS = Node(cores=4, memory=16384)
"""What a serverless environment runs on."""

LEAST_MEMORY = 1024
"""MiB that a cluster's Spark has at least: what Spark has by default."""

_INHERITED = re.compile(
    r"PATH|LANG|LC_\w+|TZ|USER|LOGNAME|JAVA_HOME|JDK_JAVA_OPTIONS|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|(?:https?|no|all)_proxy",
    re.IGNORECASE,
)
_LOCAL_MASTER = re.compile(r"local\[\*(.*)\]")
_HOST = "127.0.0.1"


def cores(spec: Mapping[str, Any]) -> int:
    """Return the cores of a cluster's workers, or of its driver where it has none."""
    workers = spec["autoscale"].get("min_workers") if "autoscale" in spec else spec.get("num_workers")
    return min(_node(spec).cores * max(workers or 0, 1), MOST_CORES)


def memory(spec: Mapping[str, Any], *, here: int) -> int:
    """Return the MiB of a cluster's Spark: half of a node's memory, and no more than a quarter of what is here.

    Args:
        spec: The cluster's specification.
        here: The memory of this machine in MiB.
    """
    return max(min(_node(spec).memory // 2, here // 4), LEAST_MEMORY)


def _node(spec: Mapping[str, Any]) -> Node:
    return NODES.get(spec.get("node_type_id") or "", SERVERLESS)


def _memory_here() -> int:
    return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20)


def spark_conf(spec: Mapping[str, Any], conf: Mapping[str, str], *, master: str | None, disk: str) -> dict[str, str]:
    """Return the settings of a cluster's Spark.

    Args:
        spec: The cluster's specification.
        conf: Its `spark_conf`, secrets resolved.
        master: The master of a standalone cluster; None for Spark in one JVM.
        disk: A folder for its data.
    """
    count = cores(spec)
    where = {"spark.cores.max": str(count)} if master is not None else {}
    settings = {
        "spark.app.name": "Databricks Shell",
        "spark.driver.bindAddress": _HOST,
        "spark.driver.host": _HOST,
        "spark.driver.memory": f"{memory(spec, here=_memory_here())}m",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.defaultJavaOptions": f"-Djava.io.tmpdir={Path(disk, 'tmp')}",
        "spark.sql.warehouse.dir": f"file:{disk}/warehouse",
        **where,
        **{name: str(value) for name, value in conf.items()},
    }
    given = _LOCAL_MASTER.fullmatch(settings.get("spark.master", ""))
    settings["spark.master"] = master or f"local[{count}{given[1] if given else ''}]"
    return settings


def environment(
    spec: Mapping[str, Any], variables: Mapping[str, str], *, inherited: Mapping[str, str], cache: Path
) -> dict[str, str]:
    """Return the environment of a cluster's tasks, without what depends on where its files lie.

    Args:
        spec: The cluster's specification.
        variables: Its `spark_env_vars`, secrets resolved.
        inherited: The emulator's environment; only what says where programs and the network are is taken over.
        cache: Where a shim for a Java that lacks a module is kept.
    """
    kept = {name: value for name, value in inherited.items() if _INHERITED.fullmatch(name)}
    runtime = runtime_of(spec.get("spark_version", ""))
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **kept,
        **_java(inherited, cache),
        "SPARK_LOCAL_IP": _HOST,
        "SPARK_SCALA_VERSION": runtime.scala[-1] if runtime else "2.13",
        **({"DATABRICKS_RUNTIME_VERSION": runtime.name} if runtime else {}),
        **variables,
    }


def _java(environ: Mapping[str, str], cache: Path) -> dict[str, str]:
    try:
        return java_environment(find_java(environ, cache=cache))
    except ConfigurationError:
        return {}  # a task that starts no Spark needs none, and one that does is told by Spark
