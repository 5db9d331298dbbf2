"""Spark in a task: that of its cluster, which all tasks share. A task is attached to it when it imports pyspark."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import signal
import sys
import threading
import types
from collections.abc import Sequence
from typing import Any

_PORT, _SECRET = "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"
_STOPPED = (
    "emulator: the task has stopped its session, and the cluster's Spark goes on; on the service it ends for all tasks "
    "of the cluster: do not stop it there\n"
)


class Attaching(importlib.abc.MetaPathFinder):
    """Attaches this process to the cluster's Spark once pyspark is imported.

    Args:
        channel: The descriptor of the socket at which the emulator gives a gateway.
    """

    def __init__(self, channel: int) -> None:
        self._channel = channel

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find pyspark as others do."""
        del path, target
        if fullname != "pyspark" or os.environ.keys() & {"SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED"}:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._channel)
        return spec


class _Loader(importlib.abc.Loader):
    def __init__(self, loader: Any, channel: int) -> None:
        self._loader, self._channel = loader, channel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        module: types.ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        spec = module.__spec__
        assert spec is not None
        spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        attach(gateway_of(self._channel))


def gateway_of(channel: int) -> dict[str, Any]:
    """Ask the emulator for a gateway.

    Raises:
        RuntimeError: the cluster's Spark cannot be started.
    """
    os.write(channel, b"open\n")
    with open(channel, encoding="utf-8", closefd=False) as stream:
        answer: dict[str, Any] = json.loads(stream.readline() or "{}")
    if "port" not in answer:
        raise RuntimeError("the cluster's Spark could not be started")
    return answer


def attach(gateway: dict[str, Any]) -> None:
    """Make the cluster's context, and a session of it, those of this process."""
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    os.environ[_PORT], os.environ[_SECRET] = str(gateway["port"]), gateway["secret"]
    try:
        opened = launch_gateway()
    finally:
        del os.environ[_PORT], os.environ[_SECRET]  # processes that the task starts are not the task
    _share(SparkContext, SparkSession, gateway["tag"])
    handler = signal.getsignal(signal.SIGINT)
    SparkSession(SparkContext(gateway=opened))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)  # pyspark's would cancel the jobs of all tasks


def _share(contexts: Any, sessions: Any, tag: str) -> None:
    """Let pyspark take the context and the session that are there, and leave them to others when it stops."""
    make_session, stop = sessions.__init__, contexts.stop

    def shared_context(self: Any, _: Any) -> Any:
        return self._jvm.JavaSparkContext.fromSparkContext(self._jvm.org.apache.spark.SparkContext.getOrCreate())

    def shared_session(self: Any, context: Any, session: Any = None, options: Any = None) -> None:
        before = sessions._instantiatedSession
        leads = before is None or before._sc._jsc is None
        if leads:  # else pyspark sees to it, and makes it the default of other tasks too
            self._sc = context
            sessions._instantiatedSession = sessions._activeSession = self
        there = session or context._jvm.org.apache.spark.sql.SparkSession.active()
        try:
            make_session(self, context, there, options or {})
        except BaseException:
            if leads:
                sessions._instantiatedSession = sessions._activeSession = None
            raise

    def leave(self: Any) -> None:
        if self._jsc is not None:
            self._jsc.sc().cancelJobsWithTag(tag)
            sys.stderr.write(_STOPPED)
        self._jsc = None
        stop(self)

    def leave_session(self: Any) -> None:
        self._sc.stop()
        sessions._instantiatedSession = sessions._activeSession = None

    contexts._initialize_context, contexts.stop = shared_context, leave
    sessions.__init__, sessions.stop = shared_session, leave_session
