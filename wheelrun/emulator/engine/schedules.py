"""Starts jobs when their schedules are due."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from wheelrun.emulator.engine.clock import Clock
from wheelrun.emulator.engine.jobbook import Job, JobBook
from wheelrun.emulator.engine.quartz import Schedule
from wheelrun.emulator.errors import ApiError

_LOG = logging.getLogger(__name__)
_UNITS = {"MINUTES": 60, "HOURS": 3600, "DAYS": 86400, "WEEKS": 7 * 86400}
_FOREVER = 1e12


class Schedules:
    """Fires what is due, in a thread of its own.

    A time that passed while nobody looked, since the emulator was down or its clock was moved, fires once.

    Args:
        book: The jobs.
        clock: Knows the time.
        fire: Starts a job.
    """

    def __init__(self, book: JobBook, clock: Clock, fire: Callable[[Job], None]) -> None:
        self._book = book
        self._clock = clock
        self._fire = fire
        self._changed = True
        self._closing = False
        self._thread = threading.Thread(target=self._watch, name="schedules", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def look(self) -> None:
        """Look at the jobs again, since one has changed."""
        self._changed = True
        self._clock.wake()

    def close(self) -> None:
        """Fire no more."""
        self._closing = True
        self._clock.wake()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closing:
            self._changed = False
            times = [self._step(job) for job in self._book.jobs()]
            until = min((time for time in times if time is not None), default=_FOREVER)
            self._clock.sleep(until, unless=lambda: self._changed or self._closing)

    def _step(self, job: Job) -> float | None:
        """Start a job if it is due; return when it is due next."""
        now = self._clock.now()
        time = due(job.settings, job.since / 1000)
        if time is None or time > now or self._closing:
            return time
        try:
            self._book.fired(job.job_id, int(now * 1000))
            self._fire(job)
        except ApiError as error:
            _LOG.warning("job %d could not be started by its schedule: %s", job.job_id, error.message)
        return due(job.settings, now)


def due(settings: Mapping[str, Any], since: float) -> float | None:
    """Return when a job with these settings is due first after a moment; both in seconds since the epoch."""
    for name in ("schedule", "trigger"):
        if settings.get(name, {}).get("pause_status") == "PAUSED":
            return None
    if "schedule" in settings:
        schedule = settings["schedule"]
        return Schedule(schedule["quartz_cron_expression"], schedule["timezone_id"]).after(since)
    if "periodic" in settings.get("trigger", {}):
        periodic = settings["trigger"]["periodic"]
        return since + int(periodic["interval"]) * _UNITS[periodic["unit"]]
    return None
