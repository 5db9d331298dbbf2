"""The process that outlives the client: it forks workers that run the steps, and tells what became of them.

It imports little and runs no user code, so that it can be relied on to tell the truth about a worker that exited, was
killed, or never returns. A worker that died is followed by another while there are steps left that may run.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from wheelrun.deployment import Deployment
from wheelrun.runtime import processes
from wheelrun.runtime.connect import release_left
from wheelrun.runtime.events import Event, EventLog, EventReader, fold, parse
from wheelrun.runtime.execute import conclude, retry_delay
from wheelrun.runtime.launch import Launch, make_scratch, pid_path, remove_scratch
from wheelrun.runtime.layout import ArtifactRoot, RunPaths, write_atomically
from wheelrun.runtime.sessions import PREVIOUS_WORKER
from wheelrun.states import ErrorInfo, RunState, RunStatus, StepStatus

GRACE = 5.0
"""Seconds that a worker has, after a step's timeout, to end the step itself."""

CANCELLED = "cancelled"
"""Why a supervisor ends that was asked to."""

TIMED_OUT = "run timeout"
"""Why a supervisor ends whose run took longer than it may."""

ORPHANED = "orphaned"
"""Why a supervisor ends without a word: what it belongs to has ended, and whoever ended that tells why."""

RESTART = 75
"""A worker's exit status when it told its step's end but can run no more (its JVM died)."""


@dataclass(slots=True, kw_only=True)
class Supervisor:
    """Supervises one run until its end.

    Attributes:
        launch: What to run.
        deployment: Its steps.
        log: Where events go.
        watch: Called several times a second; what it returns, if anything, is why the run must end here.
        lock: The inherited descriptor of the run's lock, which workers must not hold; -1 for none.
        spared: Processes beside the workers that are not ended with them.
    """

    launch: Launch
    deployment: Deployment
    log: EventLog
    lock: int = -1
    watch: Callable[[], str] = lambda: ""
    spared: frozenset[int] = frozenset()
    _cancelled: bool = False
    _began: float = field(default_factory=time.monotonic)
    _limits: dict[str, float] = field(default_factory=dict)
    _workers: int = 0

    @property
    def paths(self) -> RunPaths:
        """The run's paths."""
        return ArtifactRoot(Path(self.launch.artifact_root)).run(self.launch.run_id)

    def run(self) -> None:
        """Fork workers until no step is left, and tell the run's end."""
        signal.signal(signal.SIGTERM, self._cancel)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            before = self._status()
            try:
                make_scratch(self.launch.scratch)
            except OSError as error:
                message = f"{self.launch.scratch} cannot be made: {error.strerror or error}"
                hint = "make room in the temporary folder, or name another one with TMPDIR"
                end(self.log, before, RunState.FAILED, ErrorInfo(category="configuration", message=message, hint=hint))
                return
            try:
                status, why = self._watch(*self._fork())
                processes.end_session(os.getsid(0), without={os.getpid(), *self.spared}, grace=GRACE / 2)
                release_left(Path(self.launch.scratch), {**os.environ, **self.launch.environment})
            finally:
                remove_scratch(self.launch.scratch)
            if self._after(before, status, why):
                return

    def _fork(self) -> tuple[int, int]:
        """Start a worker; return its pid and the descriptor on which its events come."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid:
            self._workers += 1
            os.close(writer)
            return pid, reader
        code = 70
        try:
            os.close(reader)
            if self.lock >= 0:
                os.close(self.lock)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.setpgid(0, 0)
            if self._workers:
                os.environ[PREVIOUS_WORKER] = "1"
            code = self._work(writer)
        except BaseException:  # noqa: BLE001 - it is told in the log, and the exit status tells the parent
            import traceback

            traceback.print_exc()
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            os._exit(code)

    def _work(self, events: int) -> int:
        """Run the steps, in the worker; return its exit status."""
        from wheelrun.runtime.worker import work

        return work(self.launch, self.deployment, events)

    def _watch(self, pid: int, reader: int) -> tuple[int, str]:
        """Wait for a worker's end; return its wait status and, if it was ended from here, why."""
        self._limits.clear()
        pending = bytearray()
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            pipes = [pipe]
            while True:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    return status, ""
                readable, _, _ = select.select(pipes, [], [], 0.2 if pipes else 0.01)
                if readable:
                    data = pipe.read(65536)
                    pending += data
                    if not data:  # the worker ends, or the user's code closed what it did not open
                        pipes = []
                    elif b"\n" in data:
                        whole, _, rest = bytes(pending).rpartition(b"\n")
                        self._note(parse(whole))
                        pending = bytearray(rest)
                why = self._reason_to_end()
                if why:
                    return self._reap(pid), why

    def _reap(self, pid: int) -> int:
        """End a worker and all that it started; return its wait status."""
        processes.end_session(os.getsid(0), without={os.getpid(), *self.spared}, grace=GRACE / 2)
        return os.waitpid(pid, 0)[1]

    def _note(self, events: list[Event]) -> None:
        for event in events:
            if event["event"] == "clock" and event.get("timeout"):
                self._limits[event["step"]] = time.monotonic() + event["timeout"] + GRACE
            elif event["event"] == "step":
                self._limits.pop(event["step"], None)

    def _reason_to_end(self) -> str:
        now, cancelled = time.monotonic(), self._cancelled
        if why := self.watch():  # asked after: who ends this process because it is an orphan cancels nothing
            return why
        if cancelled:
            return CANCELLED
        if self.launch.timeout is not None and now - self._began > self.launch.timeout:
            return TIMED_OUT
        return next((f"step timeout {name}" for name, limit in self._limits.items() if now > limit), "")

    def _after(self, before: RunStatus, wait_status: int, why: str) -> bool:
        """Tell what a worker left untold; return whether the run has ended."""
        status = self._status()
        if ORPHANED in (why, self.watch()):
            return True
        if why == CANCELLED or self._cancelled:
            end(
                self.log,
                status,
                RunState.CANCELLED,
                ErrorInfo(category="cancelled", message="the run was cancelled"),
            )
            return True
        if why == TIMED_OUT:
            message = f"the run took longer than {self.launch.timeout:g} s"
            end(
                self.log,
                status,
                RunState.FAILED,
                ErrorInfo(category="timeout", type="RunTimeout", message=message),
            )
            return True
        if status.state.is_terminal:
            return True
        running = [step for step in status.steps if step.state is RunState.RUNNING]
        guilty = [step for step in running if why == f"step timeout {step.name}"]
        if not guilty and len(running) == 1:
            guilty = running
        for step in running:
            if step in guilty:
                self._fail(step, wait_status, timed_out=bool(why))
            else:
                self._start_over(step, alone=not guilty)
        after = self._status()
        if all(step.state.is_terminal for step in after.steps):
            conclude(self.deployment, self.paths, self.log)
            return True
        if progress(after) == progress(before) and not running:
            message = f"the run's process ended before it could do anything ({words(wait_status)})"
            error = ErrorInfo(category="cluster", message=message, hint="its own words are in the run's log")
            end(self.log, after, RunState.FAILED, error)
            return True
        return False

    def _fail(self, step: StepStatus, wait_status: int, *, timed_out: bool) -> None:
        spec = self.deployment.step(step.name)
        if timed_out:
            message = f"step {step.name!r} took longer than {spec.timeout:g} s"
            error = ErrorInfo(category="timeout", type="StepTimeout", message=message)
        else:
            error = died(step.name, wait_status)
        self._tell_failure(step, error)

    def _tell_failure(self, step: StepStatus, error: ErrorInfo) -> None:
        """Tell that an attempt failed, and wait until the next one may begin, if there is one."""
        delay = retry_delay(self.deployment.step(step.name), step.attempts)
        self.log.emit("step", step=step.name, state=RunState.FAILED, attempt=step.attempts, error=error, retry_in=delay)
        if delay:
            time.sleep(delay)

    def _start_over(self, step: StepStatus, *, alone: bool) -> None:
        """Queue a step whose process died under it and others, without counting the attempt against it."""
        self.log.emit(
            "step",
            step=step.name,
            state=RunState.QUEUED,
            attempt=step.attempts - 1,
            reason="its process died while other steps ran in it too; it starts over",
            alone=alone or None,
        )

    def _status(self) -> RunStatus:
        names = [spec.name for spec in self.deployment.steps]
        return fold(names, EventReader(self.paths.events).read())

    def _cancel(self, _signal: int, _frame: FrameType | None) -> None:
        self._cancelled = True


