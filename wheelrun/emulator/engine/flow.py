"""One task of a run, or one iteration of it, through all its attempts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wheelrun.emulator.engine import endings
from wheelrun.emulator.engine.clusters import RunClusters
from wheelrun.emulator.engine.endings import Ending
from wheelrun.emulator.engine.loop import Loop, Timer
from wheelrun.emulator.engine.means import Means
from wheelrun.emulator.engine.records import Attempt, JobRun
from wheelrun.emulator.engine.references import Context


class Body(Protocol):
    """What one attempt does."""

    def start(self) -> None:
        """Begin; `Flow.finish` is called when it has ended."""

    def stop(self) -> None:
        """End it soon; `Flow.finish` is called all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What all flows of a job run share.

    Attributes:
        means: What conductors share.
        loop: The thread of the job run.
        run: The job run, as it was when its pass began.
        clusters: Its clusters.
        context: Returns what references in an attempt are resolved with.
        body: Makes what an attempt does.
    """

    means: Means
    loop: Loop
    run: JobRun
    clusters: RunClusters
    context: Callable[[Attempt], Context]
    body: Callable[[Flow], Body]


class Flow:
    """A task, from its first attempt to its end: retries, timeouts, cancellation. All in the thread of the job run.

    Args:
        scene: What it shares.
        attempt: Its first attempt, which is remembered already.
        settled: Called when it has ended for good.
    """

    def __init__(self, scene: Scene, attempt: Attempt, settled: Callable[[Flow], None]) -> None:
        self.scene = scene
        self.attempt = attempt
        self._settled = settled
        self._body: Body | None = None
        self._timer: Timer | None = None
        self._why: Ending | None = None
        self._first = attempt.number

    @property
    def over(self) -> bool:
        """Whether it has ended for good."""
        return self.attempt.ending is not None

    def begin(self) -> None:
        """Begin the attempt."""
        self._timer = None
        self.save(life=endings.PENDING, start=self.scene.means.clock.millis())
        self._body = self.scene.body(self)
        self._body.start()

    def executing(self, **facts: Any) -> None:
        """Tell that the attempt began to execute: its timeout counts from now."""
        if timeout := self.attempt.task.get("timeout_seconds"):
            self._timer = self.scene.loop.later(timeout, self._time_out)
        self.save(life=endings.RUNNING, began=self.scene.means.clock.millis(), **facts)

    def finish(self, ending: Ending, **facts: Any) -> None:
        """Tell that the attempt has ended."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._body = None
        if self._why is not None and ending.result != "SUCCESS":
            ending, self._why = self._why, None
        self._end(ending, **facts)
        if self._again(ending):
            self._retry()
        else:
            self._settled(self)

    def never(self, ending: Ending) -> None:
        """End it without having begun."""
        self._end(ending)
        self._settled(self)

    def cancel(self, ending: Ending) -> None:
        """End it, whatever it is at; if it has ended, nothing changes."""
        if self._body is not None:
            self._stop(ending)
        elif not self.over:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.never(ending)

    def save(self, **values: Any) -> None:
        """Remember a change of the attempt."""
        self.attempt = dataclasses.replace(self.attempt, **values)
        self.scene.means.records.save_attempt(self.attempt)

    def _time_out(self) -> None:
        if self._why is None:
            self._stop(endings.TIMED_OUT)

    def _stop(self, why: Ending) -> None:
        is_stopping, self._why = self._why is not None, why
        if self._body is not None and not is_stopping:
            self._body.stop()

    def _end(self, ending: Ending, **facts: Any) -> None:
        now = self.scene.means.clock.millis()
        self.save(life=ending.life, ending=ending, start=self.attempt.start or now, end=now, **facts)

    def _again(self, ending: Ending) -> bool:
        task = self.attempt.task
        most = task.get("max_retries", 0)
        retried = ending.result == "FAILED" or (ending.result == "TIMEDOUT" and task.get("retry_on_timeout", False))
        return retried and not (0 <= most <= self.attempt.number - self._first)

    def _retry(self) -> None:
        before, records = self.attempt, self.scene.means.records
        wait = max(0, before.start + before.task.get("min_retry_interval_millis", 0) - before.end)
        self.attempt = Attempt(
            run_id=records.new_id(),
            job_run_id=before.job_run_id,
            owner=before.owner,
            key=before.key,
            number=before.number + 1,
            original=before.original,
            passed=before.passed,
            task=before.task,
            item=before.item,
            life=endings.WAITING_FOR_RETRY,
        )
        records.new_attempts([self.attempt])
        self._timer = self.scene.loop.later(wait / 1000, self.begin)
