"""A task of a job service as a part of a run: one step, or all of them, in the process that the service started.

The service starts the project wheel's own entry point with the wheels installed, and with a Spark session or the means
to get one. It repeats a task that failed, waits for what a task depends on, and ends what takes too long. What is left
to do here is to run the step, and to leave what comes of it below the artifact root.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError, WheelrunError
from wheelrun.runtime.entrypoint import BaseEntrypointConfiguration, open_deployment
from wheelrun.runtime.events import Event, EventLog, fold, line, parse
from wheelrun.runtime.execute import Execution, conclude, warn
from wheelrun.runtime.graph import Decision, decide
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.mirror import Mirror, history
from wheelrun.runtime.own_streams import written_to
from wheelrun.runtime.parts import task_key
from wheelrun.runtime.task_surroundings import Code, frames_of, make_ready, set_environment
from wheelrun.states import ErrorInfo, RunState
from wheelrun.step_settings import RunIf

PIPELINE = "pipeline"
"""The key of the task that runs all steps."""

_APPEARS = 30.0
"""Seconds until what was put below the artifact root a moment ago is seen where that is mounted."""


class TaskFailedError(Exception):
    """A task did not succeed. It is for the service, which shows it; all that is known of it is in the events."""


class RepeatedByServiceError(BaseException):
    """An attempt failed, and the service starts the next one."""


class PublishedLog(EventLog):
    """Events of which each start is told before anything is run: the process may die of it.

    Args:
        path: The file.
        push: Copies what is new of it to where others read it.
    """

    def __init__(self, path: Path, push: Callable[[], object]) -> None:
        super().__init__(path)
        self._push = push

    def emit(self, event: str, **fields: Any) -> None:
        """Append one event, and copy it if it is a start."""
        super().emit(event, **fields)
        if event == "step" and fields["state"] is RunState.RUNNING:
            with contextlib.suppress(OSError):  # it is tried again with what comes later
                self._push()


class _Task(BaseEntrypointConfiguration):
    """What both kinds of task have in common.

    The options: `source` is the run in whose folder the deployment lies, `start` which start of the run this is,
    `service_run` the service's id of it, and `service_task` of this attempt of the task.
    """

    options: ClassVar[tuple[str, ...]] = (
        "deployment_id", "run_id", "artifact_root", "source", "start", "service_run", "service_task",
    )  # fmt: skip

    def run(self) -> RunState:
        """Run, and leave what comes of it below the artifact root.

        Raises:
            TaskFailedError: it failed, or could not begin.
        """
        try:
            return self._run_there(ArtifactRoot(Path(self.arguments["artifact_root"])))
        except WheelrunError as error:  # the service takes no notice of an exit status
            raise TaskFailedError(f"{error.message}" + (f"; {error.hint}" if error.hint else "")) from error

    def _run_there(self, place: ArtifactRoot) -> RunState:
        deployment = self._deployment(place)
        self._claim(place)
        set_environment(deployment.environment)
        mirror = Mirror(place, self.arguments["run_id"], self.task, frames_of(place.path))
        try:
            with (
                written_to(mirror.paths.stdout, mirror.paths.stderr) as pass_on,
                mirror.kept_in_step(pass_on),
            ):
                state = self._run(mirror, deployment)
        finally:
            mirror.close()
        return state

    @property
    @abstractmethod
    def task(self) -> str:
        """The task's key."""

    @abstractmethod
    def steps(self, deployment: Deployment) -> list[str]:
        """Return the names of the steps that it runs."""

    @abstractmethod
    def execute(self, execution: Execution) -> None:
        """Run the steps."""

    def upstream(self, deployment: Deployment) -> list[str]:
        """Return the names of the steps before it whose states it has to know."""
        del deployment
        return []

    def _run(self, mirror: Mirror, deployment: Deployment) -> RunState:
        steps, before = self.steps(deployment), self.upstream(deployment)
        start = int(self.arguments["start"])
        own = mirror.events_of([self.task])
        told = [*settled(deployment, before, mirror.events_of([task_key(name) for name in before])), *own]
        mirror.begin(history(told))
        log = PublishedLog(mirror.paths.events, mirror.push)
        last = max((event["start"] for event in own if event["event"] == "task"), default=start)
        if last < start:
            again = [each.name for each in fold(steps, own).steps if not each.state.is_success]
            log.emit("resume", steps=again)
            own = []
        log.emit(
            "task",
            start=start,
            service_run=self.arguments["service_run"],
            service_task=self.arguments["service_task"],
            python=platform.python_version(),
            host=platform.node(),
            pid=os.getpid(),
        )
        mirror.fetch(deployment, steps)
        _wait_for_turn(own)
        code = Code.of(deployment, mirror.place, mirror.local.path / "code")
        if code.archives:
            warn(log, "another version of the project is installed on the cluster; this run has its own copy in front")
        execution = Execution(
            deployment=deployment,
            run_id=self.arguments["run_id"],
            root=mirror.local,
            log=log,
            code=code.folders,
            frames=mirror.frames,
            ready=functools.partial(make_ready, deployment.conf, code),
        )
        with contextlib.suppress(RepeatedByServiceError):
            self.execute(execution)
        log.close()
        status = fold(steps, parse(mirror.paths.events.read_bytes()))
        wrong = [step for step in status.steps if not step.state.is_success and step.state is not RunState.SKIPPED]
        if wrong:
            raise TaskFailedError("; ".join(f"step {step.name!r} failed: {_said(step.error)}" for step in wrong))
        return RunState.SUCCEEDED

    def _deployment(self, place: ArtifactRoot) -> Deployment:
        paths = place.run(self.arguments["source"])
        limit = time.monotonic() + _APPEARS
        while not paths.deployment.exists() and time.monotonic() < limit:
            time.sleep(0.5)
        return open_deployment(paths, self.arguments["deployment_id"])

    def _claim(self, place: ArtifactRoot) -> None:
        """Take this start of the run for the service's run that this task belongs to.

        Raises:
            ConfigurationError: it was revoked, or another run has it.
        """
        path = place.run(self.arguments["run_id"]).claim(int(self.arguments["start"]))
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError), path.open("x", encoding="utf-8") as stream:
            stream.write(self.arguments["service_run"])
        holder = path.read_text(encoding="utf-8")
        limit = time.monotonic() + _APPEARS
        while not holder and time.monotonic() < limit:  # another task of the run is writing it
            time.sleep(0.2)
            holder = path.read_text(encoding="utf-8")
        if holder != self.arguments["service_run"]:
            raise ConfigurationError(
                f"this start of run {self.arguments['run_id']} was withdrawn, or belongs to another run ({holder})"
            )


