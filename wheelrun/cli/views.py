"""What is shown while a run runs: `PlainView` writes a line per change, `LiveView` keeps a table up to date.

Both write the job's own lines: those of its stdout to standard output, those of its stderr to standard error. All else
goes to standard error.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click

from wheelrun.cli import words
from wheelrun.cli.console import INDENT, console, is_terminal, say
from wheelrun.states import RunState, StepStatus

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wheelrun.client import LogLine, RunRecord

_REDRAW = 0.2  # seconds between two drawings of the table in which nothing but the time has changed
_ALL_STEPS = 12  # so many steps are shown whole; of more, those that run or went wrong
_REMARK = 12  # a remark in fewer columns says nothing
_TIME_COLUMN = 3
_INTERESTING = (RunState.RUNNING, RunState.FAILED, RunState.CANCELLED, RunState.UNKNOWN)


class View(Protocol):
    """Shows a submission and its run."""

    def __enter__(self) -> View: ...  # noqa: PYI034 - Python 3.10 has no Self

    def __exit__(self, *_: object) -> None: ...

    def stage(self, name: str) -> None:
        """Show what is done before there is a run."""

    def show(self, record: RunRecord) -> None:
        """Show where the run is; called often."""

    def write(self, lines: Sequence[LogLine]) -> None:
        """Write what the job wrote."""

    def note(self, text: str) -> None:
        """Write a line of wheelrun's own."""


def view_for(*, follow: bool, job_to_stderr: bool) -> View:
    """Return the view for this process's streams.

    Args:
        follow: Whether the run will be followed.
        job_to_stderr: Whether standard output is kept for a document.
    """
    if follow and is_terminal(sys.stderr) and console(sys.stderr).is_interactive:
        return LiveView(job_to_stderr=job_to_stderr)
    return PlainView(job_to_stderr=job_to_stderr)


class JobOutput:
    """Writes the job's lines. A reader of standard output who goes away does not end the run that is followed.

    Args:
        to_stderr: Whether its stdout goes to standard error too.
        to_terminal: Writes text to the terminal beside what else is shown there; None if nothing is.
    """

    def __init__(self, *, to_stderr: bool, to_terminal: Callable[[str], None] | None = None) -> None:
        self._to_stderr = to_stderr
        self._to_terminal = to_terminal
        self._gone = False

    def write(self, lines: Sequence[LogLine]) -> None:
        """Write some lines; neighbours of one stream go in one piece."""
        piece: list[str] = []
        for number, line in enumerate(lines):
            piece.append(line.text)
            if number + 1 == len(lines) or lines[number + 1].stream != line.stream:
                self._put("\n".join(piece), line.stream)
                piece.clear()

    def _put(self, text: str, stream: str) -> None:
        to_stdout = stream == "stdout" and not self._to_stderr
        target = sys.stdout if to_stdout else sys.stderr
        if self._to_terminal is not None and is_terminal(target):
            self._to_terminal(text)
            return
        if to_stdout and self._gone:
            return
        try:
            target.write(f"{text}\n")
            target.flush()
        except BrokenPipeError:
            if not to_stdout:
                raise
            self._gone = True
        except OSError:
            if to_stdout:
                raise


