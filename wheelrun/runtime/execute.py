"""Running a deployment's steps in this process: order, attempts, values, events.

Everything that a client may want to know is an event; nothing is kept that the events do not tell, so another process
can take a run up where this one left it.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wheelrun.deployment import Deployment, StepSpec
from wheelrun.errors import ConfigurationError
from wheelrun.outputs import name_outputs
from wheelrun.pipelines import Pipeline, Step
from wheelrun.runtime import artifacts
from wheelrun.runtime.context import ACTIVE, CurrentRun
from wheelrun.runtime.deadline import deadline
from wheelrun.runtime.events import EventLog, EventReader, fold
from wheelrun.runtime.explain import explain
from wheelrun.runtime.graph import Decision, decide
from wheelrun.runtime.layout import ArtifactRoot, RunPaths
from wheelrun.runtime.scripts import run_script
from wheelrun.runtime.session import active_context, application_id
from wheelrun.runtime.surroundings import environment, flush, only_this_process
from wheelrun.runtime.values import decode, resolve
from wheelrun.signatures import session_parameters, spark_session
from wheelrun.states import ErrorInfo, RunState


class SessionLostError(Exception):
    """The JVM died under a step; this process cannot run any more Spark."""


@dataclass(slots=True, kw_only=True)
class Execution:
    """One process's part in a run.

    Attributes:
        deployment: What runs.
        run_id: The run's id.
        root: The artifact root.
        log: Where events go.
        code: Folders that the user's code was imported from, to shorten tracebacks and find scripts.
        source_root: The working tree beside a local run, for hints about what does not ship.
        logs: The files that take this process's output, stdout and stderr; the run's own by default.
        sleep: Waits between attempts.
        ready: Called when a step's code was imported and is about to be called: waits for the JVM, if one was started.
        session_alive: Whether the JVM that was started for this process still runs.
        between: Called when a step has ended: stops its application, where each step has one of its own.
        states: Each step's state; filled from the events that are there.
        attempts: How many attempts each step has had.
    """

    deployment: Deployment
    run_id: str
    root: ArtifactRoot
    log: EventLog
    code: tuple[Path, ...] = ()
    source_root: Path | None = None
    logs: tuple[Path, ...] = ()
    sleep: Callable[[float], None] = time.sleep
    ready: Callable[[], None] = lambda: None
    session_alive: Callable[[], bool] = lambda: True
    between: Callable[[], None] = lambda: None
    states: dict[str, RunState] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    _keys: Mapping[str, str] = field(default_factory=dict)
    _steps: Mapping[str, StepSpec] = field(default_factory=dict)
    _alone: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        names = [spec.name for spec in self.deployment.steps]
        events = EventReader(self.paths.events).read()
        self._alone = frozenset(event["step"] for event in events if event.get("alone"))
        for status in fold(names, events).steps:
            self.states[status.name] = status.state
            self.attempts[status.name] = status.attempts
        self._keys = self.deployment.step_keys()
        self._steps = {spec.name: spec for spec in self.deployment.steps}

    @property
    def paths(self) -> RunPaths:
        """The run's paths."""
        return self.root.run(self.run_id)

    def run_all(self) -> RunState:
        """Run every step that has not ended, and tell the run's end; raises as `run_steps` does."""
        self.run_steps()
        return conclude(self.deployment, self.paths, self.log)

    def run_steps(self) -> None:
        """Run every step that has not ended.

        Raises:
            SessionLostError: the JVM died; the steps that are left need another process.
        """
        self.log.emit("run", state=RunState.RUNNING)
        if self.deployment.max_parallel_steps > 1:
            self._run_parallel(self.deployment.max_parallel_steps)
        else:
            self._run_in_order()

    def run_one(self, name: str) -> RunState:
        """Run one step with its retries; its upstream must have ended."""
        spec = self.deployment.step(name)
        decision, reason = decide(spec, self.states, self._steps)
        if decision is Decision.WAIT:
            raise ConfigurationError(f"step {name!r} cannot run: what it depends on has not ended")
        if decision is Decision.SKIP:
            self._skip(spec, reason)
        else:
            self._run_step(spec)
        return self.states[name]

    def _run_in_order(self) -> None:
        for spec in self.deployment.steps:
            if self.states[spec.name].is_terminal:
                continue
            decision, reason = decide(spec, self.states, self._steps)
            if decision is Decision.SKIP:
                self._skip(spec, reason)
            else:
                self._run_step(spec)
                self.between()

    def _run_parallel(self, limit: int) -> None:
        waiting = [spec for spec in self.deployment.steps if not self.states[spec.name].is_terminal]
        running: dict[Future[None], StepSpec] = {}
        with ThreadPoolExecutor(limit, thread_name_prefix="step") as pool:
            while waiting or running:
                for spec in list(waiting):
                    decision, reason = decide(spec, self.states, self._steps)
                    if decision is Decision.SKIP:
                        waiting.remove(spec)
                        self._skip(spec, reason)
                    elif decision is Decision.RUN and self._may_join(spec, list(running.values()), limit):
                        waiting.remove(spec)
                        running[pool.submit(self._run_step, spec)] = spec
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    del running[future]
                    future.result()

    def _may_join(self, spec: StepSpec, running: list[StepSpec], limit: int) -> bool:
        """Whether a step may start beside others.

        One with environment variables may not, since they are the process's; nor may one whose process died when
        others ran in it too, so that the next time it is clear whose fault it is.
        """
        if not running:
            return True
        return len(running) < limit and not any(
            each.environment or each.name in self._alone for each in (spec, *running)
        )

    def _skip(self, spec: StepSpec, reason: str | None) -> None:
        self.states[spec.name] = RunState.SKIPPED
        self.log.emit("step", step=spec.name, state=RunState.SKIPPED, reason=reason)

    def _run_step(self, spec: StepSpec) -> None:
        if self._recall(spec):
            return
        while True:
            attempt = self.attempts[spec.name] = self.attempts[spec.name] + 1
            flush()
            self.log.emit(
                "step",
                step=spec.name,
                state=RunState.RUNNING,
                attempt=attempt,
                **self._offsets(),
            )
            try:
                outputs = self._attempt(spec, attempt)
            except BaseException as error:
                lost = not self.session_alive()
                info = explain(error, spec, code=self.code, source_root=self.source_root, jvm_died=lost)
                delay = self._settle(spec, attempt, info)
                if isinstance(error, KeyboardInterrupt):  # whoever runs this process knows whether it was the user's
                    raise
                if delay is not None:
                    self.sleep(delay)
                if lost:
                    raise SessionLostError(info.message) from None
                if delay is None:
                    return
            else:
                self._succeed(spec, attempt, outputs)
                return

    def _settle(self, spec: StepSpec, attempt: int, info: ErrorInfo) -> float | None:
        """Tell a failed attempt, and return the seconds to wait for the next one, or None if there is none."""
        flush()
        delay = retry_delay(spec, attempt)
        self.states[spec.name] = RunState.FAILED if delay is None else RunState.QUEUED
        self.log.emit(
            "step",
            step=spec.name,
            state=RunState.FAILED,
            attempt=attempt,
            error=info,
            retry_in=delay,
            **self._offsets(),
        )
        return delay

    def _succeed(self, spec: StepSpec, attempt: int, outputs: list[dict[str, Any]]) -> None:
        flush()
        application = application_id()
        if application:
            self.log.emit("application", step=spec.name, id=application)
        if spec.cache:
            folders = {name: self.paths.output(spec.name, name) for name in spec.output_names}
            artifacts.remember(self.root.step_index(self._keys[spec.name]), folders, outputs)
        self.states[spec.name] = RunState.SUCCEEDED
        self.log.emit(
            "step",
            step=spec.name,
            state=RunState.SUCCEEDED,
            attempt=attempt,
            outputs=outputs,
            **self._offsets(),
        )

    def _recall(self, spec: StepSpec) -> bool:
        if not spec.cache:
            return False
        found = artifacts.recall(self.root.step_index(self._keys[spec.name]))
        if found is None:
            return False
        folders, outputs = found
        for name, folder in folders.items():
            artifacts.adopt(folder, self.paths.output(spec.name, name))
        self.states[spec.name] = RunState.CACHED
        self.log.emit("step", step=spec.name, state=RunState.CACHED, outputs=outputs)
        return True

    def _attempt(self, spec: StepSpec, attempt: int) -> list[dict[str, Any]]:
        current = CurrentRun(
            run_id=self.run_id,
            name=self.deployment.name,
            step=spec.name,
            attempt=attempt,
            artifact_root=self.root.path,
            states={name: state for name, state in self.states.items() if state.is_terminal},
        )
        token = ACTIVE.set(current)
        try:
            with environment(spec.environment):
                body = self._script(spec) if spec.kind == "script" else self._call(spec)
                # the step's time counts from here: imports and the start of Spark are not its own
                self.log.emit("clock", step=spec.name, timeout=spec.timeout)
                with deadline(spec.timeout, self._cancel_jobs(spec)):
                    return body()
        finally:
            ACTIVE.reset(token)

    def _script(self, spec: StepSpec) -> Callable[[], list[dict[str, Any]]]:
        """Make ready to run a script, and return what runs it."""
        self.ready()

        def body() -> list[dict[str, Any]]:
            _group_jobs(self.run_id, spec.name)
            run_script(spec.function, self.deployment.argv, self.code)
            return []

        return body

    def _call(self, spec: StepSpec) -> Callable[[], list[dict[str, Any]]]:
        """Import a step's function and make its session, and return what loads its inputs, calls it and saves."""
        with only_this_process():
            target = resolve(spec.function)
        function = target.function if isinstance(target, Step | Pipeline) else target
        self.ready()
        session = {name: spark_session() for name in session_parameters(function)}
        sys.argv = [spec.function, *self.deployment.argv]

        def body() -> list[dict[str, Any]]:
            _group_jobs(self.run_id, spec.name)
            arguments = {name: decode(tree, self._load) for name, tree in spec.arguments.items()}
            return self._save(spec, _called(function, {**arguments, **session}))

        return body

    def _load(self, tag: str, content: Any) -> Any:
        """Load what an argument refers to; an output that never came is None (for steps that run after a failure)."""
        if tag != "$output":
            raise ConfigurationError(f"unknown tag {tag!r} in a deployment", hint="upgrade wheelrun where the run runs")
        step, output = content
        if not self.states[step].is_success:
            return None
        return artifacts.load(self.paths.output(step, output))

    def _save(self, spec: StepSpec, value: Any) -> list[dict[str, Any]]:
        value = name_outputs(spec.name, spec.outputs, value)
        described = []
        for name, item in zip(spec.output_names, value if spec.outputs else (value,), strict=True):
            meta = artifacts.save(self.paths.output(spec.name, name), item)
            if meta["format"] == "pickle":
                self.warn(
                    f"step {spec.name!r}: output {name!r} of type {meta['type']} was pickled; it can be read only "
                    "where the same Python and libraries are"
                )
            described.append({"name": name, **meta})
        return described

    def warn(self, message: str) -> None:
        """Tell something that the user should know and that stops nothing: as an event, and in the run's log."""
        current = ACTIVE.get()
        self.log.emit("warning", step=current.step if current else None, message=message)
        with contextlib.suppress(Exception):  # the user's code may have closed or replaced the stream
            sys.stderr.write(f"wheelrun: warning: {message}\n")

    def _cancel_jobs(self, spec: StepSpec) -> Callable[[], None]:
        def cancel() -> None:
            context = active_context()
            if context is not None:
                with contextlib.suppress(Exception):  # the JVM may be the reason for the timeout
                    context.cancelJobGroup(f"{self.run_id}:{spec.name}")

        return cancel

    def _offsets(self) -> dict[str, int]:
        """Return how long the run's log files are now: where in them this step's part starts or ends."""
        sizes = {}
        for name, path in zip(("stdout", "stderr"), self.logs or (self.paths.stdout, self.paths.stderr), strict=True):
            with contextlib.suppress(OSError):
                sizes[name] = path.stat().st_size
        return sizes


