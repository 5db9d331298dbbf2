"""A run whose driver is elsewhere, as its client sees it: what lies in the run's folder below the artifact root.

A run may be started several times (resume). Each start has a number, and one driver: the first that makes the start's
claim file. A client that does not know whether a submission has arrived makes the claim itself: then no driver of that
start will run any step, whenever it comes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from wheelrun.deployment import Deployment
from wheelrun.orchestrators.log_lines import CHUNK, Source
from wheelrun.orchestrators.roots import NAMES, Root
from wheelrun.runtime.events import Event, fold, line, parse
from wheelrun.runtime.layout import RunPaths
from wheelrun.states import ErrorInfo, RunState, RunStatus

REVOKED = "revoked"
"""What a claim holds that a client made."""

SILENCE = 60.0
"""Seconds without a sign of life after which a driver that nobody knows is taken for dead."""


@dataclass(slots=True)
class RemoteRun:
    """The folder of one run.

    Attributes:
        root: The artifact root.
        id: The run's id.
    """

    root: Root
    id: str
    _offset: int = 0
    _events: list[Event] = field(default_factory=list)
    _steps: tuple[str, ...] | None = None

    @property
    def names(self) -> RunPaths:
        """The names of the run's files below the root."""
        return NAMES.run(self.id)

    def events(self) -> list[Event]:
        """Return all events so far; only what is new is read."""
        try:
            data = self.root.read(self.names.events.as_posix(), start=self._offset)
        except FileNotFoundError:
            return self._events
        end = data.rfind(b"\n") + 1
        self._offset += end
        self._events.extend(parse(data[:end]))
        return self._events

    def status(self) -> RunStatus:
        """Return where the run is, by its events alone."""
        return fold(self.steps(), self.events())

    def steps(self) -> tuple[str, ...]:
        """Return the names of the run's steps; none before its deployment is written."""
        if self._steps is None:
            with contextlib.suppress(FileNotFoundError):
                self._steps = tuple(spec.name for spec in self.deployment().steps)
        return self._steps or ()

    def deployment(self) -> Deployment:
        """Return the run's deployment.

        Raises:
            FileNotFoundError: it was not written.
        """
        return Deployment.from_json(self.root.read(self.names.deployment.as_posix()).decode())

    def driver(self, start: int) -> Event | None:
        """Return what the driver of a start told of itself, None if it has not come yet."""
        return next(
            (event for event in self.events() if event["event"] == "driver" and event.get("start") == start), None
        )

    def log(self, stream: str) -> Source:
        """Return a source of what the driver left of its log there: "stdout" or "stderr"."""
        name = (self.names.stdout if stream == "stdout" else self.names.stderr).as_posix()

        def read(offset: int) -> bytes:
            try:
                return self.root.read(name, start=offset, limit=CHUNK)
            except FileNotFoundError:
                return b""

        return read

    def reopen(self, steps: Sequence[str]) -> None:
        """Tell that the run goes on: these steps start over."""
        name, event = self.names.events.as_posix(), line("resume", time.time(), {"steps": list(steps)})
        before = self.root.read(name) if self.root.exists(name) else b""
        self.root.write(name, before + event)  # nobody else writes now: the driver before has ended

    def revoke(self, start: int) -> bool:
        """Make sure that no driver of a start will run anything; return False if one has begun."""
        name = self.names.claim(start).as_posix()
        if self.root.create(name, REVOKED.encode()):
            return True
        return self.root.read(name).decode() == REVOKED

    def ask_to_end(self, start: int) -> None:
        """Ask the driver of a start to cancel the run."""
        self.root.write(self.names.cancel(start).as_posix(), b"")

    def silence(self, *, now: float | None = None) -> float | None:
        """Return the seconds since a driver last gave a sign of life, None if none ever did."""
        try:
            last = float(self.root.read(self.names.heartbeat.as_posix()))
        except (FileNotFoundError, ValueError):
            return None
        return max((time.time() if now is None else now) - last, 0.0)


def ended(status: RunStatus, state: RunState, error: ErrorInfo, *, now: float) -> RunStatus:
    """Return a status as it is when the run ended without saying so itself.

    Args:
        status: What the events say.
        state: The state of the run, and of the steps that were running.
        error: Why.
        now: When, in seconds since the epoch.
    """
    steps = tuple(
        replace(step, state=state, error=error, ended_at=now)
        if step.state is RunState.RUNNING
        else step
        if step.state.is_terminal
        else replace(step, state=RunState.SKIPPED, reason=error.message)
        for step in status.steps
    )
    return replace(status, state=state, error=error, ended_at=now, steps=steps, reason=None)
