"""Where a worker's Spark session comes from: a JVM of its own, the one that started it, or a Connect server.

A session is made ready before the user's code asks for it, so that what it does to start (boot a JVM, send code to a
server) is done while that code is imported.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError
from wheelrun.runtime.connect import RemoteSession
from wheelrun.runtime.driver import java
from wheelrun.runtime.launch import Launch
from wheelrun.runtime.session import JVM_LOST, Gateway, jvm_is_alive, stop_session, write_conf_dir
from wheelrun.runtime.ticket import SECRET_CONF_VARIABLE


class Session(Protocol):
    """The Spark of one worker process.

    Attributes:
        lost: What has happened when it is not alive any more ("the JVM died"), and what to do.
    """

    lost: ClassVar[tuple[str, str]]

    def ready(self) -> None:
        """Wait until code that asks for a session gets one; the first call waits."""

    def is_alive(self) -> bool:
        """Whether what runs the session's jobs is still there, as far as this process can see."""

    def close(self) -> None:
        """Stop the application."""


class OwnJvm:
    """A JVM that this process starts: ahead, if Spark is sure to be wanted, else when the user's code does.

    Raises:
        ConfigurationError: Spark is wanted, and there is none or no Java for it.
    """

    lost: ClassVar = JVM_LOST

    def __init__(self, launch: Launch, deployment: Deployment, tell: Callable[[str], None]) -> None:
        del tell
        self._gateway: Gateway | None = None
        if prepare_spark(launch, wanted=deployment.uses_spark) and deployment.uses_spark:
            self._gateway = Gateway(os.environ, Path(launch.scratch))
            # the import takes as long as a part of the JVM's start, so the two go side by side
            threading.Thread(target=_import_pyspark, daemon=True).start()

    def ready(self) -> None:
        """Wait until the JVM listens."""
        if self._gateway is not None:
            self._gateway.ready()

    def is_alive(self) -> bool:
        """Whether the JVM runs."""
        return jvm_is_alive(self._gateway)

    def close(self) -> None:
        """Stop the application, and the JVM."""
        if self.is_alive():
            stop_session()
        if self._gateway is not None:
            self._gateway.close()


class GivenJvm:
    """The JVM of spark-submit, which started this process and ends with it.

    A worker that follows one that died finds that one's application in the JVM, and stops it first.
    """

    lost: ClassVar = JVM_LOST

    def __init__(self, launch: Launch, deployment: Deployment, tell: Callable[[str], None]) -> None:
        del launch, deployment, tell
        self._used = PREVIOUS_WORKER in os.environ

    def ready(self) -> None:
        """Give the JVM the settings that are secret, and make sure that it has no application of a worker that died."""
        secret = json.loads(os.environ.pop(SECRET_CONF_VARIABLE, "{}"))
        for name, value in secret.items():
            java().java.lang.System.setProperty(name, value)
        if self._used:
            self._used = False
            _stop_application_left()

    def is_alive(self) -> bool:
        """Whether the JVM still listens."""
        try:
            with socket.create_connection(("127.0.0.1", int(os.environ["PYSPARK_GATEWAY_PORT"])), timeout=5):
                return True
        except ConnectionError:
            return False
        except (OSError, KeyError):  # it is slow, or is reached in another way
            return True

    def close(self) -> None:
        """Stop the application."""
        with contextlib.suppress(Exception):  # the JVM may have ended it already
            stop_session()


PREVIOUS_WORKER = "_WHEELRUN_PREVIOUS_WORKER"
"""Set by the supervisor for a worker that follows one that died."""

SESSIONS: Mapping[str, Callable[[Launch, Deployment, Callable[[str], None]], Session]] = {
    "own": OwnJvm,
    "apart": OwnJvm,
    "given": GivenJvm,
    "remote": RemoteSession,
}
"""The kinds of session by their names in a launch; each is given what tells a remark to the user."""


def prepare_spark(launch: Launch, *, wanted: bool) -> bool:
    """Set the environment for a JVM, whoever starts it: ahead by us, or late by code that did not show that it will.

    Args:
        launch: The run's launch.
        wanted: Whether a JVM is sure to be wanted.

    Returns:
        Whether one may be started.

    Raises:
        ConfigurationError: one is wanted, and there is no Spark or no Java for it.
    """
    from wheelrun.runtime.java import find_java, find_spark, java_environment

    if "SPARK_REMOTE" in os.environ:
        return False
    try:
        java = find_java(os.environ, cache=Path(launch.cache_dir))
    except ConfigurationError:
        if wanted:
            raise
        return False
    os.environ.update(java_environment(java))
    scratch = Path(launch.scratch)
    inherited = Path(os.environ.get("SPARK_CONF_DIR") or find_spark(os.environ).home / "conf")
    os.environ["SPARK_CONF_DIR"] = str(write_conf_dir(scratch / "conf", launch.conf, inherited=inherited))
    if "spark.local.dir" not in launch.conf:
        os.environ.setdefault("SPARK_LOCAL_DIRS", str(scratch))
    return True


def _import_pyspark() -> None:
    import pyspark.sql  # noqa: F401


def _stop_application_left() -> None:
    companion = getattr(getattr(java(), "org.apache.spark.SparkContext$"), "MODULE$")  # a Scala object
    active = companion.getActive()
    if active.isDefined():
        active.get().stop()
