"""What is told of a step that failed: whose fault it is, the user's traceback, and what to do."""

from __future__ import annotations

import os
import re
from pathlib import Path

from wheelrun.deployment import StepSpec
from wheelrun.errors import WheelrunError
from wheelrun.runtime.deadline import StepTimeout
from wheelrun.runtime.remote import REMOTE
from wheelrun.runtime.tracebacks import is_ours, message_of, user_traceback
from wheelrun.runtime.working_tree import hint_for
from wheelrun.states import ErrorInfo

_LONGEST = 2000

_CLASSIC_ONLY = (
    "this target is Spark Connect: there is no sparkContext, no RDD and no JVM; "
    "use DataFrames, or submit to another target"
)
_NOT_ON_SERVER = (
    "the Python of the Connect server's workers has not got that module: the run's own code was sent there, "
    'what it depends on has to be installed there, or travels with the target\'s dependencies = "bundle"'
)
_FULL = "a disk is full where Spark keeps what it spills and shuffles (SPARK_LOCAL_DIRS): make room there"
_MEMORY = (
    "a JVM of Spark ran out of memory: give the step more (executor_memory, memory), "
    "or have less at once in one partition, or in the driver"
)
_REMOTE_HINTS = (
    (re.compile(r"\[(JVM_ATTRIBUTE_NOT_SUPPORTED|CONTEXT_UNAVAILABLE_FOR_REMOTE_CLIENT)\]"), _CLASSIC_ONLY),
    (re.compile(r"PySparkNotImplementedError: \[NOT_IMPLEMENTED\]"), _CLASSIC_ONLY),
    (re.compile(r"PythonException.*ModuleNotFoundError: No module named", re.DOTALL), _NOT_ON_SERVER),
)
"""What an error's words tell where the session is one of Spark Connect -> what to do about it."""
_HINTS = (
    (re.compile(r"java\.io\.IOException: No space left on device"), _FULL),
    (re.compile(r"java\.lang\.OutOfMemoryError"), _MEMORY),
)
"""What the words of an error of the JVM tell -> what to do about it."""

_JVM_FRAMES = re.compile(r"\n(\n?JVM stacktrace:|\tat |\nDriver stacktrace:)")
"""Where the words of an error of the JVM end, and its own frames begin."""


def explain(
    error: BaseException,
    spec: StepSpec,
    *,
    code: tuple[Path, ...],
    source_root: Path | None,
    lost: tuple[str, str] | None = None,
) -> ErrorInfo:
    """Return what to tell of an error that came out of a step.

    Args:
        error: What was raised.
        spec: The step.
        code: Folders that the user's code was imported from, to shorten the traceback.
        source_root: The working tree beside a local run, for hints about what does not ship.
        lost: What has happened if what the session runs on is gone, and what to do.
    """
    if isinstance(error, StepTimeout):
        return ErrorInfo(
            category="timeout",
            type="StepTimeout",
            message=f"step {spec.name!r} took longer than {spec.timeout:g} s",
        )
    if lost is not None and not isinstance(error, WheelrunError):
        return ErrorInfo(
            category="cluster",
            type=type(error).__name__,
            message=f"{lost[0]} while step {spec.name!r} was running",
            traceback=user_traceback(error, code),
            hint=lost[1],
        )
    if isinstance(error, SystemExit):
        how = f"with status {error.code}" if isinstance(error.code, int) else f"with the words: {message_of(error)}"
        return ErrorInfo(category="user code", type="SystemExit", message=f"step {spec.name!r} exited {how}")
    ours = error if isinstance(error, WheelrunError) else None  # raised on purpose: its words say it all
    hint = (None if source_root is None else hint_for(error, source_root, code)) or _spark_hint(error)
    return ErrorInfo(
        category=ours.category if ours else "user code",
        type=type(error).__name__,
        message=_first_lines(error),
        traceback="" if ours and is_ours(error) else user_traceback(error, code),
        hint=ours.hint if ours else hint,
    )


def _spark_hint(error: BaseException) -> str | None:
    known = (*_REMOTE_HINTS, *_HINTS) if REMOTE in os.environ else _HINTS
    text = f"{type(error).__name__}: {message_of(error, _LONGEST)}"
    return next((hint for pattern, hint in known if pattern.search(text)), None)


def _first_lines(error: BaseException) -> str:
    text = message_of(error, _LONGEST) or type(error).__name__
    return _JVM_FRAMES.split(text)[0]