def conclude(deployment: Deployment, paths: RunPaths, log: EventLog) -> RunState:
    """Tell the end of a run whose steps have all ended, from its events, and return its state."""
    status = fold([spec.name for spec in deployment.steps], EventReader(paths.events).read())
    failed = [step for step in status.steps if step.state is RunState.FAILED]
    if not failed:
        log.emit("run", state=RunState.SUCCEEDED)
        return RunState.SUCCEEDED
    first = min(failed, key=lambda step: step.ended_at or 0.0)
    error = first.error or ErrorInfo(category="user code", message="")
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    log.emit(
        "run",
        state=RunState.FAILED,
        error=ErrorInfo(
            category=error.category,
            type=error.type,
            message=f"step {first.name!r} failed{more}: {error.message}",
            traceback=error.traceback,
            hint=error.hint,
        ),
    )
    return RunState.FAILED


def retry_delay(spec: StepSpec, attempt: int) -> float | None:
    """Return the seconds between a failed attempt (from 1) and the next one, or None if there is no next one."""
    if attempt > spec.retries:
        return None
    return float(spec.retry_delay * spec.retry_backoff ** (attempt - 1))


def _called(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call a function; a coroutine is run to its end, and an exit with status 0 is an end without a value."""
    try:
        with only_this_process():
            value = function(**arguments)
            return asyncio.run(value) if inspect.iscoroutine(value) else value
    except SystemExit as error:
        if error.code in (None, 0):
            return None
        raise


def _group_jobs(run_id: str, step: str) -> None:
    context = active_context()
    if context is not None:
        context.setJobGroup(f"{run_id}:{step}", step, interruptOnCancel=True)
