"""The main program of a cluster's Spark: one JVM with one context, for all tasks of the cluster.

Each task has a gateway of its own into the JVM, with a secret of its own: when it is closed, all that the task held
there goes, and the task's jobs are cancelled. The emulator asks for gateways over a socket, in lines of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from pyspark import SparkContext
from pyspark.sql import SparkSession

_AGAIN = (0.0, 0.2, 1.0, 5.0)  # seconds between the times that jobs are cancelled: one may be about to start


def main(channel: int) -> int:
    """Serve gateways until the other end of the socket closes, or the JVM dies."""
    with socket.socket(fileno=channel) as connection, connection.makefile("rw", encoding="utf-8") as stream:
        try:
            cluster = Cluster(SparkSession.builder.getOrCreate())
        except Exception as error:  # noqa: BLE001 - Spark's words, without where it was called
            sys.exit(str(error))
        for line in stream:
            answer = {kind: cluster.orders[kind](task) for kind, task in json.loads(line).items()}
            stream.write(f"{json.dumps(answer)}\n")
            stream.flush()
    return 0


class Cluster:
    """The Spark of a cluster.

    Args:
        session: Its first session.
    """

    def __init__(self, session: SparkSession) -> None:
        self._context = session.sparkContext
        self._session = session._jsparkSession
        self._sessions = session._jvm.org.apache.spark.sql.SparkSession
        self._gateways: dict[str, tuple[Any, Any]] = {}
        self.orders: Mapping[str, Callable[[str], Any]] = {"open": self.open, "close": self.close}
        process = SparkContext._gateway.proc
        threading.Thread(target=_end_with, args=(process,), daemon=True).start()

    def open(self, task: str) -> dict[str, Any]:
        """Return the port and the secret of a gateway for a task.

        What the thread is marked with that starts a gateway, its connections' threads inherit: the session, and the tag
        by which the task's jobs are found.
        """
        session = self._session.newSession()
        self._context.addJobTag(task)
        self._sessions.setActiveSession(session)
        try:
            gateway = self._context._jvm.org.apache.spark.api.python.Py4JServer(self._context._jsc.sc().conf())
            gateway.start()
        finally:
            self._sessions.setActiveSession(self._session)
            self._context.removeJobTag(task)
        self._gateways[task] = gateway, session
        return {"port": gateway.getListeningPort(), "secret": gateway.secret(), "tag": task}

    def close(self, task: str) -> None:
        """Take a task's gateway away, with what it held and what it runs."""
        gateway, session = self._gateways.pop(task)
        self._context.cancelJobsWithTag(task)
        gateway.shutdown()
        threading.Thread(target=self._quiet, args=(task, session), daemon=True).start()

    def _quiet(self, task: str, session: Any) -> None:
        """Cancel what a task's last calls have yet started, and end its streams."""
        for pause in _AGAIN:
            time.sleep(pause)
            self._context.cancelJobsWithTag(task)
            for query in session.streams().active():
                with contextlib.suppress(Exception):  # it has failed, since its jobs were cancelled
                    query.stop()


def _end_with(process: Any) -> None:
    process.wait()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[-1])))
