"""`Submission`: the supervisor of a run whose steps a command runs: spark-submit, and the driver that it starts.

The driver tells of its steps itself (`wheelrun.runtime.drive`). Here it is told what becomes of spark-submit: where the
driver is below it on this machine, the run cannot go on without it, and it is started again while there are steps left;
where the driver is on a cluster, what spark-submit says of it is read and told as it comes.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from wheelrun.runtime.alive import is_held
from wheelrun.runtime.drive import TOO_LATE
from wheelrun.runtime.entrypoint import RUN_ID_VARIABLE
from wheelrun.runtime.launch import Launch, lock_path
from wheelrun.runtime.layout import RunPaths, write_atomically
from wheelrun.runtime.session import LOGGING, write_conf_dir
from wheelrun.runtime.sessions import PREVIOUS_WORKER
from wheelrun.runtime.submit_output import INFO, Told, last_words, read, state_of
from wheelrun.runtime.supervisor import TIMED_OUT, Supervisor, end, progress, words
from wheelrun.runtime.ticket import CODE_VARIABLE, DRIVER_VARIABLE, SCRATCH_VARIABLE
from wheelrun.runtime.working_tree import outside
from wheelrun.states import ErrorInfo, RunState, RunStatus, StepStatus

LATE = 5.0
"""Seconds that a driver's last events may take to arrive from a cluster, and that a driver has to end when asked."""

_PR_SET_PDEATHSIG = 1


@dataclass(kw_only=True)
class Submission(Supervisor):
    """Supervises a command that runs the steps."""

    told: Told = field(default_factory=Told)
    _begin: tuple[int, ...] = (0, 0)
    _read: int = 0
    _looked: float = 0.0

    @property
    def output(self) -> tuple[Path, ...]:
        """The files that take the command's output: stdout and stderr, or both in one."""
        return tuple(map(Path, self.launch.logs)) or (self.paths.stdout, self.paths.stderr)

    def _fork(self) -> tuple[int, int]:
        self._begin = tuple(_size(path) for path in self.output)
        self._read = self._begin[-1]
        return super()._fork()

    def _work(self, events: int) -> int:
        del events  # the driver writes its own
        become(self.launch, self.paths)
        return 70

    def _reason_to_end(self) -> str:
        if self.launch.follow and time.monotonic() - self._looked > 0.3:
            self._looked = time.monotonic()
            self._listen()
        return super()._reason_to_end()

    def _listen(self) -> None:
        """Read what spark-submit said since, and tell what is new of the application."""
        with contextlib.suppress(OSError), self.output[-1].open("rb") as stream:
            stream.seek(self._read)
            data = stream.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read += len(whole)
            told = read(self.launch.follow, whole.decode("utf-8", "replace").splitlines(), self.told)
            self._tell(told)

    def _tell(self, told: Told) -> None:
        """Tell what became of the application, if it is new."""
        if told != self.told:
            self.told = told
            self.log.emit(
                "submission",
                start=self.launch.start,
                id=told.id,
                state=told.state,
                final=told.final or None,
                url=told.url,
                message=told.message or None,
            )

    def _after(self, before: RunStatus, wait_status: int, why: str) -> bool:
        if why == TIMED_OUT and self.launch.follow:
            self._ask_to_end()
        if why or self._cancelled:
            return super()._after(before, wait_status, why)
        if os.WIFEXITED(wait_status) and os.WEXITSTATUS(wait_status) == TOO_LATE:
            return True  # another start has the run
        if self.launch.follow:
            self._listen()
            self._left(wait_status)
            return True
        status = self._status()
        if not status.state.is_terminal and progress(status) == progress(before):
            self._end(status, RunState.FAILED, f"spark-submit ended before a step began ({how(wait_status)})")
            return True
        return super()._after(before, wait_status, why)

    def _fail(self, step: StepStatus, wait_status: int, *, timed_out: bool) -> None:
        del timed_out  # a step's time is the driver's to measure
        self._tell_failure(step, lost(step.name, wait_status))

    def _left(self, wait_status: int) -> None:
        """Tell how a run ended on a cluster whose driver did not tell it; one that may still go on is left alone."""
        if self.launch.elsewhere:  # whoever sees both the events there and this tells the run's end
            if self.told.id is None:
                self._tell(replace(self.told, message=self._unsubmitted(wait_status)))
            return
        limit = time.monotonic() + LATE
        state = state_of(self.launch.follow, self.told)
        while not (status := self._status()).state.is_terminal:
            if not (state.is_terminal or self.told.id is None) or time.monotonic() > limit:
                break
            time.sleep(0.1)
        if status.state.is_terminal:
            return
        if self.told.id is None:
            end(self.log, status, RunState.FAILED, self._error("cluster", self._unsubmitted(wait_status)))
        elif state is RunState.CANCELLED or self.paths.cancel(self.launch.start).exists():
            self._end(status, RunState.CANCELLED, f"{self.told.id} was ended ({self.told.state})")
        elif state.is_terminal:
            self._end(status, RunState.FAILED, f"{self.told.id} ended before the run did ({self.told.state})")

    def _unsubmitted(self, wait_status: int) -> str:
        return self._said(f"spark-submit ended before it had submitted ({how(wait_status)})")

    def _end(self, status: RunStatus, state: RunState, message: str) -> None:
        category = "cancelled" if state is RunState.CANCELLED else "cluster"
        end(self.log, status, state, self._error(category, self._said(message)))

    def _said(self, message: str) -> str:
        """Return a message with spark-submit's last words."""
        texts = [_tail(path, start) for path, start in zip(self.output, self._begin, strict=True)]
        said = self.told.message or last_words(*reversed(texts))
        return f"{message}: {said}" if said else message

    def _error(self, category: str, message: str) -> ErrorInfo:
        hint = logs_hint(self.launch.follow, self.told) or "its own words are in the run's log"
        return ErrorInfo(category=category, message=message, hint=hint)

    def _ask_to_end(self) -> None:
        """Tell the driver on the cluster that its time is over; make sure that one that has not begun will not."""
        with contextlib.suppress(OSError):
            write_atomically(self.paths.cancel(self.launch.start), TIMED_OUT.encode())
            with contextlib.suppress(FileExistsError), self.paths.claim(self.launch.start).open("x") as stream:
                stream.write("revoked")
                return
        limit = time.monotonic() + LATE
        while not self._status().state.is_terminal and time.monotonic() < limit:
            time.sleep(0.1)


