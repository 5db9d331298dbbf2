"""The process that starts a task's process, writes down what it prints, and leaves nothing of it behind.

It reads one line of JSON on its standard input, the `Order`. When that input closes, because the task is to stop or
because the emulator has died, it ends the task. On its standard output it tells how the task ended. It runs in a
session of its own, and adopts whatever the task leaves behind. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from wheelrun.emulator.launch.mounts import mount
from wheelrun.runtime.processes import adopt_orphans, end_session

_PIECE = 1 << 16
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run.

    Attributes:
        command: The command.
        environ: Its environment, whole.
        cwd: Where it works.
        logs: The folder in which `stdout`, `stderr` and both in one, `output`, are appended to.
        payload: What it can read from a descriptor; None if it reads nothing. Otherwise arguments are added: that
            descriptor, and one for its report.
        channel: A socket's descriptor that it inherits, which is its last argument; None if there is none.
        mounts: What appears below the root, by path.
        base: An empty folder, for the mounts.
        grace: Seconds between asking it to end and killing it.
    """

    command: list[str]
    environ: dict[str, str]
    cwd: str
    logs: str
    payload: str | None = None
    channel: int | None = None
    mounts: dict[str, str] = field(default_factory=dict)
    base: str = ""
    grace: float = 8.0


def main() -> int:
    """Run what standard input orders."""
    adopt_orphans()
    order = Order(**json.loads(sys.stdin.buffer.readline()))
    try:
        if order.mounts:
            mount(order.mounts, Path(order.base))
        answer = _Supervised(order).run()
    except OSError as error:
        answer = {"problem": str(error)}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    return 0


class _Supervised:
    """One process under supervision."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.selector = selectors.DefaultSelector()
        self.code: int | None = None
        self.ending: threading.Thread | None = None
        self.heard, self.told = socket.socketpair()

    def run(self) -> dict[str, Any]:
        logs = {name: _opened(Path(self.order.logs) / name) for name in ("stdout", "stderr", "output")}
        with tempfile.TemporaryFile() as payload, tempfile.TemporaryFile() as report, self._children_ends():
            payload.write((self.order.payload or "").encode())
            payload.seek(0)
            process = self._started(payload, report)
            assert process.stdout is not None
            assert process.stderr is not None
            for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
                self.selector.register(pipe, selectors.EVENT_READ, (logs[name], logs["output"]))
            self.selector.register(0, selectors.EVENT_READ)
            try:
                self._attend(process)
            finally:  # also when a log cannot be written any more
                end_session(os.getpid(), without=(os.getpid(),), grace=0)
            report.seek(0)
            return {"code": self.code, "report": report.read().decode("utf-8", "replace")}

    def _started(self, payload: IO[bytes], report: IO[bytes]) -> subprocess.Popen[bytes]:
        inherited = [payload.fileno(), report.fileno()] if self.order.payload is not None else []
        if self.order.channel is not None:
            inherited.append(self.order.channel)
        process = subprocess.Popen(
            [*self.order.command, *map(str, inherited)],
            cwd=self.order.cwd,
            env=self.order.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=inherited,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - there is one thread
        )
        if self.order.channel is not None:
            os.close(self.order.channel)  # the other end hears when the process has closed its own
        return process

    @contextlib.contextmanager
    def _children_ends(self) -> Any:
        """Let the selector hear of the end of a child."""
        with self.heard, self.told:
            for end in (self.heard, self.told):
                end.setblocking(False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            signal.set_wakeup_fd(self.told.fileno(), warn_on_full_buffer=False)
            self.selector.register(self.heard, selectors.EVENT_READ)
            yield
            signal.set_wakeup_fd(-1)

    def _attend(self, process: subprocess.Popen[bytes]) -> None:
        pipes = 2
        while pipes or self.code is None or (self.ending is not None and self.ending.is_alive()):
            ready = self.selector.select(0.05 if self.ending is not None else None)
            if not ready and self.ending is not None and not self.ending.is_alive() and self.code is not None:
                return  # what holds the pipes now is out of reach
            for key, _ in ready:
                piece = _read(key.fileobj)
                if key.data is not None:
                    for log in key.data:
                        _write(log, piece)
                elif key.fileobj != 0:
                    self._reap(process)
                if not piece:
                    self.selector.unregister(key.fileobj)
                    pipes -= key.data is not None
                    if key.fileobj == 0:
                        self._end()

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == process.pid:
                    self.code = process.returncode = os.waitstatus_to_exitcode(status)
                    self._end()

    def _end(self) -> None:
        """End what there is of the session, but not this process."""
        if self.ending is None:
            self.ending = threading.Thread(target=self._end_session)
            self.ending.start()

    def _end_session(self) -> None:
        end_session(os.getpid(), without=(os.getpid(),), grace=self.order.grace)
        with contextlib.suppress(OSError):  # full: it is being heard
            self.told.send(b".")


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _read(source: Any) -> bytes:
    try:
        return os.read(source if isinstance(source, int) else source.fileno(), _PIECE)
    except BlockingIOError:
        return b"-"


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