class StepTaskEntrypointConfiguration(_Task):
    """One step in a task of its own; the service repeats it where it has retries."""

    options: ClassVar[tuple[str, ...]] = (*_Task.options, "task_key")

    @property
    def task(self) -> str:
        """The task's key."""
        return self.arguments["task_key"]

    def steps(self, deployment: Deployment) -> list[str]:
        """Return the name of the step.

        Raises:
            ConfigurationError: there is none with that key.
        """
        for spec in deployment.steps:
            if task_key(spec.name) == self.task:
                return [spec.name]
        raise ConfigurationError(f"deployment {deployment.name!r} has no step of the key {self.task!r}")

    def upstream(self, deployment: Deployment) -> list[str]:
        """Return the steps that it depends on; all that are before it if it may run when one of them has failed."""
        (name,) = self.steps(deployment)
        spec = deployment.step(name)
        found = set(spec.upstream)
        left = [] if spec.run_if is RunIf.ALL_SUCCEEDED else [*found]
        while left:
            more = set(deployment.step(left.pop()).upstream) - found
            found |= more
            left += more
        return [each.name for each in deployment.steps if each.name in found]

    def execute(self, execution: Execution) -> None:
        """Run the step once."""
        (name,) = self.steps(execution.deployment)
        if execution.states[name].is_terminal:
            return
        execution.sleep = _leave_it_to_the_service
        execution.run_one(name)


class PipelineTaskEntrypointConfiguration(_Task):
    """All steps of a deployment in one task, with one Spark session."""

    @property
    def task(self) -> str:
        """The task's key."""
        return PIPELINE

    def steps(self, deployment: Deployment) -> list[str]:
        """Return the names of all steps."""
        return [spec.name for spec in deployment.steps]

    def execute(self, execution: Execution) -> None:
        """Run every step that has not ended."""
        execution.run_steps()
        conclude(execution.deployment, execution.paths, execution.log)


def failing_before(deployment: Deployment, name: str) -> list[str]:
    """Return the steps whose failure keeps a step from running, directly or not, itself included."""
    found, left = {name: None}, [name]
    while left:
        spec = deployment.step(left.pop())
        if spec.run_if is RunIf.ALL_SUCCEEDED:
            left += [each for each in spec.upstream if each not in found]
            found |= dict.fromkeys(spec.upstream)
    return list(found)


def settled(deployment: Deployment, names: Sequence[str], events: list[Event]) -> list[Event]:
    """Return the events of steps that have ended, with an end for those that did not tell theirs.

    Args:
        deployment: The deployment.
        names: The steps, each behind what it depends on.
        events: What is known of them.
    """
    found = {step.name: step.state for step in fold(names, events).steps}
    # of what is not asked about it is known that it did not keep the others from running
    states = {spec.name: found.get(spec.name, RunState.SUCCEEDED) for spec in deployment.steps}
    steps = {spec.name: spec for spec in deployment.steps}
    added = []
    for name in names:
        if states[name].is_terminal:
            continue
        began = states[name] is RunState.RUNNING
        decision, reason = decide(steps[name], states, steps)
        if decision is Decision.SKIP and not began:
            states[name] = RunState.SKIPPED
            fields: dict[str, Any] = {"reason": reason}
        else:
            states[name] = RunState.FAILED
            fields = {"error": ErrorInfo(category="cluster", message=f"step {name!r} ended without a word")}
        added += parse(line("step", time.time(), {"step": name, "state": states[name], **fields}))
    return [*events, *added]


def _wait_for_turn(own: list[Event]) -> None:
    """Wait until a step may be tried again: the service waits as long as before the first retry."""
    ends = [event for event in own if event["event"] == "step" and "retry_in" in event]
    if ends:
        time.sleep(max(0.0, ends[-1]["time"] + ends[-1]["retry_in"] - time.time()))


def _leave_it_to_the_service(_seconds: float) -> None:
    raise RepeatedByServiceError


def _said(error: ErrorInfo | None) -> str:
    return "it ended without a word" if error is None else f"{error.type}: {error.message}".lstrip(": ")
