"""How states, times and sizes read: pure functions from values to text."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelrun.states import RunState, StepStatus

if TYPE_CHECKING:
    from wheelrun.client import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a state looks: its symbol, the symbol where only ASCII can be written, and its colour."""

    symbol: str
    ascii: str
    colour: str


LOOKS: Mapping[RunState, Look] = {
    RunState.QUEUED: Look(symbol="·", ascii=".", colour="bright_black"),
    RunState.RUNNING: Look(symbol="▶", ascii=">", colour="blue"),
    RunState.SUCCEEDED: Look(symbol="✓", ascii="+", colour="green"),
    RunState.CACHED: Look(symbol="≡", ascii="=", colour="green"),
    RunState.FAILED: Look(symbol="✗", ascii="x", colour="red"),
    RunState.CANCELLED: Look(symbol="■", ascii="#", colour="yellow"),
    RunState.SKIPPED: Look(symbol="-", ascii="-", colour="bright_black"),
    RunState.UNKNOWN: Look(symbol="?", ascii="?", colour="magenta"),
}


def symbol(state: RunState) -> str:
    """Return a state's symbol, as far as the terminal can write it."""
    look = LOOKS[state]
    encoding = (getattr(sys.stderr, "encoding", None) or "ascii").lower()
    return look.symbol if encoding.startswith("utf") else look.ascii


def duration(seconds: float | None) -> str:
    """Return a duration: `0.4 s`, `12.3 s`, `3 m 07 s`, `2 h 05 m`; nothing for None."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0.0)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m"


def size(count: int) -> str:
    """Return a number of bytes: `812 B`, `4.2 kB`, `1.3 MB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5 or unit == "GB":
            return f"{count} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError


def many(count: int, noun: str, plural: str | None = None) -> str:
    """Return `1 file`, `2 files`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def elapsed(item: RunRecord | StepStatus, now: float) -> float | None:
    """Return how long a run or a step took, or has taken until `now`; None before its start."""
    if item.started_at is None:
        return None
    return (now if item.ended_at is None else item.ended_at) - item.started_at


def tally(steps: Iterable[StepStatus]) -> str:
    """Return how many steps are in which state: `12 succeeded, 3 running, 985 queued`."""
    counts = Counter(step.state for step in steps)
    order = (
        RunState.SUCCEEDED,
        RunState.CACHED,
        RunState.FAILED,
        RunState.CANCELLED,
        RunState.SKIPPED,
        RunState.RUNNING,
        RunState.UNKNOWN,
        RunState.QUEUED,
    )
    return ", ".join(f"{counts[state]:,} {state}" for state in order if counts[state])


def change(step: StepStatus) -> str:
    """Return a step's state as the end of a line of progress: `failed after 2 attempts, 3.1 s: ValueError: …`."""
    text = str(step.state)
    if step.state is RunState.QUEUED and step.attempts:
        return "; ".join(filter(None, (f"attempt {step.attempts} failed: {first_line(problem(step))}", step.reason)))
    if step.state is RunState.RUNNING:
        return text + (f", attempt {step.attempts}" if step.attempts > 1 else "")
    if step.state is RunState.FAILED and step.attempts > 1:
        text += f" after {step.attempts} attempts"
    if step.seconds is not None and step.attempts:
        text += f" in {duration(step.seconds)}"
    reason = first_line(problem(step)) if step.error else step.reason
    return f"{text}: {reason}" if reason else text


def problem(item: RunRecord | StepStatus) -> str:
    """Return a run's or step's error as `Type: message`, or an empty string."""
    error = item.error
    if error is None:
        return ""
    kind = error.type if error.category == "user code" else ""
    return f"{kind}: {error.message}" if kind and not error.message.startswith(f"{kind}:") else error.message


def first_line(text: str, limit: int = 200) -> str:
    """Return a text's first line, cut where it is long."""
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def ago(moment: float | None, now: float) -> str:
    """Return how long ago something was: `12 s ago`, `5 m ago`, `3 h ago`, `2 d ago`."""
    if moment is None:
        return ""
    seconds = max(0, int(now - moment))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def outputs(step: StepStatus) -> str:
    """Return what a step's outputs are: `result: DataFrame, 120 rows`."""
    parts = []
    for output in step.outputs:
        rows = output.get("rows")
        parts.append(f"{output.get('name')}: {output.get('type')}" + (f", {rows:,} rows" if rows is not None else ""))
    return "; ".join(parts)
