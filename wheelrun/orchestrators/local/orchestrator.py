"""`LocalOrchestrator`: runs on this machine, from the built wheel, in processes that outlive the client."""

from __future__ import annotations

import builtins
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from wheelrun.config import Stack, cache_dir
from wheelrun.deployment import Deployment, WheelRef
from wheelrun.errors import ClusterError, ConfigurationError, UploadError
from wheelrun.orchestrators.base import BaseOrchestrator, BaseOrchestratorConfig, BaseOrchestratorFlavor
from wheelrun.orchestrators.contract import Capabilities, LogLine, Request, RunHandle, local_path
from wheelrun.orchestrators.local import processes
from wheelrun.orchestrators.local.launch import Launch, lock_path, pid_path, remove_scratch, scratch_path
from wheelrun.orchestrators.local.log_files import read_logs
from wheelrun.orchestrators.local.supervisor import end
from wheelrun.orchestrators.wheeled import WheeledOrchestrator, missing_wheel
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.wheel import Wheel
from wheelrun.runtime.alive import RunLock, is_held
from wheelrun.runtime.bootstrap import python_command
from wheelrun.runtime.events import EventLog, EventReader, fold
from wheelrun.runtime.execute import conclude
from wheelrun.runtime.java import find_java
from wheelrun.runtime.layout import ArtifactRoot, RunPaths, write_atomically
from wheelrun.runtime.masking import public
from wheelrun.states import ErrorInfo, RunState, RunStatus

