"""Events: one JSON line per change, appended to the run's folder, so that any client can follow a run.

{"time": 1767225600.0, "event": "run",  "state": "running"}
{"time": …, "event": "step", "step": "load", "state": "running", "attempt": 1}
    {"time": …, "event": "clock", "step": "load", "timeout": 60.0}     its time counts from here
{"time": …, "event": "step", "step": "load", "state": "failed", "attempt": 1, "error": {…}, "retry_in": 1.0}
{"time": …, "event": "step", "step": "load", "state": "succeeded", "attempt": 2, "outputs": […]}
{"time": …, "event": "warning", "step": "load", "message": "…"}
{"time": …, "event": "resume", "steps": ["load", …]}
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from wheelrun.states import ErrorInfo, RunState, RunStatus, StepStatus

Event = Mapping[str, Any]


class EventLog:
    """Appends events to a file. A line is written by one system call, so several processes may write.

    Args:
        path: The file; made, with its folder, when the first event comes.
        clock: Seconds since the epoch.
        also: A file descriptor that gets each line too, or None.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, also: int | None = None) -> None:
        self._path = path
        self._clock = clock
        self._also = also
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    def emit(self, event: str, **fields: Any) -> None:
        """Append one event; None fields are left out, an `ErrorInfo` is written as an object."""
        data = line(event, self._clock(), fields)
        with self._lock:
            try:
                if self._descriptor is None:
                    self._path.parent.mkdir(parents=True, exist_ok=True)
                    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
                    self._descriptor = os.open(self._path, flags, 0o600)
                os.write(self._descriptor, data)
            except OSError as error:
                error.filename = error.filename or str(self._path)  # a full disk does not say which
                raise
            if self._also is not None:
                os.write(self._also, data)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def line(event: str, when: float, fields: Mapping[str, Any]) -> bytes:
    """Return one event as its line; None fields are left out, an `ErrorInfo` is written as an object."""
    content = {
        name: asdict(value) if isinstance(value, ErrorInfo) else str(value) if isinstance(value, RunState) else value
        for name, value in fields.items()
        if value is not None
    }
    text = json.dumps({"time": round(when, 6), "event": event, **content}, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


class EventReader:
    """Reads a growing file of events, each line once.

    Args:
        path: The file; it may not be there yet.
        from_end: Whether to pass over what is there now.
    """

    def __init__(self, path: Path, *, from_end: bool = False) -> None:
        self._path = path
        self._offset = path.stat().st_size if from_end and path.exists() else 0

    def read(self) -> list[Event]:
        """Return the events that came since the last call; a line that is still being written waits for the next."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return parse(whole)


def parse(data: bytes) -> list[Event]:
    """Return the events in whole lines; a damaged line (a machine that lost power) is passed over."""
    events: list[Event] = []
    for line in data.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "event" in event:
            events.append(event)
    return events


def fold(steps: Sequence[str], events: Iterable[Event]) -> RunStatus:
    """Return where a run is, from all its events.

    Args:
        steps: The names of all steps, in the deployment's order.
        events: All events so far.
    """
    status = RunStatus(state=RunState.QUEUED)
    known = {name: StepStatus(name=name) for name in steps}
    for event in events:
        kind = event["event"]
        if kind == "run":
            status = _fold_run(status, event)
        elif kind == "step" and event.get("step") in known:
            known[event["step"]] = _fold_step(known[event["step"]], event)
        elif kind == "resume":
            status = replace(status, state=RunState.QUEUED, ended_at=None, error=None, reason=None)
            for name in event.get("steps", ()):
                if name in known:
                    known[name] = StepStatus(name=name)
        elif kind == "application":
            name = event.get("step")
            if name in known:
                known[name] = replace(known[name], application_id=event.get("id"))
    return replace(status, steps=tuple(known.values()))


def _fold_run(status: RunStatus, event: Event) -> RunStatus:
    state = RunState(event["state"])
    return replace(
        status,
        state=state,
        started_at=status.started_at or event["time"],
        ended_at=event["time"] if state.is_terminal else None,
        error=_error(event),
        reason=event.get("reason"),
        url=event.get("url", status.url),
    )


def _fold_step(status: StepStatus, event: Event) -> StepStatus:
    state = RunState(event["state"])
    retried = state is RunState.FAILED and "retry_in" in event
    return replace(
        status,
        state=RunState.QUEUED if retried else state,
        attempts=event.get("attempt", status.attempts),
        started_at=status.started_at or (event["time"] if state is not RunState.SKIPPED else None),
        ended_at=event["time"] if state.is_terminal and not retried else None,
        error=_error(event),
        reason=f"retried in {event['retry_in']:g} s" if retried else event.get("reason"),
        outputs=tuple(event.get("outputs", ())),
    )


def _error(event: Event) -> ErrorInfo | None:
    error = event.get("error")
    return ErrorInfo(**error) if error else None
