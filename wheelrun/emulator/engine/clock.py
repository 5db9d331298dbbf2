"""The emulator's time, which tests can move."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone

from wheelrun.emulator.state import State

_KIND = "clock"
_END = datetime(9999, 12, 31, tzinfo=timezone.utc).timestamp()


class Clock:
    """The wall clock, set forward by as much as was asked; how far is remembered.

    Durations (timeouts, waits for a retry) are not measured by it: moving it fires schedules, and ends no run.

    Args:
        state: What is remembered.
        wall: The time in seconds since the epoch.
    """

    def __init__(self, state: State, *, wall: Callable[[], float] = time.time) -> None:
        self._state = state
        self._wall = wall
        self._ahead = float((state.get(_KIND, "ahead") or {"seconds": 0})["seconds"])
        self._moved = threading.Condition()

    def now(self) -> float:
        """Return the time in seconds since the epoch."""
        with self._moved:
            return self._wall() + self._ahead

    def millis(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return int(self.now() * 1000)

    def move(self, seconds: float) -> float:
        """Set the clock forward; return the new time.

        Raises:
            ValueError: the number of seconds is negative, or leads out of the calendar.
        """
        if seconds < 0:
            raise ValueError("the clock moves forward only")
        with self._moved:
            if not self._wall() + self._ahead + seconds < _END:
                raise ValueError("the clock ends with the year 9999")
            self._ahead += seconds
            self._state.put(_KIND, "ahead", {"seconds": self._ahead})
            self._moved.notify_all()
            return self._wall() + self._ahead

    def wake(self) -> None:
        """End the waits of `sleep`."""
        with self._moved:
            self._moved.notify_all()

    def sleep(self, until: float, *, unless: Callable[[], bool]) -> None:
        """Wait until it is later than a time, or until `unless` holds; it is looked at whenever `wake` is called."""
        with self._moved:
            while not unless() and self._wall() + self._ahead < until:
                self._moved.wait(min(until - self._wall() - self._ahead, threading.TIMEOUT_MAX))
