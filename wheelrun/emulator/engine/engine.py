"""Starts job runs, queues them, ends them; what is under way and what waits."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wheelrun.emulator.engine import endings
from wheelrun.emulator.engine.clock import Clock
from wheelrun.emulator.engine.conductor import Conductor
from wheelrun.emulator.engine.endings import Ending
from wheelrun.emulator.engine.graph import Graph
from wheelrun.emulator.engine.jobbook import Job, JobBook
from wheelrun.emulator.engine.means import Computing, Means
from wheelrun.emulator.engine.nesting import check_callers
from wheelrun.emulator.engine.orders import Order
from wheelrun.emulator.engine.records import Attempt, JobRun, Records
from wheelrun.emulator.engine.schedules import Schedules
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import WORKSPACE_ID, State


class Engine:
    """Runs jobs.

    Args:
        state: What is remembered. Runs that were under way in it have ended with the process that ran them.
        compute: Runs tasks.
        clock: Knows the time.
        parallel: How many tasks may run on clusters at once.

    Attributes:
        lock: Held while a run is started, repaired, cancelled, and where it ends.
    """

    def __init__(
        self, state: State, compute: Computing, *, clock: Clock | None = None, parallel: int | None = None
    ) -> None:
        self.clock = clock or Clock(state)
        self.records = Records(state)
        self.jobs = JobBook(state, self.clock)
        self.compute = compute
        workers = parallel or max(8, 2 * (os.cpu_count() or 1))
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="attempt")
        self._means = Means(
            records=self.records,
            compute=compute,
            clock=self.clock,
            pool=self._pool,
            jobs=self,
            workspace={"id": WORKSPACE_ID, "url": state.host},
        )
        self.lock = threading.RLock()
        self._active: dict[int, Conductor] = {}
        self._of_job: dict[int, set[int]] = {}
        self._waiting: dict[int, deque[int]] = {}
        self._watchers: dict[int, list[Callable[[Ending], None]]] = {}
        self._closing = False
        self._recover()
        self.schedules = Schedules(self.jobs, self.clock, self._fire)
        self.schedules.start()

    def start(self, order: Order) -> int:
        """Start a run, once for each token; return its id.

        Raises:
            ApiError: the run that the token stands for was deleted.
        """
        with self.lock:
            if self._closing:
                raise ApiError("TEMPORARILY_UNAVAILABLE", "The emulator is being stopped.")
            known = None if order.token is None else self.records.of_token(order.token)
            if known is not None:
                if self.records.run(known) is None:
                    raise ApiError("INVALID_PARAMETER_VALUE", f"The run {known} of this idempotency token was deleted.")
                return known
            run = order.run(self.records.new_id(), self.records.new_id(), self.clock.millis())
            attempts = self._attempts(run, order.tasks)
            ending = self._held_back(run)
            if ending is not None:
                run = run.changed(life=ending.life, ending=ending, end=run.latest.start)
                attempts = []
            elif self._is_full(run):
                run = run.changed(life=endings.QUEUED, queued=_queued(run))
            self.records.add(run, order.tasks, attempts, token=order.token)
            if ending is None:
                self._take(run)
        return run.run_id

    def run_job(self, task: Mapping[str, Any], *, handed_on: Mapping[str, str], caller: int) -> int:
        """Start the job of a run-job task; see `means.Jobs`."""
        job = self.jobs.get(task["job_id"])
        check_callers(job.job_id, self._callers(caller))
        names = {item["name"] for item in job.settings.get("parameters", ())}
        inherited = {name: value for name, value in handed_on.items() if name in names}
        fields = {**task, "job_parameters": {**inherited, **task.get("job_parameters", {})}}
        return self.start(Order.of_job(job, fields, trigger="RUN_JOB_TASK", caller=caller))

    def repair(self, run: JobRun, tasks: Sequence[Mapping[str, Any]], rerun: set[str]) -> None:
        """Run tasks of a run again; its last pass is the repair."""
        with self.lock:
            last = self.records.latest(run.run_id)
            again = [
                Attempt(
                    run_id=self.records.new_id(),
                    job_run_id=run.run_id,
                    owner=run.run_id,
                    key=task["task_key"],
                    number=last[task["task_key"]].number + 1,
                    original=last[task["task_key"]].original,
                    passed=len(run.passes) - 1,
                    task=task,
                )
                for task in tasks
                if task["task_key"] in rerun
            ]
            if self._is_full(run):
                run = run.changed(life=endings.QUEUED, queued=_queued(run))
            self.records.add(run, tasks, again)
            self._take(run)

    def cancel(self, run_id: int) -> None:
        """Cancel a job run; one that has ended stays as it is."""
        with self.lock:
            conductor, run = self._active.get(run_id), self.records.run(run_id)
            if conductor is not None:
                conductor.cancel()
            elif run is not None and run.active:
                self._waiting[run.job_id].remove(run_id)
                self._drop(run, endings.CANCELED)

    def cancel_task(self, attempt: Attempt) -> None:
        """Cancel a task run; one that has ended stays as it is."""
        with self.lock:
            conductor = self._active.get(attempt.job_run_id)
            if conductor is not None:
                conductor.cancel_task(attempt)

    def cancel_all(self, job_id: int | None) -> None:
        """Cancel the runs of a job; without one, all runs that wait in a queue."""
        with self.lock:
            waiting = [run for key, runs in self._waiting.items() if job_id in {None, key} for run in runs]
            active = [] if job_id is None else list(self._of_job.get(job_id, ()))
            # none that waits is to take the place of one that ends
            for run_id in [*waiting, *active]:
                self.cancel(run_id)

    def watch(self, run_id: int, ended: Callable[[Ending], None]) -> None:
        """Have something called, from any thread, when a job run ends."""
        with self.lock:
            run = self.records.run(run_id)
            if run is not None and run.latest.ending is not None:
                ended(run.latest.ending)
            else:
                self._watchers.setdefault(run_id, []).append(ended)

    def close(self) -> None:
        """End what runs. It stays remembered as under way, and has ended when the state is opened again."""
        self.schedules.close()
        with self.lock:
            self._closing = True
            conductors = list(self._active.values())
        for conductor in conductors:
            conductor.abandon()
        for conductor in conductors:
            conductor.join()
        for stop in list(self._means.stops):
            stop.set()
        self._pool.shutdown(cancel_futures=True)

    def _fire(self, job: Job) -> None:
        self.start(Order.of_job(job, {}, trigger="PERIODIC"))

    def _attempts(self, run: JobRun, tasks: Sequence[Mapping[str, Any]]) -> list[Attempt]:
        made = []
        for task in tasks:
            run_id, ending = self.records.new_id(), _left_out(run, task)
            made.append(
                Attempt(
                    run_id=run_id,
                    job_run_id=run.run_id,
                    owner=run.run_id,
                    key=task["task_key"],
                    original=run_id,
                    task=task,
                    life=endings.BLOCKED if ending is None else ending.life,
                    ending=ending,
                )
            )
        return made

    def _most(self, run: JobRun) -> int | None:
        return run.settings.get("max_concurrent_runs", 1) if run.kind == "JOB_RUN" else None

    def _is_full(self, run: JobRun) -> bool:
        most = self._most(run)
        return most is not None and len(self._of_job.get(run.job_id, ())) >= most

    def _held_back(self, run: JobRun) -> Ending | None:
        queues = run.settings.get("queue", {}).get("enabled", False)
        return endings.TOO_MANY if self._is_full(run) and (self._most(run) == 0 or not queues) else None

    def _take(self, run: JobRun) -> None:
        if run.latest.life == endings.QUEUED:
            self._waiting.setdefault(run.job_id, deque()).append(run.run_id)
            return
        graph = Graph.of(self.records.tasks(run.run_id))
        conductor = Conductor(self._means, run, graph, self.records.latest(run.run_id), self._has_ended)
        self._active[run.run_id] = conductor
        self._of_job.setdefault(run.job_id, set()).add(run.run_id)
        conductor.start()

    def _has_ended(self, run: JobRun) -> None:
        ending = run.latest.ending
        assert ending is not None
        with self.lock:
            # who sees that it has ended finds its place free
            self.records.save(run)
            del self._active[run.run_id]
            self._of_job[run.job_id].discard(run.run_id)
            watchers = self._watchers.pop(run.run_id, [])
            if not self._closing:
                self._next(run.job_id)
        for ended in watchers:
            ended(ending)

    def _next(self, job_id: int) -> None:
        waiting = self._waiting.get(job_id)
        while waiting:
            run = self.records.run(waiting[0])
            if run is not None and self._is_full(run):
                return
            waiting.popleft()
            if run is not None:
                run = run.changed(life=endings.PENDING, left_queue=self.clock.millis())
                self.records.save(run)
                self._take(run)

    def _drop(self, run: JobRun, ending: Ending) -> None:
        now = self.clock.millis()
        self.records.end_attempts(run.run_id, ending, now)
        self.records.save(run.changed(life=ending.life, ending=ending, end=now))
        for ended in self._watchers.pop(run.run_id, []):
            ended(ending)

    def _callers(self, caller: int | None) -> list[int]:
        """Return the ids of the jobs that wait for what a task run starts, the outermost last."""
        found = []
        while caller is not None:
            attempt = self.records.attempt(caller)
            run = None if attempt is None else self.records.run(attempt.job_run_id)
            if run is not None:
                found.append(run.job_id)
            caller = None if run is None else run.caller
        return found

    def _recover(self) -> None:
        for run in self.records.runs(newest_first=False):
            if run.latest.life == endings.QUEUED:
                self._waiting.setdefault(run.job_id, deque()).append(run.run_id)
            elif run.active:
                self._drop(run, endings.RESTARTED)
        for job_id in list(self._waiting):
            with contextlib.suppress(ApiError):
                self._next(job_id)


def _left_out(run: JobRun, task: Mapping[str, Any]) -> Ending | None:
    if run.only is not None and task["task_key"] not in run.only:
        return endings.NOT_SELECTED
    return endings.DISABLED if task.get("disabled") else None


def _queued(run: JobRun) -> str:
    return f"Queued due to reaching maximum concurrent runs of {run.settings.get('max_concurrent_runs', 1)}."
