"""What attempts do, by the kind of their task."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from wheelrun.emulator.compute.work import Outcome, Work
from wheelrun.emulator.engine import endings, given
from wheelrun.emulator.engine.endings import Ending
from wheelrun.emulator.engine.flow import Body, Flow
from wheelrun.emulator.engine.records import Attempt
from wheelrun.emulator.engine.references import ReferenceFailedError, resolved
from wheelrun.emulator.errors import ApiError


def body(flow: Flow) -> Body:
    """Return what an attempt does."""
    return _BODIES[given.kind_of(flow.attempt.task)](flow)


class Computed:
    """Runs on a cluster."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._stop = threading.Event()
        self._future: Future[None] | None = None
        self._own: str | None = None

    def start(self) -> None:
        """Hand the attempt to a thread of the pool."""
        flow, scene = self._flow, self._flow.scene
        try:
            task = given.command(flow.attempt.task, scene.run.latest.overriding, scene.context(flow.attempt))
            cluster_id, is_own = scene.clusters.of(flow.attempt.task)
        except ReferenceFailedError as error:
            flow.finish(endings.misconfigured(str(error)))
            return
        except ApiError as error:
            flow.finish(_failed(error.message, code="INVALID_CLUSTER_REQUEST"))
            return
        flow.save(cluster_id=cluster_id, resolved=task)
        work = Work(
            run_id=flow.attempt.run_id,
            task=task,
            libraries=flow.attempt.task.get("libraries", ()),
            folder=scene.means.records.folder(flow.attempt.run_id),
            values=_values(flow),
        )
        self._own = cluster_id if is_own else None
        self._future = scene.means.pool.submit(self._execute, cluster_id, work)

    def stop(self) -> None:
        """End its processes, or never start them."""
        self._stop.set()
        if self._future is not None and self._future.cancel():
            self._flow.scene.means.pool.submit(self._release)
            self._flow.finish(endings.CANCELED)

    def _execute(self, cluster_id: str, work: Work) -> None:
        flow, means, post = self._flow, self._flow.scene.means, self._flow.scene.loop.post
        post(flow.executing)
        work.folder.mkdir(mode=0o700, exist_ok=True)
        means.stops.add(self._stop)
        try:
            try:
                outcome = means.compute.execute(cluster_id, work, self._stop)
            finally:
                means.stops.discard(self._stop)
                self._release()
        except Exception as error:  # noqa: BLE001 - whatever it is, the attempt has to end
            outcome = Outcome(
                result="INTERNAL_ERROR", code="INTERNAL_ERROR", message=f"{type(error).__name__}: {error}"
            )
        post(lambda: flow.finish(endings.of_outcome(outcome), error=outcome.error, trace=outcome.trace))

    def _release(self) -> None:
        if self._own is not None:
            self._flow.scene.means.compute.release(self._own)


class Condition:
    """Compares, at once."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    def start(self) -> None:
        """Compare."""
        flow = self._flow
        try:
            task = resolved(flow.attempt.task["condition_task"], flow.scene.context(flow.attempt))
            outcome = str(given.holds(task)).lower()
        except (ReferenceFailedError, ValueError) as error:
            flow.finish(endings.misconfigured(str(error)))
            return
        flow.finish(endings.SUCCESS, resolved={"condition_task": task}, outcome=outcome)

    def stop(self) -> None:
        """It has ended already."""


class ForEach:
    """Runs a task once for each input, so many at a time."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._left: deque[Any] = deque()
        self._flows: list[Flow] = []
        self._running = 0
        self._finished = False

    def start(self) -> None:
        """Begin as many iterations as there may be."""
        flow = self._flow
        try:
            self._left.extend(given.inputs(flow.attempt.task, flow.scene.context(flow.attempt)))
        except (ReferenceFailedError, ValueError) as error:
            flow.finish(endings.misconfigured(str(error)))
            return
        flow.executing(inputs=len(self._left))
        self._go_on()

    def stop(self) -> None:
        """Cancel what runs, and begin no more."""
        self._left.clear()
        for one in self._flows:
            one.cancel(endings.CANCELED)

    def _go_on(self) -> None:
        each = self._flow.attempt.task["for_each_task"]
        while self._left and self._running < each.get("concurrency", 1):
            self._running += 1
            self._begin(each["task"], self._left.popleft())
        if not self._running and not self._finished:
            self._finished = True
            self._flow.finish(_of_iterations([one.attempt for one in self._flows]))

    def _begin(self, task: Mapping[str, Any], item: Any) -> None:
        parent, scene = self._flow.attempt, self._flow.scene
        run_id = scene.means.records.new_id()
        attempt = Attempt(
            run_id=run_id,
            job_run_id=parent.job_run_id,
            owner=parent.run_id,
            key=task["task_key"],
            original=run_id,
            passed=parent.passed,
            task=task,
            item=item,
        )
        scene.means.records.new_attempts([attempt])
        iteration = Flow(scene, attempt, self._settled)
        self._flows.append(iteration)
        scene.loop.post(lambda: None if iteration.over else iteration.begin())

    def _settled(self, _: Flow) -> None:
        self._running -= 1
        self._flow.scene.loop.post(self._go_on)


class RunJob:
    """Starts another job and waits for it."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._child: int | None = None

    def start(self) -> None:
        """Start the job."""
        flow, scene = self._flow, self._flow.scene
        jobs, context = scene.means.jobs, scene.context(flow.attempt)
        try:
            task = resolved(flow.attempt.task["run_job_task"], context)
            self._child = jobs.run_job(task, handed_on=context.parameters, caller=flow.attempt.run_id)
        except ReferenceFailedError as error:
            flow.finish(endings.misconfigured(str(error)))
            return
        except ApiError as error:
            flow.finish(_failed(error.message, code="RESOURCE_NOT_FOUND"))
            return
        flow.executing(child=self._child, resolved={"run_job_task": task})
        jobs.watch(self._child, lambda ending: scene.loop.post(lambda: flow.finish(_of_child(ending))))

    def stop(self) -> None:
        """Cancel the other job's run."""
        if self._child is not None:
            self._flow.scene.means.jobs.cancel(self._child)


def _values(flow: Flow) -> dict[str, str]:
    run, attempt = flow.scene.run, flow.attempt
    return {
        "DATABRICKS_JOB_ID": str(run.job_id),
        "DATABRICKS_JOB_RUN_ID": str(run.run_id),
        "DATABRICKS_TASK_RUN_ID": str(attempt.run_id),
        "DATABRICKS_TASK_KEY": attempt.key,
    }


def _failed(message: str, *, code: str) -> Ending:
    return Ending(result="FAILED", code=code, message=message, life=endings.INTERNAL_ERROR)


def _of_iterations(attempts: list[Attempt]) -> Ending:
    failed = sum(1 for one in attempts if one.ending is None or one.ending.result != "SUCCESS")
    if not failed:
        return endings.SUCCESS
    message = f"{failed} of {len(attempts)} iterations did not succeed."
    return Ending(result="FAILED", code="RUN_EXECUTION_ERROR", message=message)


def _of_child(ending: Ending) -> Ending:
    if ending.result in {"SUCCESS", "SUCCESS_WITH_FAILURES"}:
        return endings.SUCCESS
    if ending.result == "CANCELED":
        return endings.CANCELED
    return Ending(result="FAILED", code="RUN_EXECUTION_ERROR", message=ending.message or ending.result)


_BODIES: Mapping[str, Callable[[Flow], Body]] = {
    **dict.fromkeys(given.COMPUTED, Computed),
    "condition_task": Condition,
    "for_each_task": ForEach,
    "run_job_task": RunJob,
}
