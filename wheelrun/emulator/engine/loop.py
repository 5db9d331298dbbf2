"""One thread that does what happens, one thing after the other: what is posted to it, and what is due."""

from __future__ import annotations

import heapq
import itertools
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass, field

Action = Callable[[], None]


@dataclass(order=True, slots=True)
class Timer:
    """Something that is due later.

    Attributes:
        due: When, by the monotonic clock.
        number: Puts timers of one moment in the order in which they were set.
        action: What is due; nothing once it was cancelled.
    """

    due: float
    number: int
    action: Action | None = field(compare=False)

    def cancel(self) -> None:
        """Do not do it."""
        self.action = None


class Loop:
    """Does actions in the thread that calls `run`; `post` can be called from any thread, the rest from an action."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Action] = queue.SimpleQueue()
        self._timers: list[Timer] = []
        self._numbers = itertools.count()
        self._ended = False

    def post(self, action: Action) -> None:
        """Have something done soon."""
        self._inbox.put(action)

    def later(self, seconds: float, action: Action) -> Timer:
        """Have something done in so many seconds."""
        timer = Timer(time.monotonic() + seconds, next(self._numbers), action)
        heapq.heappush(self._timers, timer)
        return timer

    def end(self) -> None:
        """Let `run` return after this action."""
        self._ended = True

    def run(self) -> None:
        """Do what is posted and what is due, until `end` is called."""
        while not self._ended:
            action = self._due() or self._posted()
            if action is not None:
                action()

    def _due(self) -> Action | None:
        while self._timers and (self._timers[0].action is None or self._timers[0].due <= time.monotonic()):
            action = heapq.heappop(self._timers).action
            if action is not None:
                return action
        return None

    def _posted(self) -> Action | None:
        wait = max(0.0, self._timers[0].due - time.monotonic()) if self._timers else None
        try:
            return self._inbox.get(timeout=wait)
        except queue.Empty:
            return None
