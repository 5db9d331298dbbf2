"""The supervisor of a run in containers: it starts one for each step, and sees that none stays."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wheelrun.deployment import StepSpec
from wheelrun.errors import ClusterError, WheelrunError
from wheelrun.orchestrators.docker.containers import remove_containers, run_container
from wheelrun.orchestrators.docker.engine import Engine, EngineLostError, load_sdk
from wheelrun.runtime.apart import ApartExecution
from wheelrun.runtime.events import EventLog, EventReader
from wheelrun.runtime.execute import Execution
from wheelrun.runtime.launch import Launch
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.supervisor import GRACE, Supervisor, supervise
from wheelrun.runtime.worker import die_with_parent, end_with
from wheelrun.states import ErrorInfo

MODULE = __name__
"""What the supervisor's process is started with."""

SETTLE = 0.3
"""Seconds that an engine may take to make a container after whoever asked for it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerLaunch(Launch):
    """A launch whose steps run in containers.

    Attributes:
        engine: Where the engine listens, as `Engine.to_dict` has it.
        containers: A step's name -> the arguments for the SDK's `create`, secrets included.
    """

    engine: Mapping[str, Any]
    containers: Mapping[str, Mapping[str, Any]]


@dataclass(kw_only=True)
class ContainerExecution(ApartExecution):
    """An execution whose steps run in a container each; what is cached needs none."""

    engine: Engine
    containers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def _run_step(self, spec: StepSpec) -> None:
        if not self._recall(spec):
            super()._run_step(spec)

    def _may_join(self, spec: StepSpec, running: list[StepSpec], limit: int) -> bool:
        """Whether a step may start beside others: each has a process and an environment of its own."""
        del spec
        return len(running) < limit

    def _run_apart(self, spec: StepSpec) -> ErrorInfo:
        clock = Clock(EventReader(self.paths.events, from_end=True), spec)
        try:
            ended = run_container(self.engine, self.containers[spec.name], is_over=clock.is_over)
        except EngineLostError as error:
            raise ClusterError(
                f"the Docker engine went away while step {spec.name!r} was running: {error.message}",
                hint=f"start it, then: wheelrun resume {self.run_id}",
            ) from error
        except WheelrunError as error:
            return ErrorInfo(category=error.category, type=type(error).__name__, message=error.message, hint=error.hint)
        return clock.error() if ended is None else ended.error(spec.name)


class Clock:
    """Tells when a step that does not end itself has had its time, which counts from when its code is imported.

    Args:
        events: The run's events.
        spec: The step.
        now: Tells the time in seconds.
    """

    def __init__(self, events: EventReader, spec: StepSpec, *, now: Callable[[], float] = time.monotonic) -> None:
        self._events = events
        self._spec = spec
        self._now = now
        self._limit: float | None = None

    def is_over(self) -> bool:
        """Whether the step should have ended."""
        if self._spec.timeout is None:
            return False
        for event in self._events.read():
            if event.get("step") != self._spec.name:
                continue
            running = event["event"] == "clock"
            self._limit = self._now() + self._spec.timeout + GRACE if running else None
        return self._limit is not None and self._now() > self._limit

    def error(self) -> ErrorInfo:
        """Return the error of the step whose time is over."""
        message = f"step {self._spec.name!r} took longer than {self._spec.timeout:g} s"
        return ErrorInfo(category="timeout", type="StepTimeout", message=message)


@dataclass(kw_only=True)
class ContainerSupervisor(Supervisor):
    """Supervises a run in containers: when its worker has ended, however that was, no container of it is left."""

    launch: ContainerLaunch

    @property
    def _engine(self) -> Engine:
        return Engine(**self.launch.engine)

    def _work(self, events: int) -> int:
        die_with_parent(self._clear)
        log = EventLog(self.paths.events, also=events)
        execution: Execution = ContainerExecution(
            deployment=self.deployment,
            run_id=self.launch.run_id,
            root=ArtifactRoot(self.paths.path.parent.parent),
            log=log,
            launch=self.launch,
            events=events,
            engine=self._engine,
            containers=self.launch.containers,
        )
        try:
            execution.run_steps()
        except WheelrunError as error:
            end_with(error, self.deployment, self.paths, log)
        return 0

    def _watch(self, pid: int, reader: int) -> tuple[int, str]:
        status, why = super()._watch(pid, reader)
        self._clear(settle=SETTLE if status or why else 0.0)
        return status, why

    def _clear(self, settle: float = SETTLE) -> None:
        with contextlib.suppress(WheelrunError):  # the next command that finds the engine removes them
            remove_containers(self._engine, self.launch.run_id, settle=settle)


def main() -> None:
    """Read a launch from standard input and supervise it. Arguments: the lock's descriptor."""
    load_sdk()  # once, and not in each worker
    supervise(ContainerSupervisor, ContainerLaunch.from_json(sys.stdin.read()))
