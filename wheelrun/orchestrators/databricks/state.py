"""What the service says of a run and its tasks, laid over what the tasks told themselves: pure functions, by tables."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wheelrun.deployment import Deployment
from wheelrun.orchestrators.remote_run import ended
from wheelrun.runtime.events import Event, fold
from wheelrun.states import ErrorInfo, RunState, RunStatus, StepStatus

LIFE_CYCLE = {
    "BLOCKED": (RunState.QUEUED, "it waits for steps before it"),
    "PENDING": (RunState.QUEUED, "its cluster and libraries are made ready"),
    "QUEUED": (RunState.QUEUED, "the service has it in its queue"),
    "WAITING_FOR_RETRY": (RunState.QUEUED, "it waits to be tried again"),
    "WAITING": (RunState.QUEUED, "it waits to be tried again"),
    "RUNNING": (RunState.RUNNING, None),
    "TERMINATING": (RunState.RUNNING, "it is ending"),
}
"""A life cycle that has not ended -> our state, and why it is in it."""

RESULT = {
    "SUCCESS": RunState.SUCCEEDED,
    "SUCCESS_WITH_FAILURES": RunState.FAILED,
    "FAILED": RunState.FAILED,
    "TIMEDOUT": RunState.FAILED,
    "CANCELED": RunState.CANCELLED,
    "EXCLUDED": RunState.SKIPPED,
    "UPSTREAM_FAILED": RunState.SKIPPED,
    "UPSTREAM_CANCELED": RunState.SKIPPED,
    "MAXIMUM_CONCURRENT_RUNS_REACHED": RunState.FAILED,
    "DISABLED": RunState.SKIPPED,
}
"""How something ended that did -> our state."""

ENDED_WITHOUT_RESULT = {"INTERNAL_ERROR": RunState.FAILED, "SKIPPED": RunState.SKIPPED}
"""A life cycle that has ended, where there is no result -> our state."""

CATEGORY = {
    "CANCELED": "cancelled",
    "USER_CANCELED": "cancelled",
    "RUN_EXECUTION_ERROR": "user code",
    "LIBRARY_INSTALLATION_ERROR": "library",
    "INVALID_CLUSTER_REQUEST": "configuration",
    "INVALID_RUN_CONFIGURATION": "configuration",
    "RESOURCE_NOT_FOUND": "configuration",
    "UNAUTHORIZED_ERROR": "configuration",
    "FEATURE_DISABLED": "configuration",
}
"""A termination code -> a category of our errors; all others are the cluster's."""

