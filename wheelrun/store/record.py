"""The record of a run: its value, its id, and the rules by which a report or an edit changes it.

Nothing here touches a disk: `RunStore` keeps what these functions return.
"""

from __future__ import annotations

import calendar
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from wheelrun import errors
from wheelrun.errors import StoreError, nearest
from wheelrun.states import ErrorInfo, RunState, RunStatus, StepStatus

_EXIT_CODES: dict[str, int] = {
    kind.category: kind.exit_code
    for kind in (
        errors.ConfigurationError,
        errors.PackagingError,
        errors.UploadError,
        errors.ClusterError,
        errors.LibraryError,
        errors.UserCodeError,
        errors.RunCancelledError,
        errors.RunTimeoutError,
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run, as the store knows it. What the mappings hold is JSON.

    Attributes:
        id: The run's id; empty until `RunStore.create` gives it one.
        project: The project's root folder.
        name: The run's name, for people.
        target: The name of the target it was submitted to.
        orchestrator: The name of the orchestrator that has it.
        entry: What it runs, as it was asked for: `jobs.daily:main`.
        params: Its parameters.
        argv: The arguments of a module or a file that is run as `__main__`.
        wheel: What it runs from: `{"path", "name", "version", "digest"}`; None before that was built.
        state: Its state at the last report.
        steps: Its steps at the last report, in the deployment's order.
        error: Why it failed.
        reason: Why it is in this state, where known.
        url: A page to look at, where the target has one.
        idempotency_key: The key under which it was submitted.
        created_at: When it was recorded, in seconds since the epoch; None until then.
        started_at: When its first step could start.
        ended_at: When it reached a terminal state.
        artifact_root: Where its artifacts are.
        stack: The resolved target, without its secrets.
        metadata: The handles that the orchestrator has yielded so far.
        rerun_of: The id of the run that it repeats.
        submitter: The process that watches over it: `{"pid", "started"}`.
    """

    id: str = ""
    project: str
    name: str
    target: str
    orchestrator: str
    entry: str
    params: Mapping[str, Any] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    wheel: Mapping[str, Any] | None = None
    state: RunState = RunState.QUEUED
    steps: tuple[StepStatus, ...] = ()
    error: ErrorInfo | None = None
    reason: str | None = None
    url: str | None = None
    idempotency_key: str | None = None
    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    artifact_root: str = ""
    stack: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    rerun_of: str | None = None
    submitter: Mapping[str, Any] | None = None

    @property
    def exit_code(self) -> int | None:
        """What a command that waited for it exits with; None until it has ended."""
        if not self.state.is_terminal:
            return None
        if self.state.is_success:
            return 0
        if self.state is RunState.CANCELLED:
            return errors.RunCancelledError.exit_code
        return _EXIT_CODES.get(self.error.category, 1) if self.error is not None else 1

    @property
    def holds_key(self) -> bool:
        """Whether its idempotency key stands for it: one that failed or was cancelled gives the key free."""
        return bool(self.idempotency_key) and self.state not in {RunState.FAILED, RunState.CANCELLED}


# --- ids --------------------------------------------------------------------------------------------------

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # in ASCII order; without i, l, o and u, which are misread
_CLOCK_STEP = 300 * 1_000_000  # microseconds; a clock that was set back by more than this is believed
_id_lock = threading.Lock()
_last_tick = -1


def new_run_id(now: float, *, after: str | None = None) -> str:
    """Return a new id that reads well and sorts by time: `20260101-093012-3rk7p2q`.

    It is the date and the time of day in UTC, then four characters for the microsecond and three random
    ones. Ids made in one process always grow, also within one microsecond and when the clock is set back a
    little; so do they after an id of another process that is given as `after`.

    Args:
        now: Seconds since the epoch.
        after: An id that the new one must sort behind.
    """
    global _last_tick
    tick = int(now * 1_000_000)
    with _id_lock:
        for last in (_last_tick, _tick_of(after) if after else -1):
            if 0 <= last - tick < _CLOCK_STEP:
                tick = last + 1
        _last_tick = tick
    seconds, micros = divmod(tick, 1_000_000)
    entropy = int.from_bytes(os.urandom(2), "big")
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime(seconds))}-{_base32(micros, 4)}{_base32(entropy, 3)}"


def _base32(number: int, width: int) -> str:
    return "".join(_DIGITS[(number >> 5 * place) & 31] for place in reversed(range(width)))


def _tick_of(run_id: str) -> int:
    """Return the microsecond, since the epoch, at which an id was made; -1 for an id of another form."""
    try:
        day, clock, rest = run_id.split("-")
        date = (int(day[:4]), int(day[4:6]), int(day[6:8]), int(clock[:2]), int(clock[2:4]), int(clock[4:6]))
        micros = sum(_DIGITS.index(char) << 5 * place for place, char in enumerate(reversed(rest[:4])))
        return calendar.timegm(date) * 1_000_000 + micros
    except ValueError:
        return -1


# --- rules ------------------------------------------------------------------------------------------------

_EDITABLE = frozenset(item.name for item in fields(RunRecord)) - {"id", "created_at"}
# What must be the same for a second submission to be the first one, repeated.
_SAME_KEY_SAME = ("project", "target", "entry", "params", "argv")


def edited(old: RunRecord, changes: Mapping[str, Any], now: float) -> RunRecord:
    """Return `old` with `changes`. A run that has ended keeps a terminal state: only `reopened` goes back.

    A change of state stamps `started_at` and `ended_at` with `now` where they are not known.

    Raises:
        TypeError: A change names no field, or one that is fixed.
    """
    for name in changes:
        if name not in _EDITABLE:
            near = nearest(name, _EDITABLE)
            raise TypeError(f"a run has no {name!r} to change" + (f"; did you mean {near!r}?" if near else ""))
    new = replace(old, **changes)
    if old.state.is_terminal and not new.state.is_terminal:
        new = replace(new, state=old.state)
    if new.state is RunState.RUNNING and new.started_at is None:
        new = replace(new, started_at=now)
    if new.state.is_terminal and new.ended_at is None:
        new = replace(new, ended_at=now)
    return new


def reported(old: RunRecord, status: RunStatus, now: float) -> RunRecord:
    """Return `old` with what an orchestrator reports about it.

    A report that is silent about a time, an error, a page or a step takes nothing away. After the end, a
    report of a run that still goes on is late and changes nothing; one of another end adds its steps only.
    """
    if old.state.is_terminal and not status.state.is_terminal:
        return old
    steps = {step.name: step for step in (*old.steps, *status.steps)}
    if old.state.is_terminal and status.state is not old.state:
        return replace(old, steps=tuple(steps.values()))
    return edited(
        old,
        {
            "state": status.state,
            "steps": tuple(steps.values()),
            "started_at": _known(status.started_at, old.started_at),
            "ended_at": _known(status.ended_at, old.ended_at),
            "error": _known(status.error, old.error),
            "reason": status.reason if status.state is not old.state else _known(status.reason, old.reason),
            "url": _known(status.url, old.url),
        },
        now,
    )


def reopened(old: RunRecord, changes: Mapping[str, Any], now: float) -> RunRecord:
    """Return an ended run as one that waits again, with `changes`; its steps and handles stay.

    Raises:
        StoreError: It has not ended. So of two who reopen one run at once, one gets it.
    """
    if not old.state.is_terminal:
        raise StoreError(
            f"run {old.id} is {old.state}: only a run that has ended can be taken up again",
            hint=f"Follow it with `wheelrun status {old.id}`, or stop it with `wheelrun cancel {old.id}`.",
        )
    waiting = replace(old, state=RunState.QUEUED, ended_at=None, error=None, reason=None)
    return edited(waiting, changes, now)


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return `old` overlaid with `new`: mappings merge, all else is replaced."""
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        result[key] = merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return result


def refuse_other(holder: RunRecord, asked: RunRecord) -> None:
    """Refuse a submission under the key of `holder` that asks for something else than it ran.

    Raises:
        StoreError: Naming what differs.
    """
    differ = [name for name in _SAME_KEY_SAME if _json(getattr(holder, name)) != _json(getattr(asked, name))]
    if differ:
        raise StoreError(
            f"the idempotency key {asked.idempotency_key!r} belongs to run {holder.id} ({holder.entry} on"
            f" {holder.target}), which has another {' and '.join(differ)}",
            hint="Give each piece of work a key of its own; repeat one only to repeat the same submission.",
        )


def _json(value: Any) -> str:
    """Return a form in which what came back from the store equals what went in."""
    return json.dumps(value, sort_keys=True)


def _known(new: Any, old: Any) -> Any:
    return old if new is None else new
