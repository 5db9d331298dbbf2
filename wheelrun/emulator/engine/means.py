"""What the conductors of job runs share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from wheelrun.emulator.compute.work import Computing
from wheelrun.emulator.engine.clock import Clock
from wheelrun.emulator.engine.endings import Ending
from wheelrun.emulator.engine.records import Records


class Jobs(Protocol):
    """Starts other jobs, for tasks that do so."""

    def run_job(self, task: Mapping[str, Any], *, handed_on: Mapping[str, str], caller: int) -> int:
        """Start the job of a run-job task; return its run's id.

        Args:
            task: {"job_id": ..., "job_parameters": ...}.
            handed_on: Parameters of the calling job, for those that the job has too.
            caller: The task's run.
        """

    def cancel(self, run_id: int) -> None:
        """Cancel a job run."""

    def watch(self, run_id: int, ended: Callable[[Ending], None]) -> None:
        """Have something called, from any thread, when a job run ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What conductors share.

    Attributes:
        records: Remembers.
        compute: Runs tasks.
        clock: Knows the time.
        pool: The threads that attempts run in: as many as may run at once.
        jobs: Starts other jobs.
        workspace: "id" and "url".
        stops: The stop events of the attempts that run.
    """

    records: Records
    compute: Computing
    clock: Clock
    pool: ThreadPoolExecutor
    jobs: Jobs
    workspace: Mapping[str, Any]
    stops: set[threading.Event] = field(default_factory=set)
