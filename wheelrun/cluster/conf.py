"""What each part of the cluster is told: its command, its configuration and its environment. Pure.

Nothing secret is on a command line; and nothing of the person's own Spark settings reaches the cluster, as it would not
reach one on other machines. A driver that runs on a worker, and every executor, inherits the worker's environment: what
is said there to the workers holds for the jobs too.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from wheelrun.cluster.folder import CONNECT, MASTER, Folder, State
from wheelrun.cluster.sizes import CONNECT_CORES, CONNECT_MEMORY

CLUSTER_VARIABLE = "WHEELRUN_CLUSTER"
"""The cluster's folder, in the environment of each of its processes."""
PART_VARIABLE = "WHEELRUN_CLUSTER_PART"
"""The part by which, or below which, a process runs."""

_HOST = "127.0.0.1"
_FILTER = "org.apache.spark.ui.JWSFilter"
_NOT_INHERITED = ("SPARK_", "_SPARK_", "PYSPARK_", "WHEELRUN_")
_PYTHON_PATHS = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")
_SMALL_JAVA = "-XX:+UseSerialGC"
_QUICK_JAVA = f"{_SMALL_JAVA} -XX:TieredStopAtLevel=1"
"""How the Master, the workers and the Connect server run: they start with two thirds of the work."""
_RECOVERY_TIMEOUT = 20  # seconds that a new Master waits for the applications of the one that died


def kind_of(part: str) -> str:
    """Return which configuration a part has: the workers share one."""
    return part if part in (MASTER, CONNECT) else "worker"


def command(part: str, state: State, folder: Folder) -> list[str]:
    """Return the arguments of `spark-class` that start a part."""
    if part == MASTER:
        ports = ["--port", str(state.ports["master"]), "--webui-port", str(state.ports["web"])]
        return ["org.apache.spark.deploy.master.Master", "--host", _HOST, *ports]
    if part == CONNECT:
        server = "org.apache.spark.sql.connect.service.SparkConnectServer"
        return ["org.apache.spark.deploy.SparkSubmit", "--class", server, "spark-internal"]
    size = state.size
    return [
        *("org.apache.spark.deploy.worker.Worker", "--host", _HOST, "--webui-port", str(state.ports[part])),
        *("--cores", str(size.cores), "--memory", f"{size.memory}m", "--work-dir", str(folder.work(part))),
        *("--properties-file", str(folder.conf("worker") / "daemon.conf"), state.master),
    ]


def master_conf(state: State, folder: Folder, key: str | None) -> dict[str, str]:
    """Return the Master's configuration.

    Args:
        state: The cluster.
        folder: Its folder.
        key: The key of the REST gateway; None if this Spark cannot ask for one.
    """
    conf = {
        "spark.port.maxRetries": "0",  # on the next port nobody would look for it
        "spark.master.rest.enabled": "true",
        "spark.master.rest.host": _HOST,
        "spark.master.rest.port": str(state.ports["rest"]),
        "spark.deploy.maxDrivers": str(state.size.max_drivers),
        "spark.deploy.recoveryMode": "FILESYSTEM",
        "spark.deploy.recoveryDirectory": str(folder.recovery),
        "spark.deploy.recoveryTimeout": str(_RECOVERY_TIMEOUT),
    }
    if key is not None:
        # A page in a browser can send a job to a gateway that asks for nothing.
        conf |= {
            "spark.master.rest.filters": _FILTER,
            f"spark.{_FILTER}.param.secretKey": key,
            f"spark.{_FILTER}.param.requireExpiration": "true",
        }
    return conf


def worker_conf() -> dict[str, str]:
    """Return the configuration of a worker itself."""
    return {"spark.port.maxRetries": "0", "spark.worker.cleanup.enabled": "true"}


def driver_conf(state: State) -> dict[str, str]:
    """Return the configuration that a job on the cluster has where it says nothing."""
    return {
        "spark.driver.host": _HOST,
        "spark.driver.bindAddress": _HOST,
        "spark.ui.port": "0",  # by default Spark tries 17 ports, and the 18th driver fails
        "spark.executor.memory": f"{state.size.executor_memory}m",
    }


def connect_conf(state: State, token: str | None) -> dict[str, str]:
    """Return the configuration of the Connect server, an application on the cluster that leaves room for others."""
    conf = driver_conf(state) | {
        "spark.master": state.master,
        "spark.app.name": "Spark Connect server",
        "spark.port.maxRetries": "0",
        "spark.ui.port": str(state.ports["connect-web"]),
        "spark.cores.max": str(CONNECT_CORES),
        "spark.executor.cores": "1",
        "spark.executor.memory": f"{CONNECT_MEMORY}m",
        "spark.driver.defaultJavaOptions": _QUICK_JAVA,
        "spark.executor.defaultJavaOptions": _SMALL_JAVA,
        "spark.connect.grpc.binding.address": _HOST,
        "spark.connect.grpc.binding.port": str(state.ports["connect"]),
    }
    return conf if token is None else {**conf, "spark.connect.authenticate.token": token}


def environment(
    part: str, folder: Folder, inherited: Mapping[str, str], *, spark_home: str, java: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of a part.

    Args:
        part: Its name.
        folder: The cluster's folder.
        inherited: The person's environment; what is about Spark, wheelrun or where Python finds modules is left out.
        spark_home: The Spark that is started.
        java: What makes it take the right Java.
    """
    kept = {
        name: value
        for name, value in inherited.items()
        if not name.startswith(_NOT_INHERITED) and name not in _PYTHON_PATHS
    }
    return {
        **kept,
        **java,
        CLUSTER_VARIABLE: folder.mark,
        PART_VARIABLE: part,
        "SPARK_HOME": spark_home,
        "SPARK_CONF_DIR": str(folder.conf(kind_of(part))),
        "SPARK_DAEMON_JAVA_OPTS": _QUICK_JAVA,
        "SPARK_LOCAL_IP": _HOST,
        "SPARK_PUBLIC_DNS": _HOST,
        "SPARK_LOCAL_DIRS": str(folder.tmp),
        "SPARK_CONNECT_MODE": "0",
        "PYSPARK_PYTHON": sys.executable,
    }
