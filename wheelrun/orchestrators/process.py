"""`ProcessOrchestrator`: a run starts with a process of this machine that outlives the client."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from wheelrun.config import Stack, cache_dir
from wheelrun.deployment import Deployment, WheelRef
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.base import BaseOrchestratorConfig
from wheelrun.orchestrators.contract import LogLine, Request, RunHandle, local_path
from wheelrun.orchestrators.log_lines import file_source, read_logs
from wheelrun.orchestrators.roots import Root
from wheelrun.orchestrators.shipment import bundle_name, bundle_reference
from wheelrun.orchestrators.supervisors import let_go, reap, spawn, supervisor_of, writing
from wheelrun.orchestrators.wheeled import WheeledOrchestrator, missing_wheel, root_check
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.wheel import Wheel
from wheelrun.runtime import processes
from wheelrun.runtime.alive import RunLock, is_held
from wheelrun.runtime.events import EventLog, EventReader, fold
from wheelrun.runtime.execute import conclude
from wheelrun.runtime.java import find_java
from wheelrun.runtime.launch import Launch, lock_path, remove_scratch, scratch_path
from wheelrun.runtime.layout import ArtifactRoot, RunPaths, write_atomically
from wheelrun.runtime.masking import public
from wheelrun.runtime.supervisor import end
from wheelrun.states import ErrorInfo, RunState, RunStatus


class ProcessConfig(BaseOrchestratorConfig):
    """The settings of a target whose runs start on this machine."""

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


class ProcessOrchestrator(WheeledOrchestrator, ABC):
    """Runs a deployment from this machine.

    A supervisor process is started in a session of its own; it forks a worker that runs the steps one after the other
    (or `max_parallel_steps` at once) with one Spark session. Both leave their words in the run's folder. Steps run
    from the unpacked wheel, and the working tree is off the path: what does not ship is missing here too.
    """

    session: ClassVar[str] = "own"
    """Where the worker's Spark session comes from: a name in `wheelrun.runtime.sessions.SESSIONS`."""

    supervisor: ClassVar[str] = "wheelrun.runtime.supervisor"
    """The module whose `main` is the supervisor."""

    @property
    def config(self) -> ProcessConfig:
        """The typed settings."""
        assert isinstance(self._config, ProcessConfig)
        return self._config

    @abstractmethod
    def spark_conf(self, deployment: Deployment, stack: Stack) -> dict[str, str]:
        """Return the run's Spark configuration, secrets included.

        Raises:
            ConfigurationError: a setting cannot be honoured here.
        """

    def spark_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the run's environment variables, secrets included, from those that the target has."""
        return dict(environment)

    @property
    def supervisor_python(self) -> str:
        """The Python of the supervisor."""
        return self.config.python or sys.executable

    def code(self, deployment: Deployment, root: ArtifactRoot) -> tuple[str, ...]:
        """Return the folders that stand first on the path of a worker: the unpacked wheels."""
        return tuple(str(self._unpacked(wheel, root)) for wheel in _wheels(deployment))

    def launch(self, plain: Launch, deployment: Deployment, request: Request) -> Launch:
        """Return what the supervisor is given, from what every kind of run on this machine needs."""
        del deployment, request
        return plain

    def here(self, artifact_root: str) -> ArtifactRoot:
        """Return the folder of this machine below which a run's supervisor reads and writes."""
        return ArtifactRoot(local_path(artifact_root))

    def output(self, paths: RunPaths) -> tuple[Path, Path]:
        """Return the files that take what the supervisor's processes write: stdout and stderr."""
        return paths.stdout, paths.stderr

    def has_code(self, deployment: Deployment, stack: Stack) -> bool:
        """Whether the wheels, and the bundle if there is one, lie under the artifact root."""
        bundle = deployment.bundle
        kept = bundle is None or Root.open(stack.artifact_root).keep(bundle_name(bundle))
        return kept and super().has_code(deployment, stack)

    def ship(self, root: Root) -> int:
        """Put the wheels, and the bundle if there is one, under the artifact root; return how many bytes were sent."""
        sent = super().ship(root)
        if self.bundle is None:
            return sent
        return sent + root.put(self.bundle.path, bundle_name(bundle_reference(self.bundle)))

    def check_machine(self, deployment: Deployment, stack: Stack) -> None:
        """Refuse a run that this machine cannot start, before anything is started.

        Raises:
            ConfigurationError: something is missing.
        """
        environ = {**self.environ, **stack.environment}
        # another Python's Spark is seen only from there
        if deployment.uses_spark and self.config.python is None and "SPARK_REMOTE" not in environ:
            find_java(environ, cache=cache_dir(self.environ))

    def prepare(self, deployment: Deployment, stack: Stack, run_id: str) -> Request:
        """Return what the supervisor will be given."""
        directory = Path(self.config.working_directory or Path.cwd()).expanduser().absolute()
        if not directory.is_dir():
            raise ConfigurationError(f"working_directory {directory} is not a folder", hint="make it, or name another")
        self.check_machine(deployment, stack)
        root = local_path(stack.artifact_root)
        content: dict[str, Any] = {
            "python": self.config.python or sys.executable,
            "artifact_root": str(root),
            "working_directory": str(directory),
            "wheels": [wheel.file for wheel in _wheels(deployment)],
            "max_parallel_steps": self.config.max_parallel_steps,
            "timeout": deployment.timeout,
        }
        return Request(
            orchestrator=self.flavor,
            run_id=run_id,
            content=content,
            environment=self.spark_environment(stack.environment),
            conf=self.spark_conf(deployment, stack),
        )

    def prepare_or_run_pipeline(
        self, deployment: Deployment, stack: Stack, environment: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        """Put wheels and deployment into the run's folder and start the supervisor; yields where it can be found."""
        del environment  # the worker is given the stack's own, and the run's id
        run_id = self.get_orchestrator_run_id()
        request = self.prepare(deployment, stack, run_id)
        root = self.here(stack.artifact_root)
        self.ship(Root.open(stack.artifact_root))
        paths = root.run(run_id)
        deployment = deployment.with_settings(
            conf=public(request.conf),
            environment=public(request.environment),
            max_parallel_steps=self.config.max_parallel_steps,
        )
        with writing(paths.path):
            write_atomically(paths.deployment, deployment.to_json().encode())
        yield {"run_folder": str(paths.path), "working_directory": request.content["working_directory"]}
        yield from self._start(deployment, request, root)

    def resume(self, run: RunHandle, deployment: Deployment, stack: Stack) -> Iterator[Mapping[str, Any]]:
        """Start another supervisor on the run; the steps that succeeded keep their outputs."""
        self._run_id = run.id
        try:
            root = self.here(run.artifact_root)
            paths = root.run(run.id)
            if not let_go(lock_path(paths.path), within=5.0):
                raise ConfigurationError(f"run {run.id} is still running", hint=f"wheelrun logs -f {run.id}")
            status = self._folded(paths)
            again = [step.name for step in status.steps if not step.state.is_success]
            with writing(paths.path):
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
        reap()
        paths = self._paths(run)
        held = is_held(lock_path(paths.path))  # looked at first: what is written before the lock goes is then read
        status = self._folded(paths)
        if status.state.is_terminal or held:
            return status
        self.tidy(run)
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
        while (pid := supervisor_of(paths)) is None and is_held(lock) and time.monotonic() < limit:
            time.sleep(0.02)  # it was started a moment ago and has not said who it is
        if pid is not None and is_held(lock):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            if not let_go(lock, within=8.0):
                processes.end_session(pid, grace=0)
        status = self._folded(paths)
        if not is_held(lock):
            self.tidy(run)
        if not status.state.is_terminal:
            log = EventLog(paths.events)
            end(
                log,
                status,
                RunState.CANCELLED,
                ErrorInfo(category="cancelled", message="the run was cancelled"),
            )
            log.close()

    def tidy(self, run: RunHandle) -> None:
        """Remove what is left of a run whose processes are gone."""
        remove_scratch(str(run.metadata.get("scratch", "")))

    def logs(
        self, run: RunHandle, *, step: str | None = None, stream: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield what the run's processes wrote."""
        paths = self._paths(run)

        def has_ended() -> bool:
            return self.fetch_status(run).state.is_terminal

        yield from read_logs(
            {"stdout": file_source(paths.stdout), "stderr": file_source(paths.stderr)},
            lambda: EventReader(paths.events).read(),
            step=step,
            stream=stream,
            follow=follow,
            has_ended=has_ended,
        )

    def preflight(self, stack: Stack) -> Sequence[tuple[str, str | None, str | None]]:
        """Check that the artifact root can be written."""
        return [root_check(stack)]

    def _start(self, deployment: Deployment, request: Request, root: ArtifactRoot) -> Iterator[Mapping[str, Any]]:
        paths = root.run(request.run_id)
        scratch = scratch_path(request.run_id)
        plain = Launch(
            run_id=request.run_id,
            artifact_root=str(root.path),
            code=self.code(deployment, root),
            source_root=str(self.source_root or Path.cwd()),
            working_directory=request.content["working_directory"],
            environment=request.environment,
            conf=request.conf,
            timeout=deployment.timeout,
            cache_dir=str(cache_dir(self.environ)),
            scratch=str(scratch),
            session=self.session,
        )
        launch = self.launch(plain, deployment, request)
        yield {"scratch": str(scratch)}
        lock = RunLock(lock_path(paths.path))
        with writing(paths.path):
            free = lock.acquire()
        if not free:
            raise ConfigurationError(
                f"run {request.run_id} is already running", hint=f"wheelrun logs -f {request.run_id}"
            )
        try:
            process = spawn(self.supervisor_python, self.supervisor, launch, self.output(paths), lock, self.environ)
        finally:
            lock.release()
        yield {"pid": process.pid}

    def _unpacked(self, wheel: WheelRef, root: ArtifactRoot) -> Path:
        path = root.path / self.shipped_name(wheel)
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
        return self.here(run.artifact_root).run(run.id)

    def _folded(self, paths: RunPaths) -> RunStatus:
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError):
            deployment = Deployment.from_json(paths.deployment.read_text(encoding="utf-8"))
            names = [spec.name for spec in deployment.steps]
        return fold(names, EventReader(paths.events).read())


def _wheels(deployment: Deployment) -> tuple[WheelRef, ...]:
    return (*((deployment.wheel,) if deployment.wheel else ()), *deployment.also)
