"""A cluster's Spark: one JVM for all tasks of the cluster. It starts when a task first needs it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wheelrun.emulator.compute.processes import run
from wheelrun.emulator.launch.supervisor import Order
from wheelrun.errors import ClusterError
from wheelrun.runtime.standing import last_lines

_PATIENCE = 120.0  # seconds in which the JVM has to answer; it may have to start first
_REQUEST = 64  # bytes; a task says one word, and then nothing until it ends
_CLOSING = 10.0  # seconds in which what a task held is closed, or the JVM found dead, before the task's end is told

_NOT_STARTED = "Spark failed to start."
_LOST = "The spark driver has stopped unexpectedly and is restarting."


class Spark:
    """The Spark of a cluster.

    Args:
        order: What starts it.
    """

    def __init__(self, order: Callable[[], Order]) -> None:
        self._order = order
        self._down = threading.Event()
        self._lock = threading.Lock()
        self._process: _Process | None = None

    @contextlib.contextmanager
    def lent(self, task: str) -> Iterator[Lease]:
        """Give a task the means to get at it, until the end of the block.

        Args:
            task: What tells it from other tasks.
        """
        lease = Lease()
        thread = threading.Thread(target=self._serve, args=(task, lease), name="spark")
        thread.start()
        try:
            yield lease
        finally:
            lease.theirs.close()
            if lease.holds:
                thread.join(_CLOSING)

    def _serve(self, task: str, lease: Lease) -> None:
        """Give a task what it asks for; at its end close what it was given."""
        with lease.own:
            if not lease.own.recv(_REQUEST):
                return
            try:
                process = self._running()
                answer = process.ask(open=task)["open"]
                lease.holds = True
            except ClusterError as error:
                answer = {"problem": error.message}
                lease.trouble = Trouble(code="CLUSTER_ERROR", message=_NOT_STARTED, words=error.message)
            with contextlib.suppress(OSError):  # it may have ended meanwhile
                lease.own.sendall(f"{json.dumps(answer)}\n".encode())
                lease.own.recv(_REQUEST)
        if lease.holds:
            try:
                process.ask(close=task)
            except ClusterError as error:
                lease.trouble = Trouble(code="DRIVER_ERROR", message=_LOST, words=error.message)

    def _running(self) -> _Process:
        with self._lock:
            if self._down.is_set():
                raise ClusterError("the cluster is being terminated")
            if self._process is None or self._process.ended.is_set():
                self._process = _Process(self._order(), self._down)
            return self._process

    def end(self) -> None:
        """End it, and return when it has ended."""
        with self._lock:
            self._down.set()
            process = self._process
        if process is not None:
            process.ended.wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What went wrong with a cluster's Spark.

    Attributes:
        code: A termination code.
        message: A sentence.
        words: The last lines of its log.
    """

    code: str
    message: str
    words: str


@dataclass(slots=True)
class Lease:
    """A task's right to a cluster's Spark.

    Attributes:
        own: This side's end of the socket at which the task asks for it.
        theirs: The task's end.
        holds: Whether it has got it.
        trouble: What the task could not help; None if there was nothing.
    """

    own: socket.socket = field(init=False)
    theirs: socket.socket = field(init=False)
    holds: bool = False
    trouble: Trouble | None = None

    def __post_init__(self) -> None:
        self.own, self.theirs = socket.socketpair()


class _Process:
    """The process of a JVM, as long as it lives."""

    def __init__(self, order: Order, down: threading.Event) -> None:
        self.ended = threading.Event()
        self._log = Path(order.logs, "output")
        self._lock = threading.Lock()
        self._hangs = threading.Event()
        self._own, theirs = socket.socketpair()
        self._own.settimeout(_PATIENCE)
        self._stream = self._own.makefile("rw", encoding="utf-8")
        threading.Thread(target=self._run, args=(order, theirs, down), name="spark").start()

    def _run(self, order: Order, theirs: socket.socket, down: threading.Event) -> None:
        try:
            with theirs, contextlib.suppress(ClusterError):  # who asks hears that it has ended
                run(order, lambda: down.is_set() or self._hangs.is_set(), theirs)
        finally:
            self.ended.set()
            with self._lock:
                self._own.close()
                with contextlib.suppress(OSError):
                    self._stream.close()

    def ask(self, **order: str) -> dict[str, Any]:
        """Send an order and return the answer.

        Raises:
            ClusterError: it has died, or does not answer in time.
        """
        answer = ""
        with self._lock:
            if not self.ended.is_set():
                try:
                    self._stream.write(f"{json.dumps(order)}\n")
                    self._stream.flush()
                    answer = self._stream.readline()
                except OSError:
                    self._hangs.set()
        if not answer:
            self.ended.wait()
            raise ClusterError(last_lines(self._log) or "it ended without a word")
        return dict(json.loads(answer))
