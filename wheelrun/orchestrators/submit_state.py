"""From what spark-submit told of an application on a cluster to the state of its run. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from wheelrun.orchestrators.remote_run import SILENCE, ended
from wheelrun.runtime.events import Event
from wheelrun.runtime.submission import logs_hint
from wheelrun.runtime.submit_output import Told, state_of
from wheelrun.states import ErrorInfo, RunState, RunStatus


def told_of(events: Iterable[Event], start: int) -> Told:
    """Return what the supervisor last told of the application of a start."""
    told = Told()
    for event in events:
        if event["event"] == "submission" and event.get("start") == start:
            told = Told(**{name: event[name] for name in ("id", "state", "final", "url", "message") if name in event})
    return told


def overlaid(
    status: RunStatus,
    told: Told,
    *,
    kind: str,
    held: bool,
    asked: bool,
    interrupted: bool,
    silence: float | None,
    run_id: str,
    now: float,
) -> RunStatus:
    """Return where a run is whose driver is on a cluster.

    Args:
        status: What its events say. Where they tell its end, that is it.
        told: What spark-submit told of the application.
        kind: Who spoke: a name in `READERS`.
        held: Whether the supervisor of spark-submit is there.
        asked: Whether somebody asked that it ends.
        interrupted: Whether it is sure that no driver of this start will run anything.
        silence: Seconds since the last sign of life of this start's driver, None if there was none.
        run_id: The run's id.
        now: The time, in seconds since the epoch.
    """
    status = replace(status, url=told.url or status.url)
    if status.state.is_terminal:
        return status
    if held:
        state, reason = _seen(status, told, kind)
        return replace(status, state=state, reason=reason)
    native = state_of(kind, told)
    if not native.is_terminal and silence is not None and silence < SILENCE:
        return replace(status, reason="spark-submit has gone, but the driver gives signs of life")
    if native.is_terminal or silence is not None or interrupted:
        cancelled = native is RunState.CANCELLED or (asked and told.id is not None)
        return _gone(status, told, native, cancelled=cancelled, kind=kind, run_id=run_id, now=now)
    reason = f"spark-submit has gone; {told.id or 'the driver'} was {told.state or 'submitted'} when it was last seen"
    return replace(status, state=RunState.UNKNOWN, reason=reason)


def _seen(status: RunStatus, told: Told, kind: str) -> tuple[RunState, str | None]:
    """Return the state and its reason while spark-submit watches the application."""
    if status.state is not RunState.QUEUED:
        return status.state, status.reason
    if told.id is None:
        return status.state, "spark-submit is submitting the driver"
    native = state_of(kind, told)
    why = f": {told.message}" if told.message else ""
    if native is RunState.QUEUED:
        return status.state, f"waiting for resources ({told.state}){why}"
    if native is RunState.UNKNOWN and told.state:
        return native, f"{told.id} is in a state that is not known: {told.state}"
    return status.state, f"{told.id} has ended ({told.state})" if native.is_terminal else "the driver is starting"


def _gone(
    status: RunStatus, told: Told, native: RunState, *, cancelled: bool, kind: str, run_id: str, now: float
) -> RunStatus:
    if told.id is None:
        message = told.message or "the submission was interrupted before it arrived"
        told = replace(told, message="")
    elif cancelled:
        message = f"{told.id} was ended ({told.state})"
    elif native.is_terminal:
        message = f"{told.id} ended before the run did ({told.state})"
    else:
        message = f"spark-submit has gone, and the driver of {told.id} gives no sign of life"
    state = RunState.CANCELLED if cancelled else RunState.FAILED
    error = ErrorInfo(
        category="cancelled" if cancelled else "cluster",
        message=f"{message}: {told.message}" if told.message else message,
        hint="; ".join(filter(None, (logs_hint(kind, told), f"to go on: wheelrun resume {run_id}"))),
    )
    return ended(status, state, error, now=now)
