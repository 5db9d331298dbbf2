"""What the conductors of job runs share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from wheelrun.emulator.compute.work import Outcome, Work
from wheelrun.emulator.engine.clock import Clock
from wheelrun.emulator.engine.endings import Ending
from wheelrun.emulator.engine.records import Records


class Computing(Protocol):
    """What the engine needs of the compute."""

    def job_cluster(self, spec: Mapping[str, Any], *, name: str) -> str:
        """Make a cluster for one job run; return its id at once."""

    def serverless(self, environment: Mapping[str, Any], *, name: str) -> str:
        """Make what a serverless environment's tasks run on; return its id at once."""

    def check_cluster_spec(self, spec: Mapping[str, Any]) -> None:
        """Raise ApiError if a new cluster cannot be honoured."""

    def check_existing(self, cluster_id: str) -> None:
        """Raise ApiError if there is no such cluster."""

    def execute(self, cluster_id: str, work: Work, stop: threading.Event) -> Outcome:
        """Run an attempt to its end; once `stop` is set its processes end within 10 seconds."""

    def release(self, cluster_id: str) -> None:
        """End a cluster that was made for a job run."""

    def close(self) -> None:
        """End every process."""


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