def progress(status: RunStatus) -> list[tuple[RunState, int]]:
    """Return what tells whether a run got on between two looks: the states and attempts of its steps."""
    return [(step.state, step.attempts) for step in status.steps]


def end(log: EventLog, status: RunStatus, state: RunState, error: ErrorInfo) -> None:
    """Tell that a run has ended before its steps did: each step that had not ended, then the run."""
    for step in status.steps:
        if step.state is RunState.RUNNING:
            log.emit("step", step=step.name, state=state, attempt=step.attempts, error=error)
        elif not step.state.is_terminal:
            log.emit("step", step=step.name, state=RunState.SKIPPED, reason=error.message)
    log.emit("run", state=state, error=error)


def died(step: str, wait_status: int) -> ErrorInfo:
    """Return the error of a step whose process ended under it."""
    hint = None
    if os.WIFSIGNALED(wait_status) and os.WTERMSIG(wait_status) == signal.SIGKILL:
        hint = "out of memory? the system kills what takes too much"
    message = f"the process ended while step {step!r} was running: {words(wait_status)}"
    return ErrorInfo(category="user code", type="ProcessDied", message=message, hint=hint)


def words(wait_status: int) -> str:
    """Say how a process ended."""
    if os.WIFSIGNALED(wait_status):
        return f"killed by {signal.Signals(os.WTERMSIG(wait_status)).name}"
    return f"exit status {os.WEXITSTATUS(wait_status)}"


def _kind(launch: Launch) -> type[Supervisor]:
    if not launch.command:
        return Supervisor
    from wheelrun.runtime.submission import Submission

    return Submission


def main() -> None:
    """Read a launch from standard input and supervise it. Arguments: the lock's descriptor."""
    launch = Launch.from_json(sys.stdin.read())
    supervise(_kind(launch), launch)


def supervise(kind: type[Supervisor], launch: Launch) -> None:
    """Supervise a launch that was read from standard input. Arguments of the process: the lock's descriptor."""
    sys.stdin.close()
    os.open(os.devnull, os.O_RDONLY)  # takes the place of standard input
    lock = int(sys.argv[1])
    processes.adopt_orphans()
    paths = ArtifactRoot(Path(launch.artifact_root)).run(launch.run_id)
    write_atomically(pid_path(paths.path), str(os.getpid()).encode())
    log = EventLog(paths.events)
    deployment = Deployment.from_json(paths.deployment.read_text(encoding="utf-8"))
    kind(launch=launch, deployment=deployment, log=log, lock=lock).run()
    pid_path(paths.path).unlink(missing_ok=True)
