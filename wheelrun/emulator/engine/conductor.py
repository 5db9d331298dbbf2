"""One job run from its first task to its last."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from wheelrun.emulator.engine import endings
from wheelrun.emulator.engine.bodies import body
from wheelrun.emulator.engine.clusters import RunClusters
from wheelrun.emulator.engine.endings import Ending
from wheelrun.emulator.engine.flow import Flow, Scene
from wheelrun.emulator.engine.graph import Graph, standing, verdict
from wheelrun.emulator.engine.loop import Loop
from wheelrun.emulator.engine.means import Means
from wheelrun.emulator.engine.records import Attempt, JobRun
from wheelrun.emulator.engine.references import Context, ReferenceFailedError, Told

_LOG = logging.getLogger(__name__)


class Conductor:
    """Runs the tasks of a job run, or of a repair of it, in a thread of its own.

    Args:
        means: What conductors share.
        run: The job run; its last pass is run.
        graph: Its tasks.
        attempts: The last attempt of every task. Those that have not ended are run.
        ended: Called, in that thread, with the run once everything has ended; it remembers the end.
    """

    def __init__(
        self,
        means: Means,
        run: JobRun,
        graph: Graph,
        attempts: Mapping[str, Attempt],
        ended: Callable[[JobRun], None],
    ) -> None:
        self._means = means
        self._run = run
        self._graph = graph.without(key for key, one in attempts.items() if one.ending == endings.NOT_SELECTED)
        self._ended = ended
        self._loop = Loop()
        self._why: Ending | None = None
        self._abandoned = False
        self._last = dict(attempts)
        self._job_context: Context | None = None
        self._clusters = RunClusters(means.compute, run)
        scene = Scene(means=means, loop=self._loop, run=run, clusters=self._clusters, context=self._context, body=body)
        self._flows = {key: Flow(scene, one, self._settled) for key, one in attempts.items() if one.ending is None}
        self._waits = {
            key: sum(1 for edge in self._graph.upstream[key] if edge.key in self._flows) for key in self._flows
        }
        self._left = len(self._flows)
        self._thread = threading.Thread(target=self._conduct, name=f"run-{run.run_id}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self, ending: Ending = endings.CANCELED) -> None:
        """End everything soon."""
        self._loop.post(lambda: self._cancel(ending))

    def cancel_task(self, attempt: Attempt) -> None:
        """End one task soon; what depends on it goes its way."""
        flow = self._flows.get(attempt.key)
        if flow is not None:
            self._loop.post(lambda: flow.cancel(endings.CANCELED) if flow.attempt.run_id == attempt.run_id else None)

    def abandon(self) -> None:
        """Remember nothing more, whatever happens."""
        self._loop.post(self._abandon)

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _conduct(self) -> None:
        try:
            self._begin()
            self._loop.run()
            if self._abandoned:
                return
            ending = self._finished()
        except ReferenceFailedError as error:
            ending = endings.misconfigured(str(error))
            self._break(ending)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has to end
            _LOG.exception("run %d ended by an error of the emulator", self._run.run_id)
            message = f"{type(error).__name__}: {error}"
            ending = Ending(result="FAILED", code="INTERNAL_ERROR", message=message, life=endings.INTERNAL_ERROR)
            self._break(ending)
        self._ended(self._run.changed(life=ending.life, ending=ending, end=self._means.clock.millis()))

    def _begin(self) -> None:
        self._save(life=endings.RUNNING)
        self._job_context = self._of_job()
        if timeout := self._run.settings.get("timeout_seconds"):
            self._loop.later(timeout, lambda: self._cancel(endings.TIMED_OUT))
        if not self._left:
            self._loop.end()
        for key, waits in self._waits.items():
            if not waits:
                self._loop.post(functools.partial(self._decide, key))

    def _decide(self, key: str) -> None:
        flow = self._flows[key]
        if flow.over:
            return
        standings = [self._standing(edge.key, edge.outcome) for edge in self._graph.upstream[key]]
        result = verdict(flow.attempt.task.get("run_if", "ALL_SUCCESS"), standings)
        if result is None:
            flow.begin()
        else:
            flow.never(endings.NEVER_RUN[result])

    def _standing(self, key: str, wanted: str | None) -> str:
        attempt = self._last[key]
        assert attempt.ending is not None
        return standing(attempt.ending.result, wanted=wanted, outcome=attempt.outcome)

    def _settled(self, flow: Flow) -> None:
        key = flow.attempt.key
        self._last[key] = flow.attempt
        for below in self._graph.downstream[key]:
            if below in self._waits:
                self._waits[below] -= 1
                if not self._waits[below]:
                    self._loop.post(functools.partial(self._decide, below))
        self._left -= 1
        if not self._left:
            self._loop.end()

    def _cancel(self, why: Ending) -> None:
        if self._why is None:
            self._why = why
            for flow in self._flows.values():
                flow.cancel(why)

    def _abandon(self) -> None:
        self._abandoned = True
        self._loop.end()

    def _finished(self) -> Ending:
        self._save(life=endings.TERMINATING)
        self._clusters.release()
        ended = {key: one.ending for key, one in self._last.items() if one.ending and one.ending.result != "DISABLED"}
        return self._why or endings.of_tasks(
            [
                (key, ending, not any(below in ended for below in self._graph.downstream[key]))
                for key, ending in ended.items()
            ]
        )

    def _break(self, ending: Ending) -> None:
        now = self._means.clock.millis()
        for flow in self._flows.values():
            flow.cancel(ending)
            if not flow.over:
                flow.save(life=ending.life, ending=ending, end=now)
        self._clusters.release()

    def _save(self, **values: Any) -> None:
        self._run = self._run.changed(**values)
        self._means.records.save(self._run)

    def _of_job(self) -> Context:
        run = self._run
        plain = Context(
            job={
                "id": run.job_id,
                "name": run.name,
                "run_id": run.run_id,
                "repair_count": len(run.passes) - 1,
            },
            started=run.passes[0].start,
            trigger=run.trigger,
            parameters={},
            workspace=self._means.workspace,
        )
        return plain.with_parameters({item["name"]: item["value"] for item in run.latest.parameters})

    def _context(self, attempt: Attempt) -> Context:
        assert self._job_context is not None
        return self._job_context.of_task(
            {"name": attempt.key, "run_id": attempt.run_id, "execution_count": attempt.number + 1},
            tell=self._told,
            iteration={"input": attempt.item} if attempt.is_iteration else {},
        )

    def _told(self, key: str) -> Told | None:
        attempt = self._last.get(key)
        if attempt is None or attempt.ending is None:
            return None
        return Told(
            run_id=attempt.run_id,
            result=attempt.ending.result,
            code=attempt.ending.code,
            count=attempt.number + 1,
            values=lambda: self._means.records.values(attempt.run_id),
        )