def become(launch: Launch, paths: RunPaths) -> None:
    """Become the command, in the worker's place; returns only by an exception."""
    _die_with(os.getppid(), paths)
    os.environ.update(launch.environment)
    os.environ[RUN_ID_VARIABLE] = launch.run_id
    os.environ[DRIVER_VARIABLE] = f"{socket.gethostname()}:{os.getppid()}"
    os.environ[SCRATCH_VARIABLE] = launch.scratch
    os.environ[CODE_VARIABLE] = os.pathsep.join(launch.code)
    os.environ.pop(PREVIOUS_WORKER, None)
    if path := os.environ.get("PYTHONPATH"):
        os.environ["PYTHONPATH"] = os.pathsep.join(outside(path.split(os.pathsep), Path(launch.source_root)))
    os.chdir(launch.working_directory)
    _configure(launch)
    try:
        os.execvp(launch.command[0], launch.command)  # noqa: S606 - a list of words, no shell
    except OSError as error:
        sys.stderr.write(f"Error: {launch.command[0]} cannot be started: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(127)


def conf_file(scratch: str) -> Path:
    """Return the properties file of a run's spark-submit."""
    return Path(scratch) / "conf" / "spark-defaults.conf"


def how(wait_status: int) -> str:
    """Say how spark-submit ended; it passes on how its driver did."""
    code = os.WEXITSTATUS(wait_status) if os.WIFEXITED(wait_status) else 0
    if code > 128:
        with contextlib.suppress(ValueError):
            return f"its driver was killed by {signal.Signals(code - 128).name}"
    return words(wait_status)


def lost(step: str, wait_status: int) -> ErrorInfo:
    """Return the error of a step whose driver or JVM ended under it."""
    killed = "SIGKILL" in how(wait_status)
    return ErrorInfo(
        category="cluster",
        type="DriverDied",
        message=f"spark-submit ended while step {step!r} was running: {how(wait_status)}",
        hint="out of memory? the system kills what takes too much" if killed else "its last words are in the log",
    )


def logs_hint(kind: str, told: Told) -> str | None:
    """Return how to read what a driver on a cluster wrote, where it has told its id."""
    if told.id is None:
        return None
    if kind == "yarn":
        return f"the driver's own words: yarn logs -applicationId {told.id}"
    namespace, _, pod = told.id.partition(":")
    return f"the driver's own words: kubectl logs -n {namespace} {pod}"


def _configure(launch: Launch) -> None:
    """Write the settings where spark-submit reads them: none of them is on the command line."""
    given, home = os.environ.get("SPARK_CONF_DIR"), os.environ.get("SPARK_HOME")
    inherited = Path(given) if given else Path(home, "conf") if home else None
    folder = write_conf_dir(
        conf_file(launch.scratch).parent,
        launch.conf,
        inherited=inherited,
        defaults=Path(launch.defaults) if launch.defaults else None,
    )
    os.environ["SPARK_CONF_DIR"] = str(folder)
    if "spark.local.dir" not in launch.conf and not launch.follow:  # a driver's folders are not of this machine
        os.environ.setdefault("SPARK_LOCAL_DIRS", launch.scratch)
    if launch.linked_home and home:  # the workers of local-cluster keep their folders in Spark's home
        linked = Path(launch.scratch) / "spark"
        linked.mkdir()
        for path in Path(home).iterdir():
            if path.name != "work":
                (linked / path.name).symlink_to(path.resolve())
        os.environ["SPARK_HOME"] = str(linked)
    if launch.follow:
        settings = Path(launch.scratch) / "submit-log4j2.properties"
        settings.write_text(LOGGING + INFO, encoding="utf-8")
        options = f"-Dlog4j2.configurationFile={settings} {os.environ.get('SPARK_SUBMIT_OPTS', '')}"
        os.environ["SPARK_SUBMIT_OPTS"] = options.strip()


def _die_with(parent: int, paths: RunPaths) -> None:
    """Let the kernel end this process, and the JVM that it becomes, with the supervisor, where it can.

    Elsewhere the driver looks after the supervisor's lock.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or not is_held(lock_path(paths.path)):
        os._exit(1)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _tail(path: Path, start: int, most: int = 1 << 16) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(start, _size(path) - most))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
