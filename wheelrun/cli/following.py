"""Following a run to its end: its state on one side, its log lines on the other, Ctrl-C in between."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from wheelrun.cli import INTERRUPTED
from wheelrun.cli.console import out, out_json, say
from wheelrun.cli.documents import run_document
from wheelrun.cli.summary import summarize
from wheelrun.cli.views import View
from wheelrun.errors import WheelrunError

if TYPE_CHECKING:
    from wheelrun.client import Client, LogLine, Run, RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the following of a run ended: its record, and whether Ctrl-C ended it."""

    record: RunRecord
    interrupted: bool = False


_LOOK = 0.1  # seconds between two looks at the run's state, at first
_SLOWEST_LOOK = 0.25
_WAITING_LINES = 20_000  # so many lines wait to be written before the reading of the log waits too
_PIECE = 5_000


def follow(run: Run, view: View, *, skip: Mapping[str, int] | None = None) -> RunRecord:
    """Show a run until it has ended, and return its record.

    Args:
        run: The run.
        view: Where it is shown.
        skip: Stream -> lines of its log that were written before.
    """
    log = _LogReader(run, skip or {})
    log.start()
    pause, look_at, record = _LOOK, 0.0, run.record
    view.show(record)
    try:
        while True:
            view.write(log.take(_LOOK / 2))
            if time.monotonic() >= look_at:
                last, record = record, run.status()
                pause = _LOOK if record != last else min(pause * 1.2, _SLOWEST_LOOK)
                look_at = time.monotonic() + pause
            view.show(record)
            if record.state.is_terminal:
                break
        while not log.ended:
            view.write(log.take(_LOOK))
    finally:
        log.stop()
    view.show(record)
    if log.trouble is not None:
        view.note(f"warning: the log could not be read: {log.trouble}")
    return record


def lines_so_far(run: Run) -> Counter[str]:
    """Return how many lines of each stream a run has written."""
    try:
        return Counter(line.stream for line in run.logs())
    except (NotImplementedError, WheelrunError):
        return Counter()


class _LogReader:
    """Reads a run's log in a thread of its own, since waiting for a line must not keep the state waiting."""

    def __init__(self, run: Run, skip: Mapping[str, int]) -> None:
        self._run = run
        self._skip = Counter(skip)
        self._lines: queue.Queue[LogLine | None] = queue.Queue(_WAITING_LINES)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name="wheelrun-log", daemon=True)
        self.trouble: Exception | None = None
        self.ended = False

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no further; does not wait."""
        self._stopped.set()
        with contextlib.suppress(queue.Empty):
            while True:
                self._lines.get_nowait()

    def take(self, wait: float) -> list[LogLine]:
        """Return the lines that have come, waiting at most so many seconds for the first."""
        taken: list[LogLine] = []
        try:
            line = self._lines.get(timeout=wait)
            while line is not None and len(taken) < _PIECE:
                taken.append(line)
                line = self._lines.get_nowait()
            if line is None:
                self.ended = True
            else:
                taken.append(line)
        except queue.Empty:
            pass
        return taken

    def _read(self) -> None:
        try:
            for line in self._run.logs(follow=True):
                if self._stopped.is_set():
                    return
                if self._skip[line.stream] > 0:
                    self._skip[line.stream] -= 1
                    continue
                self._lines.put(line)
        except NotImplementedError:
            pass  # the target has no logs
        except (WheelrunError, OSError) as error:
            self.trouble = error
        finally:
            self._lines.put(None)


def watch(run: Run, view: View, *, skip: Mapping[str, int] | None = None) -> Outcome:
    """Follow a run to its end. Ctrl-C cancels it; a second one leaves it alone.

    Args:
        run: The run.
        view: Where it is shown.
        skip: Stream -> lines of its log that were written before.
    """
    try:
        return Outcome(record=follow(run, view, skip=skip))
    except KeyboardInterrupt:
        pass
    except BaseException:  # the store cannot be read, a signal: it ends the following, and not the run
        view.note(f"run {run.id} may still be running; to see where it is: wheelrun status {run.id}")
        raise
    try:
        view.note(f"cancelling run {run.id} … (Ctrl-C again leaves it alone)")
        record = run.cancel()
    except KeyboardInterrupt:
        view.note(f"run {run.id} may still be running; to end it: wheelrun cancel {run.id}")
        raise
    view.show(record)
    return Outcome(record=record, interrupted=True)


def conclude(outcome: Outcome, *, output: str) -> int:
    """Tell how a run ended, and return the exit code.

    Args:
        outcome: What `watch` returned.
        output: "text" or "json".
    """
    record = outcome.record
    summarize(record)
    if output == "json":
        out_json(run_document(record))
    if outcome.interrupted and not record.state.is_success:
        return INTERRUPTED
    return record.exit_code or 0


def announce(run: Run, *, output: str) -> int:
    """Tell of a run that is not followed: its id alone on standard output, or its document."""
    record = run.record
    if output == "json":
        out_json(run_document(record))
    else:
        say(f"run {record.id} is {record.state} on {record.target}; to follow it:")
        say(f"  wheelrun logs -f {record.id}")
        say(f"  wheelrun status {record.id}")
        out(record.id)
    return 0


def tell_warnings(run: Run, view: View) -> None:
    """Write what a submission had to say."""
    for text in run.warnings:
        view.note(f"{click.style('warning: ', fg='yellow')}{text}")


@contextlib.contextmanager
def document_of_failure(client: Client, output: str) -> Iterator[None]:
    """Write the document of the run that an error has, where one is asked for; the error goes on."""
    try:
        yield
    except WheelrunError as error:
        if output == "json" and error.run_id is not None:
            out_json(run_document(client.store.get(error.run_id)))
        raise