class PlainView:
    """Writes a line for each change."""

    def __init__(self, *, job_to_stderr: bool) -> None:
        self._job = JobOutput(to_stderr=job_to_stderr)
        self._seen: dict[str, StepStatus] = {}
        self._state: RunState | None = None

    def __enter__(self) -> PlainView:  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing open."""

    def stage(self, name: str) -> None:
        """Write the stage."""
        say(f"{name} …")

    def show(self, record: RunRecord) -> None:
        """Write what has changed since the last call."""
        if record.state is not self._state and not record.state.is_terminal:
            say(f"run {record.id} {record.state}" + (f": {record.reason}" if record.reason else ""))
        self._state = record.state
        for step in record.steps:
            old = self._seen.get(step.name)
            if (old is None and step.state is RunState.QUEUED) or (
                old is not None and (old.state, old.attempts) == (step.state, step.attempts)
            ):
                continue
            self._seen[step.name] = step
            say(f"{INDENT}{step.name}: {words.change(step)}")

    def write(self, lines: Sequence[LogLine]) -> None:
        """Write what the job wrote."""
        self._job.write(lines)

    def note(self, text: str) -> None:
        """Write a line."""
        say(text)


class LiveView:
    """Keeps a table of the steps at the bottom of the terminal; the job's lines scroll by above it."""

    def __init__(self, *, job_to_stderr: bool) -> None:
        from rich.live import Live

        self._console = console(sys.stderr)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._job = JobOutput(to_stderr=job_to_stderr, to_terminal=self._above)
        self._record: RunRecord | None = None
        self._drawn = 0.0

    def __enter__(self) -> LiveView:  # noqa: PYI034
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the table away, or leave its last picture behind."""
        if self._record is not None:
            self._live.transient = False
            self._draw(frame(self._record, time.time(), self._console.size, head=False))
        self._live.stop()

    def stage(self, name: str) -> None:
        """Show the stage."""
        from rich.text import Text

        self._draw(Text(f"{name} …", style="bright_black"))

    def show(self, record: RunRecord) -> None:
        """Show where the run is."""
        if record == self._record and time.monotonic() - self._drawn < _REDRAW:
            return
        self._record = record
        self._draw(frame(record, time.time(), self._console.size))

    def write(self, lines: Sequence[LogLine]) -> None:
        """Write what the job wrote above the table."""
        self._job.write(lines)

    def note(self, text: str) -> None:
        """Write a line above the table."""
        self._above(click.unstyle(text))

    def _above(self, text: str) -> None:
        self._console.out(text, highlight=False)

    def _draw(self, picture: RenderableType) -> None:
        self._drawn = time.monotonic()
        self._live.update(picture, refresh=True)


def frame(record: RunRecord, now: float, size: tuple[int, int], *, head: bool = True) -> RenderableType:
    """Return the picture of a run, no wider or higher than the terminal.

    Args:
        record: The run.
        now: Seconds since the epoch, for the time of what is running.
        size: The terminal's columns and lines.
        head: Whether it has the line about the run itself.
    """
    from rich.console import Group
    from rich.text import Text

    width, height = size
    steps = shown(record.steps, max(3, min(height - 5, 30)))
    lines: list[Any] = []
    if head:
        look = words.LOOKS[record.state]
        title = Text(no_wrap=True, overflow="ellipsis")
        title.append(f"{words.symbol(record.state)} {record.state}", style=look.colour)
        title.append(f" {words.duration(words.elapsed(record, now))}".rstrip())
        title.append(f"  {record.name}", style="bold")
        title.append(f"  {record.id}")
        lines.append(title)
        if record.reason:
            lines.append(_faint(record.reason))
    if steps:
        lines.append(_table(steps, now, width))
    if len(steps) < len(record.steps):
        lines.append(_faint(f"{words.many(len(record.steps), 'step')}: {words.tally(record.steps)}"))
    return Group(*lines)


def shown(steps: Sequence[StepStatus], room: int) -> list[StepStatus]:
    """Return the steps that a table with room for so many shows: all, or those that run or went wrong."""
    if len(steps) <= min(room, _ALL_STEPS):
        return list(steps)
    picked = [step for step in steps if step.state in _INTERESTING]
    if len(picked) > room:  # what went wrong stays longer in sight than what is merely running
        picked.sort(key=lambda step: step.state is RunState.RUNNING)
        picked = picked[:room]
    return picked


def _faint(text: str) -> RenderableType:
    from rich.text import Text

    return Text(f"{INDENT}{text}", style="bright_black", no_wrap=True, overflow="ellipsis")


def _table(steps: Sequence[StepStatus], now: float, width: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    states = [str(step.state) for step in steps]
    times = [words.duration(words.elapsed(step, now)) if step.attempts else "" for step in steps]
    fixed = [3, max(map(len, states)), max(map(len, times))]
    left = width - sum(fixed) - 2 * len(fixed)
    name = max(4, min(max(len(step.name) for step in steps), left if left < _REMARK else max(left // 2, 12)))
    remark = left - name - 2
    columns = [3, name, *fixed[1:], *([remark] if remark >= _REMARK else [])]
    table = Table.grid(padding=(0, 2, 0, 0))
    for number, column in enumerate(columns):
        justify: Any = "right" if number == _TIME_COLUMN else "left"
        table.add_column(no_wrap=True, overflow="ellipsis", width=column, justify=justify)
    for step, state, time_taken in zip(steps, states, times, strict=True):
        colour = words.LOOKS[step.state].colour
        mark, told = Text(f"{INDENT}{words.symbol(step.state)}", style=colour), Text(state, style=colour)
        cells = [mark, Text(step.name), told, Text(time_taken), Text(_remark(step))]
        table.add_row(*cells[: len(columns)])
    return table


def _remark(step: StepStatus) -> str:
    attempts = f"attempt {step.attempts}" if step.attempts > 1 else ""
    return "; ".join(filter(None, (attempts, words.first_line(words.problem(step) or step.reason or ""))))
