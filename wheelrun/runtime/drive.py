"""A driver on a cluster: the supervisor of a run, in the process that spark-submit started.

It is what the supervisor of a local run is: it forks workers that run the steps, tells what became of them, and follows
one that died with another. What is different here: its JVM is its parent, and nobody waits for it.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelrun.deployment import Deployment
from wheelrun.errors import WheelrunError
from wheelrun.runtime import processes
from wheelrun.runtime.alive import is_held
from wheelrun.runtime.entrypoint import open_deployment
from wheelrun.runtime.events import EventLog, EventReader, fold
from wheelrun.runtime.launch import Launch, lock_path, scratch_path
from wheelrun.runtime.layout import RunPaths, write_atomically
from wheelrun.runtime.shelf import FolderShelf, HadoopShelf, Shelf
from wheelrun.runtime.supervisor import CANCELLED, ORPHANED, TIMED_OUT, Supervisor, end
from wheelrun.runtime.ticket import DRIVER_VARIABLE, SCRATCH_VARIABLE, Ticket
from wheelrun.states import ErrorInfo, RunState

HEARTBEAT = 5.0
"""Seconds between two signs of life of a driver."""

LOOK = 0.5
"""Seconds between two looks for a client's wish to end the run."""

TOO_LATE = 76
"""A driver's exit status when the run has been taken up by another one."""


def drive(table: Mapping[str, Any], code: Sequence[str]) -> int:
    """Run what a ticket names; return the exit status: 0 if the run succeeded.

    Args:
        table: The ticket's JSON.
        code: The unpacked archives.
    """
    ticket = Ticket.from_table(table)
    with contextlib.suppress(OSError):  # it is a leader already
        os.setsid()
    processes.adopt_orphans()
    driver = identity()
    shelf: Shelf = HadoopShelf(ticket) if "://" in ticket.root else FolderShelf(ticket)
    try:
        taken = shelf.take(driver)
    except WheelrunError as error:
        sys.stderr.write(f"wheelrun: {error.message}\n")
        return 1
    if not taken:
        sys.stderr.write(f"wheelrun: run {ticket.run_id} was taken up by another driver; this one gives way\n")
        return TOO_LATE
    paths = shelf.root.run(ticket.run_id)
    logs = _run_logs(paths) if ticket.own_logs else _own_logs()
    log = EventLog(paths.events)
    log.emit("driver", start=ticket.start, **driver)
    try:
        deployment = open_deployment(paths, ticket.deployment_id)
        state = _supervise(ticket, shelf, deployment, log, code, logs)
    except WheelrunError as error:
        info = ErrorInfo(category=error.category, type=type(error).__name__, message=error.message, hint=error.hint)
        end(log, fold((), EventReader(paths.events).read()), RunState.FAILED, info)
        state = RunState.FAILED
    finally:
        log.close()
        if not ticket.own_logs:
            _keep(logs, paths)
        shelf.close()
    return 0 if state.is_success else 1


def identity() -> dict[str, Any]:
    """Return what a client needs to find this driver: its id and log page, where the cluster says them, and host."""
    page = os.environ.get("SPARK_DRIVER_LOG_URL_STDOUT", "")
    _, found, rest = page.partition("driverId=")
    facts = {
        "id": rest.partition("&")[0] if found else os.environ.get(DRIVER_VARIABLE),
        "page": page.partition("/logPage/")[0] if found else None,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "python": platform.python_version(),
    }
    return {name: value for name, value in facts.items() if value is not None}


@dataclass(slots=True)
class Pulse:
    """Signs of life of a driver; and what ends it: a client's wish, or the end of its JVM or of its supervisor.

    Attributes:
        heartbeat: The file that tells when it last gave a sign of life.
        wish: The file by which a client asks it to end.
        parent: Its JVM's pid.
        lock: The lock of a supervisor that it ends with, if any.
        last: When it gave the last sign of life.
        looked: When it looked for a wish last.
    """

    heartbeat: Path
    wish: Path
    parent: int
    lock: Path | None = None
    last: float = 0.0
    looked: float = 0.0

    def __call__(self) -> str:
        """Give a sign of life if it is time; return why the driver must end, or nothing."""
        if os.getppid() != self.parent:
            return ORPHANED
        now = time.monotonic()
        if now - self.last > HEARTBEAT:
            self.last = now
            with contextlib.suppress(OSError):  # a full disk is told by what cannot be written, not by this
                write_atomically(self.heartbeat, str(time.time()).encode())
        if now - self.looked > LOOK:
            self.looked = now
            if self.lock is not None and not is_held(self.lock):
                return ORPHANED
            return self._wished()
        return ""

    def _wished(self) -> str:
        """Return why somebody asked the driver to end, or nothing."""
        try:
            return TIMED_OUT if self.wish.read_bytes() == TIMED_OUT.encode() else CANCELLED
        except FileNotFoundError:
            return ""


def _supervise(
    ticket: Ticket, shelf: Shelf, deployment: Deployment, log: EventLog, code: Sequence[str], logs: tuple[Path, ...]
) -> RunState:
    launch = Launch(
        run_id=ticket.run_id,
        artifact_root=str(shelf.root.path),
        code=tuple(code),
        source_root=ticket.source_root,
        working_directory=str(Path.cwd()),
        timeout=deployment.timeout,
        scratch=str(scratch_path(f"{ticket.run_id}-{os.getpid()}", os.environ.get(SCRATCH_VARIABLE))),
        session="given",
        logs=tuple(map(str, logs)),
        frames=shelf.frames,
        isolation=ticket.isolation,
        conf=ticket.conf,
        step_conf=ticket.step_conf,
    )
    paths = shelf.root.run(ticket.run_id)
    lock = lock_path(paths.path) if ticket.supervised else None
    pulse = Pulse(paths.heartbeat, paths.cancel(ticket.start), os.getppid(), lock)
    pulse()
    supervisor = Supervisor(launch=launch, deployment=deployment, log=log, watch=pulse, spared=shelf.processes)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor.run()
    return fold([spec.name for spec in deployment.steps], EventReader(paths.events).read()).state


def _own_logs() -> tuple[Path, ...]:
    """Write to the driver's log files directly, where the cluster keeps them in the working directory.

    Otherwise the JVM would pass on what Python writes, both streams in one, and it could not be told what belongs to
    which step. They are opened for appending, as the cluster has them.
    """
    logs = (Path.cwd() / "stdout", Path.cwd() / "stderr")
    if "SPARK_DRIVER_LOG_URL_STDOUT" not in os.environ or not all(path.is_file() for path in logs):
        return ()
    return _writing_to(logs)


def _run_logs(paths: RunPaths) -> tuple[Path, ...]:
    """Write to the log files in the run's folder directly, for the same reason."""
    paths.stdout.parent.mkdir(parents=True, exist_ok=True)
    return _writing_to((paths.stdout, paths.stderr))


def _writing_to(logs: tuple[Path, ...]) -> tuple[Path, ...]:
    """Make files this process's standard output and error, and return them."""
    for number, path in enumerate(logs, 1):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    return logs


def _keep(logs: Sequence[Path], paths: RunPaths) -> None:
    """Copy the driver's logs to the run's folder, for when the worker has gone."""
    for path, target in zip(logs, (paths.stdout, paths.stderr), strict=False):
        with contextlib.suppress(OSError):  # the run has ended, and its worker still has them
            target.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as source, os.fdopen(_private(target), "wb") as copy:
                shutil.copyfileobj(source, copy)


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
