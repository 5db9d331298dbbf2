"""From what the Master knows of a driver to the state of its run. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from wheelrun.orchestrators.remote_run import SILENCE, ended
from wheelrun.states import ErrorInfo, RunState, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Native:
    """What is known of a driver from outside.

    Attributes:
        state: The Master's word (org.apache.spark.deploy.master.DriverState), or ours: NOT_FOUND (the Master knows no
            such driver), UNREACHABLE (no Master answers), INTERRUPTED (it was never submitted, and cannot be any more).
        message: What was said of it.
        cores_free: Cores of the cluster that are free.
        cores: Cores of the cluster.
    """

    state: str
    message: str = ""
    cores_free: int | None = None
    cores: int | None = None


_LIVE = {
    "SUBMITTED": RunState.QUEUED,
    "RUNNING": RunState.RUNNING,
    "RELAUNCHING": RunState.RUNNING,
}

_ENDS = {
    "FINISHED": (RunState.FAILED, "cluster", "the driver ended before the run did"),
    "FAILED": (RunState.FAILED, "cluster", "the driver failed before the run had ended"),
    "ERROR": (RunState.FAILED, "cluster", "the cluster could not run the driver"),
    "KILLED": (RunState.CANCELLED, "cancelled", "the driver was killed"),
    "INTERRUPTED": (RunState.FAILED, "cluster", "the submission was interrupted before it arrived"),
}


def overlaid(
    status: RunStatus, native: Native, *, run_id: str, silence: Callable[[], float | None], now: float | None = None
) -> RunStatus:
    """Return where a run is.

    Args:
        status: What its events say. Where they tell its end, that is it.
        native: What is known of its driver.
        run_id: The run's id.
        silence: Returns the seconds since the driver's last sign of life, None if there was none.
        now: The time, in seconds since the epoch.
    """
    if status.state.is_terminal:
        return status
    if native.state in _ENDS:
        state, category, message = _ENDS[native.state]
        text = f"{message}: {native.message}" if native.message else message
        hint = f"its log may tell why: wheelrun logs {run_id}; to go on: wheelrun resume {run_id}"
        error = ErrorInfo(category=category, message=text, hint=hint)
        return ended(status, state, error, now=time.time() if now is None else now)
    if native.state in _LIVE:
        return replace(status, state=_state(status, native), reason=_reason(status, native))
    return _unseen(status, native, run_id=run_id, silence=silence(), now=time.time() if now is None else now)


def _state(status: RunStatus, native: Native) -> RunState:
    if native.state == "RUNNING" and status.state is RunState.QUEUED:
        return RunState.QUEUED  # its Python has not begun
    return _LIVE[native.state]


def _reason(status: RunStatus, native: Native) -> str | None:
    if native.state == "SUBMITTED":
        free = "" if native.cores is None else f": {native.cores_free} of {native.cores} cores are free"
        return f"waiting for resources{free}"
    if native.state == "RELAUNCHING":
        return "the Master starts the driver again"
    return "the driver is starting" if status.state is RunState.QUEUED else status.reason


def _unseen(status: RunStatus, native: Native, *, run_id: str, silence: float | None, now: float) -> RunStatus:
    """Return where a run is whose driver the Master does not know, or cannot be asked for: its signs of life tell."""
    why = f"the Master cannot be asked ({native.message})" if native.message else "the Master does not know the driver"
    if silence is not None and silence < SILENCE:
        return replace(status, reason=f"{why}, but it gives signs of life")
    if native.state == "NOT_FOUND" and (silence is None or silence >= SILENCE):
        error = ErrorInfo(
            category="cluster",
            message="the Master does not know the driver any more, and it gives no sign of life",
            hint=f"to go on: wheelrun resume {run_id}",
        )
        return ended(status, RunState.FAILED, error, now=now)
    return replace(status, state=RunState.UNKNOWN, reason=why)