DEFAULT_CONF: Mapping[str, str] = {
    "spark.master": "local[*]",
    "spark.ui.enabled": "false",  # its port is open to the network and takes a second to start
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
"""Spark configuration of local runs, below the target's and the submission's."""


_SUPERVISORS: list[subprocess.Popen[bytes]] = []
"""Those that this process started and that had not ended when last looked at."""


class LocalOrchestratorConfig(BaseOrchestratorConfig):
    """The settings of a local target."""

    master: str = Field(default="local[*]", description="Spark's master: local, local[N] or local[*]")
    python: str | None = Field(default=None, description="The Python that runs the steps; by default wheelrun's own")
    working_directory: str | None = Field(
        default=None, description="Where the steps run; by default where the submission was made"
    )
    max_parallel_steps: int = Field(default=1, ge=1, description="How many independent steps may run at once")
    synchronous: bool = Field(default=False, description="Whether `run` returns after the run's end")

    @property
    def is_synchronous(self) -> bool:
        """Whether `run` returns after the run's end rather than before it."""
        return self.synchronous


class LocalOrchestrator(WheeledOrchestrator):
    """Runs a deployment on this machine.

    A supervisor process is started in a session of its own; it forks a worker that runs the steps one after the other
    (or `max_parallel_steps` at once) with one Spark session. Both leave their words in the run's folder. Steps run
    from the unpacked wheel, and the working tree is off the path: what does not ship is missing here too.
    """

    capabilities = Capabilities(
        parallel_steps=True,
        strict_resources=False,
        live_logs=True,
        cancel=True,
        resume=True,
        survives_client=True,
    )
    flavor = "local"

    @property
    def config(self) -> LocalOrchestratorConfig:
        """The typed settings."""
        assert isinstance(self._config, LocalOrchestratorConfig)
        return self._config

    def prepare(self, deployment: Deployment, stack: Stack, run_id: str) -> Request:
        """Return what the supervisor will be given."""
        directory = Path(self.config.working_directory or Path.cwd()).expanduser().absolute()
        if not directory.is_dir():
            raise ConfigurationError(f"working_directory {directory} is not a folder", hint="make it, or name another")
        if deployment.uses_spark and self.config.python is None:  # another Python's Spark is seen only from there
            self._check_java(stack)
        root = local_path(stack.artifact_root)
        content: dict[str, Any] = {
            "python": self.config.python or sys.executable,
            "artifact_root": str(root),
            "working_directory": str(directory),
            "wheels": [wheel.file for wheel in _wheels(deployment)],
            "max_parallel_steps": self.config.max_parallel_steps,
            "timeout": deployment.timeout,
        }
        conf = {
            **DEFAULT_CONF,
            "spark.master": self.config.master,
            "spark.app.name": deployment.name,
            **stack.conf,
        }
        return Request(
            orchestrator=self.flavor,
            run_id=run_id,
            content=content,
            environment=dict(stack.environment),
            conf=conf,
        )

    def prepare_or_run_pipeline(
        self, deployment: Deployment, stack: Stack, environment: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        """Put wheels and deployment into the run's folder and start the supervisor; yields where it can be found."""
        del environment  # the worker is given the stack's own, and the run's id
        run_id = self.get_orchestrator_run_id()
        request = self.prepare(deployment, stack, run_id)
        root = ArtifactRoot(local_path(stack.artifact_root))
        self.ship(root)
        paths = root.run(run_id)
        deployment = deployment.with_settings(
            conf=public(request.conf),
            environment=public(request.environment),
            max_parallel_steps=self.config.max_parallel_steps,
        )
        with _writing(paths):
            write_atomically(paths.deployment, deployment.to_json().encode())
        yield {"run_folder": str(paths.path), "working_directory": request.content["working_directory"]}
        yield from self._start(deployment, request, root)

    def resume(self, run: RunHandle, deployment: Deployment, stack: Stack) -> Iterator[Mapping[str, Any]]:
        """Start another supervisor on the run; the steps that succeeded keep their outputs."""
        self._run_id = run.id
        try:
            root = ArtifactRoot(local_path(run.artifact_root))
            paths = root.run(run.id)
            if not _let_go(lock_path(paths.path), within=5.0):
                raise ConfigurationError(f"run {run.id} is still running", hint=f"wheelrun logs -f {run.id}")
            status = self._folded(paths)
            again = [step.name for step in status.steps if not step.state.is_success]
            with _writing(paths):
                log = EventLog(paths.events)
                log.emit("resume", steps=again)
                log.close()
            directory = run.metadata.get("working_directory")
            if directory and self.config.working_directory is None:
                self._config = self.config.model_copy(update={"working_directory": directory})
            yield from self.prepare_or_run_pipeline(deployment, stack, {})
        finally:
            self._run_id = None

    def fetch_status(self, run: RunHandle) -> RunStatus:
        """Return where a run is, from its events; a run whose processes are gone without a word has failed."""
        _reap()
        paths = self._paths(run)
        held = is_held(lock_path(paths.path))  # looked at first: what is written before the lock goes is then read
        status = self._folded(paths)
        if status.state.is_terminal or held:
            return status
        remove_scratch(str(run.metadata.get("scratch", "")))
        if status.steps and all(step.state.is_terminal for step in status.steps):
            log = EventLog(paths.events)
            conclude(Deployment.from_json(paths.deployment.read_text(encoding="utf-8")), paths, log)
            log.close()
            return self._folded(paths)
        if not paths.events.exists():
            message = "the submission was interrupted before the run was started"
        else:
            message = "the run's processes ended without a word: killed, or the machine went down"
        error = ErrorInfo(category="cluster", message=message, hint=f"wheelrun resume {run.id}")
        log = EventLog(paths.events)
        end(log, status, RunState.FAILED, error)
        log.close()
        return self._folded(paths)

    def cancel(self, run: RunHandle) -> None:
        """End a run and everything that it started, the JVM included; within 10 seconds."""
        paths = self._paths(run)
        lock = lock_path(paths.path)
        limit = time.monotonic() + 8
        while (pid := _supervisor(paths)) is None and is_held(lock) and time.monotonic() < limit:
            time.sleep(0.02)  # it was started a moment ago and has not said who it is
        if pid is not None and is_held(lock):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            if not _let_go(lock, within=8.0):
                processes.end_session(pid, grace=0)
        status = self._folded(paths)
        if not is_held(lock):
            remove_scratch(str(run.metadata.get("scratch", "")))
        if not status.state.is_terminal:
            log = EventLog(paths.events)
            end(
                log,
                status,
                RunState.CANCELLED,
                ErrorInfo(category="cancelled", message="the run was cancelled"),
            )
            log.close()

    def logs(
        self, run: RunHandle, *, step: str | None = None, stream: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield what the run's processes wrote."""
        paths = self._paths(run)

        def has_ended() -> bool:
            return self.fetch_status(run).state.is_terminal

        yield from read_logs(paths, step=step, stream=stream, follow=follow, has_ended=has_ended)

    def preflight(self, stack: Stack) -> Sequence[tuple[str, str | None, str | None]]:
        """Check that the artifact root can be written."""
        root = local_path(stack.artifact_root)
        try:
            write_atomically(root / ".probe", b"")
            (root / ".probe").unlink()
        except OSError as error:
            return [
                (
                    "artifact root",
                    f"{root} cannot be written: {error.strerror}",
                    "set artifact_root to a folder of yours",
                )
            ]
        return [("artifact root", None, None)]

    def _check_java(self, stack: Stack) -> None:
        """Refuse a run of Spark where there is no Java that it starts on, before anything is started."""
        environ = {**self.environ, **stack.environment}
        if "SPARK_REMOTE" not in environ:
            find_java(environ, cache=cache_dir(self.environ))

    def _start(self, deployment: Deployment, request: Request, root: ArtifactRoot) -> Iterator[Mapping[str, Any]]:
        paths = root.run(request.run_id)
        scratch = scratch_path(request.run_id)
        launch = Launch(
            run_id=request.run_id,
            artifact_root=str(root.path),
            code=tuple(str(self._unpacked(wheel, root)) for wheel in _wheels(deployment)),
            source_root=str(self.source_root or Path.cwd()),
            working_directory=request.content["working_directory"],
            environment=request.environment,
            conf=request.conf,
            timeout=deployment.timeout,
            cache_dir=str(cache_dir(self.environ)),
            scratch=str(scratch),
        )
        yield {"scratch": str(scratch)}
        lock = RunLock(lock_path(paths.path))
        with _writing(paths):
            free = lock.acquire()
        if not free:
            raise ConfigurationError(
                f"run {request.run_id} is already running", hint=f"wheelrun logs -f {request.run_id}"
            )
        try:
            process = _spawn(request.content["python"], launch, paths, lock, self.environ)
        finally:
            lock.release()
        yield {"pid": process.pid}

    def _unpacked(self, wheel: WheelRef, root: ArtifactRoot) -> Path:
        path = root.wheel(wheel.name, wheel.digest, wheel.file)
        if not path.exists():
            raise missing_wheel(path)
        return WheelCache(cache_dir(self.environ)).unpacked(
            Wheel(
                path=path,
                name=wheel.name,
                version=wheel.version,
                digest=wheel.digest,
                files=(),
                size=path.stat().st_size,
            )
        )

    def _paths(self, run: RunHandle) -> RunPaths:
        return ArtifactRoot(local_path(run.artifact_root)).run(run.id)

    def _folded(self, paths: RunPaths) -> RunStatus:
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            deployment = Deployment.from_json(paths.deployment.read_text(encoding="utf-8"))
            names = [spec.name for spec in deployment.steps]
        return fold(names, EventReader(paths.events).read())


class LocalOrchestratorFlavor(BaseOrchestratorFlavor):
    """The registry entry of `LocalOrchestrator`."""

    @property
    def name(self) -> str:
        """The name that a target's `orchestrator` key uses."""
        return "local"

    @property
    def config_class(self) -> builtins.type[BaseOrchestratorConfig]:
        """The class of the typed settings."""
        return LocalOrchestratorConfig

    @property
    def implementation_class(self) -> builtins.type[BaseOrchestrator]:
        """The orchestrator's class."""
        return LocalOrchestrator


def _wheels(deployment: Deployment) -> tuple[WheelRef, ...]:
    return (*((deployment.wheel,) if deployment.wheel else ()), *deployment.also)


def _supervisor(paths: RunPaths) -> int | None:
    try:
        return int(pid_path(paths.path).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def _spawn(
    python: str, launch: Launch, paths: RunPaths, lock: RunLock, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as files:
        with _writing(paths):
            paths.stdout.parent.mkdir(parents=True, exist_ok=True)
            stdout, stderr = (files.enter_context(_appending(path)) for path in (paths.stdout, paths.stderr))
        try:
            process = subprocess.Popen(
                python_command("wheelrun.orchestrators.local.supervisor", str(lock.descriptor), python=python),
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                env=dict(environ),
                start_new_session=True,
                pass_fds=(lock.descriptor,),
            )
        except OSError as error:
            raise ClusterError(
                f"{python} cannot be started: {error.strerror}", hint="set the target's python"
            ) from error
    assert process.stdin is not None
    with process.stdin as stream:
        stream.write(launch.to_json().encode())
    _SUPERVISORS.append(process)
    return process


def _let_go(lock: Path, *, within: float) -> bool:
    """Wait until a run's lock is let go: a run's end is told just before its last process ends."""
    limit = time.monotonic() + within
    while is_held(lock):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def _reap() -> None:
    """Take note of the ends of supervisors that this process started, so that none stays as a zombie."""
    _SUPERVISORS[:] = [process for process in _SUPERVISORS if process.poll() is None]


@contextlib.contextmanager
def _writing(paths: RunPaths) -> Iterator[None]:
    """Turn an OSError of the block, which writes below the artifact root, into the error that tells what to do."""
    try:
        yield
    except OSError as error:
        raise UploadError(
            f"{error.filename or paths.path} cannot be written: {error.strerror or error}",
            hint="free some space, or set artifact_root",
        ) from error


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
