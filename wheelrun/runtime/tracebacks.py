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


def user_traceback(error: BaseException, roots: Sequence[str | Path] = ()) -> str:
    """Format an exception with the frames of the user's code and of their libraries.

    Args:
        error: The exception; what caused it is formatted too.
        roots: Folders whose files are shown by their path below them (an unpacked wheel, the source root).
    """
    report = traceback.TracebackException.from_exception(error, compact=True)
    prefixes = [f"{root}/" for root in roots]
    seen: set[int] = set()
    _clean(report, prefixes, seen)
    return "".join(report.format()).rstrip() + "\n"


def _clean(report: traceback.TracebackException, prefixes: Sequence[str], seen: set[int]) -> None:
    if id(report) in seen:
        return
    seen.add(id(report))
    frames = [_shortened(frame, prefixes) for frame in report.stack if not _is_ours(frame.filename)]
    for prefix in prefixes:
        named = getattr(report, "filename", None)  # a SyntaxError names its file apart from the frames
        if named and named.startswith(prefix):
            report.filename = named[len(prefix) :]
    report.stack = traceback.StackSummary.from_list(frames)
    linked = [report.__cause__, report.__context__, *(getattr(report, "exceptions", None) or ())]
    for other in linked:
        if other is not None:
            _clean(other, prefixes, seen)


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