_WORDS = {
    "TIMEDOUT": "it took longer than it may",
    "EXCLUDED": "its condition was not met",
    "UPSTREAM_FAILED": "a step before it failed",
    "UPSTREAM_CANCELED": "a step before it was cancelled",
    "MAXIMUM_CONCURRENT_RUNS_REACHED": "too many runs of the job go on",
    "DISABLED": "it is disabled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """What the service says of a run or a task.

    Attributes:
        key: The task's key; empty for a run.
        id: The service's id of it.
        state: Our state for it.
        result: The service's word for how it ended; empty while it has not.
        code: The termination code, if any.
        message: What is said of it.
        attempt: Which attempt it is, from 1.
        started_at: Its start, in seconds since the epoch.
        ended_at: Its end, in seconds since the epoch.
        url: Its page.
    """

    key: str = ""
    id: int = 0
    state: RunState = RunState.UNKNOWN
    result: str = ""
    code: str = ""
    message: str = ""
    attempt: int = 1
    started_at: float | None = None
    ended_at: float | None = None
    url: str | None = None

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Native:
        """Read a run, or a task of one, as `runs/get` gives it."""
        state, status = table.get("state") or {}, table.get("status") or {}
        details = status.get("termination_details") or {}
        life = str(state.get("life_cycle_state") or status.get("state") or "")
        result = str(state.get("result_state") or "")
        found, why = LIFE_CYCLE.get(life, (RunState.UNKNOWN, f"the service calls it {life or 'nothing'}"))
        if life in ("TERMINATED", *ENDED_WITHOUT_RESULT):
            found, why = RESULT.get(result) or ENDED_WITHOUT_RESULT.get(life, RunState.UNKNOWN), _WORDS.get(result)
            if found is RunState.UNKNOWN:
                why = f"the service says that it ended with {result or life}"
            result = result or life
        message = str(state.get("state_message") or details.get("message") or state.get("queue_reason") or why or "")
        return cls(
            key=str(table.get("task_key") or ""),
            id=int(table.get("run_id") or 0),
            state=found,
            result=result if found.is_terminal else "",
            code=str(details.get("code") or ""),
            message=message,
            attempt=int(table.get("attempt_number") or 0) + 1,
            started_at=_seconds(table.get("start_time")),
            ended_at=_seconds(table.get("end_time")),
            url=table.get("run_page_url"),
        )

    def error(self, what: str) -> ErrorInfo | None:
        """Return why it failed or was cancelled, None if it did not.

        Args:
            what: What it is, such as "step 'load'".
        """
        hint = f"its page: {self.url}" if self.url else None
        if self.state is RunState.CANCELLED:
            return ErrorInfo(category="cancelled", message=self.message or f"{what} was cancelled", hint=hint)
        if self.state is not RunState.FAILED:
            return None
        if self.result == "TIMEDOUT":
            return ErrorInfo(category="timeout", message=f"{what} took longer than it may: {self.message}", hint=hint)
        category = CATEGORY.get(self.code, "user code" if self.result == "FAILED" and not self.code else "cluster")
        return ErrorInfo(category=category, message=f"{what} failed: {self.message or self.result}", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeRun:
    """A run as the service has it.

    Attributes:
        run: The run itself.
        tasks: The last attempt of each task, by its key.
        job_id: The job's id, if it is one's.
        repairs: The ids of its repairs, in their order.
    """

    run: Native
    tasks: Mapping[str, Native]
    job_id: int | None = None
    repairs: tuple[int, ...] = ()

    @classmethod
    def of(cls, run: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]]) -> NativeRun:
        """Read a run, and the tasks of all its pages."""
        last: dict[str, Native] = {}
        for native in sorted(map(Native.of, tasks), key=lambda each: (each.attempt, each.id)):
            last[native.key] = native
        history = run.get("repair_history") or ()
        return cls(
            run=Native.of(run),
            tasks=last,
            job_id=run.get("job_id"),
            repairs=tuple(int(each["id"]) for each in history if each.get("type") == "REPAIR"),
        )

    def since(self, attempts: Mapping[str, int]) -> NativeRun:
        """Return the run with its attempts counted from a repair.

        Args:
            attempts: The attempts before it, by the keys of the tasks that it runs again.
        """
        tasks = {
            key: replace(task, attempt=task.attempt - attempts[key])
            if task.attempt > attempts.get(key, 0) > 0
            else task
            for key, task in self.tasks.items()
        }
        return replace(self, tasks=tasks)


def overlaid(
    deployment: Deployment, native: NativeRun, told: Mapping[str, Sequence[Event]], *, now: float | None = None
) -> RunStatus:
    """Return where a run is whose steps are tasks of their own.

    Args:
        deployment: What runs.
        native: What the service says.
        told: What the tasks told, by their keys; of those that have not ended it need not be known.
        now: The time, in seconds since the epoch.
    """
    from wheelrun.runtime.parts import task_key

    steps = []
    for spec in deployment.steps:
        task = native.tasks.get(task_key(spec.name))
        steps.append(step_of(spec.name, task, told.get(task_key(spec.name), ())))
    return concluded(native.run, steps, deployment.timeout, now=time.time() if now is None else now)


def step_of(name: str, task: Native | None, told: Sequence[Event]) -> StepStatus:
    """Return where a step is that is a task of its own.

    Args:
        name: The step's name.
        task: What the service says of its task, None if it does not know it yet.
        told: What the task told.
    """
    (status,) = fold([name], told).steps
    if task is None:
        return status if status.state.is_success else StepStatus(name=name)
    is_current = any(event["event"] == "task" and event.get("service_task") == str(task.id) for event in told)
    was_ended = task.state is RunState.CANCELLED or task.result == "TIMEDOUT"  # whatever that made of its code
    if is_current and status.state.is_terminal and (status.state.is_success or not was_ended):
        if status.attempts:  # of those that did not come so far only the service knows
            status = replace(status, attempts=task.attempt)
        if status.error is not None and status.error.hint is None and task.url:
            return replace(status, error=replace(status.error, hint=f"its page: {task.url}"))
        return status
    begun = task.started_at and task.state not in (RunState.SKIPPED, RunState.QUEUED)
    found = StepStatus(
        name=name,
        state=task.state,
        attempts=task.attempt if begun else 0,
        started_at=(status.started_at if is_current else None) or task.started_at,
        ended_at=task.ended_at if task.state.is_terminal else None,
        error=task.error(f"step {name!r}"),
        reason=task.message or None,
    )
    if task.state is RunState.SKIPPED:
        return replace(found, started_at=None)
    if task.state is RunState.SUCCEEDED:  # a process that did the work told of it
        error = ErrorInfo(category="cluster", message=f"the task of step {name!r} ended without a word of its step")
        return replace(found, state=RunState.FAILED, error=error)
    return found


def all_in_one(
    deployment: Deployment, native: NativeRun, told: Sequence[Event], *, now: float | None = None
) -> RunStatus:
    """Return where a run is whose steps share one task.

    Args:
        deployment: What runs.
        native: What the service says.
        told: What the task told.
        now: The time, in seconds since the epoch.
    """
    moment = time.time() if now is None else now
    task = next(iter(native.tasks.values()), native.run)
    status = fold([spec.name for spec in deployment.steps], told)
    is_current = any(event["event"] == "task" and event.get("service_task") == str(task.id) for event in told)
    if is_current and status.state.is_terminal:
        return replace(status, url=native.run.url)
    if not native.run.state.is_terminal:
        started = status.started_at if is_current else native.run.started_at
        return replace(
            status, state=native.run.state, reason=native.run.message or None, started_at=started, url=native.run.url
        )
    state = native.run.state if native.run.state is RunState.CANCELLED else RunState.FAILED
    error = _run_error(native.run, deployment.timeout) or task.error("the run's task")
    error = error or ErrorInfo(category="cluster", message="the run's task ended without a word of its steps")
    end = ended(status, state, error, now=native.run.ended_at or moment)
    return replace(end, started_at=status.started_at or native.run.started_at, url=native.run.url)


def concluded(run: Native, steps: Sequence[StepStatus], timeout: float | None, *, now: float) -> RunStatus:
    """Return where a run is, from where its steps are and what the service says of it.

    Args:
        run: What the service says of the run.
        steps: Its steps.
        timeout: How many seconds it may take, None for no limit.
        now: The time, in seconds since the epoch.
    """
    starts = [step.started_at for step in steps if step.started_at is not None]
    status = RunStatus(
        state=run.state,
        steps=tuple(steps),
        started_at=min([run.started_at or now, *starts]) if run.started_at or starts else None,
        reason=run.message or None if not run.state.is_terminal else None,
        url=run.url,
    )
    if not run.state.is_terminal:
        return status
    ends = [step.ended_at for step in steps if step.ended_at is not None]
    status = replace(status, ended_at=max([run.ended_at or 0.0, *ends]) or now)
    failed = [step for step in steps if step.state is RunState.FAILED]
    error = _run_error(run, timeout)
    if error is None and failed:
        first = min(failed, key=lambda step: step.ended_at or 0.0)
        cause = first.error or ErrorInfo(category="user code", message="")
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        said = cause.message.removeprefix(f"step {first.name!r} failed: ")
        error = replace(cause, message=f"step {first.name!r} failed{more}: {said}")
    left = [step for step in steps if not step.state.is_terminal]
    if error is None and left and run.state is not RunState.FAILED:
        error = ErrorInfo(category="cluster", message=f"the run ended before step {left[0].name!r} did")
    if error is not None or run.state is RunState.FAILED:
        error = error or run.error("the run")
        state = run.state if run.state is RunState.CANCELLED else RunState.FAILED
        assert error is not None
        return replace(ended(status, state, error, now=status.ended_at or now), ended_at=status.ended_at)
    return status


def _run_error(run: Native, timeout: float | None) -> ErrorInfo | None:
    """Return the error of a run that was ended by the service or by somebody."""
    if run.state is RunState.CANCELLED:
        return ErrorInfo(category="cancelled", message="the run was cancelled")
    if run.state is RunState.SKIPPED:
        return ErrorInfo(category="cluster", message=f"the service has left the run out: {run.message or run.result}")
    if run.result == "TIMEDOUT":
        limit = "it may" if timeout is None else f"{timeout:g} s"
        return ErrorInfo(category="timeout", type="RunTimeout", message=f"the run took longer than {limit}")
    return None


def _seconds(milliseconds: Any) -> float | None:
    return milliseconds / 1000 if milliseconds else None
