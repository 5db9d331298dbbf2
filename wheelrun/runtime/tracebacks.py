"""Tracebacks as the user wants them: their frames, not ours, paths as in their project."""

from __future__ import annotations

import importlib
import os
import runpy
import traceback
from collections.abc import Sequence
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parent.parent)
_MACHINERY = frozenset(
    {importlib.__file__, runpy.__file__, str(Path(os.__file__).parent / "concurrent/futures/thread.py")}
)
_OURS = (_PACKAGE, "<frozen runpy>", "<frozen importlib")


_LONGEST = 64_000  # characters: an event, a database row and a screen have to hold it


def message_of(error: BaseException, limit: int = 2000) -> str:
    """Return what an exception says, cut where it is long; its own `__str__` may fail."""
    try:
        text = str(error).strip()
    except Exception as failure:  # noqa: BLE001 - it is the user's code, and whatever it raises is told
        text = f"<its message cannot be told: {type(failure).__name__}>"
    return text if len(text) <= limit else f"{text[:limit]} …"


def said_by(error: BaseException) -> str:
    """Return an exception as the last line of a traceback does: its type, and what it says."""
    return f"{type(error).__name__}: {message_of(error)}".removesuffix(": ")


def is_ours(error: BaseException) -> bool:
    """Whether no line of the user's code, or of their libraries, had a part in an exception."""
    return all(_is_ours(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(error.__traceback__))


def user_traceback(error: BaseException, roots: Sequence[str | Path] = ()) -> str:
    """Format an exception with the frames of the user's code and of their libraries.

    Args:
        error: The exception; what caused it is formatted too.
        roots: Folders whose files are shown by their path below them (an unpacked wheel, the source root).
    """
    try:
        report = traceback.TracebackException.from_exception(error, compact=True)
        _clean(report, [f"{root}/" for root in roots])
        text = "".join(report.format()).rstrip()
    except Exception as failure:  # noqa: BLE001 - what the user's exception does when it is looked at is its own
        text = f"{said_by(error)}\n(its traceback cannot be told: {type(failure).__name__})"
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}\n… {len(text) - _LONGEST:,} characters …\n{text[-_LONGEST // 2 :]}"
    return text + "\n"


def _clean(report: traceback.TracebackException, prefixes: Sequence[str]) -> None:
    """Clean a report and all that it names as cause, context or part; there may be thousands, one behind the other."""
    seen: set[int] = set()
    left = [report]
    while left:
        each = left.pop()
        if id(each) not in seen:
            seen.add(id(each))
            _clean_one(each, prefixes)
            linked = [each.__cause__, each.__context__, *(getattr(each, "exceptions", None) or ())]
            left.extend(other for other in linked if other is not None)


def _clean_one(report: traceback.TracebackException, prefixes: Sequence[str]) -> None:
    frames = [_shortened(frame, prefixes) for frame in report.stack if not _is_ours(frame.filename)]
    for prefix in prefixes:
        named = getattr(report, "filename", None)  # a SyntaxError names its file apart from the frames
        if named and named.startswith(prefix):
            report.filename = named[len(prefix) :]
    report.stack = traceback.StackSummary.from_list(frames)


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OURS) or filename in _MACHINERY


def _shortened(frame: traceback.FrameSummary, prefixes: Sequence[str]) -> traceback.FrameSummary:
    for prefix in prefixes:
        if frame.filename.startswith(prefix):
            # the line is read before the name is shortened: a relative name cannot be opened from elsewhere
            return traceback.FrameSummary(
                frame.filename[len(prefix) :], frame.lineno, frame.name, lookup_line=False, line=frame.line
            )
    return frame
