"""What is told of a step that failed: whose fault it is, the user's traceback, and what to do."""

from __future__ import annotations

from pathlib import Path

from wheelrun.deployment import StepSpec
from wheelrun.errors import WheelrunError
from wheelrun.runtime.deadline import StepTimeout
from wheelrun.runtime.tracebacks import is_ours, message_of, user_traceback
from wheelrun.runtime.working_tree import hint_for
from wheelrun.states import ErrorInfo

_LONGEST = 2000


def explain(
    error: BaseException, spec: StepSpec, *, code: tuple[Path, ...], source_root: Path | None, jvm_died: bool
) -> ErrorInfo:
    """Return what to tell of an error that came out of a step.

    Args:
        error: What was raised.
        spec: The step.
        code: Folders that the user's code was imported from, to shorten the traceback.
        source_root: The working tree beside a local run, for hints about what does not ship.
        jvm_died: Whether the process's JVM is gone.
    """
    if isinstance(error, StepTimeout):
        return ErrorInfo(
            category="timeout",
            type="StepTimeout",
            message=f"step {spec.name!r} took longer than {spec.timeout:g} s",
        )
    if jvm_died and not isinstance(error, WheelrunError):
        return ErrorInfo(
            category="cluster",
            type=type(error).__name__,
            message=f"the JVM died while step {spec.name!r} was running",
            traceback=user_traceback(error, code),
            hint="its last words are in the log; out of memory? give it more with --conf spark.driver.memory=4g",
        )
    if isinstance(error, SystemExit):
        how = f"with status {error.code}" if isinstance(error.code, int) else f"with the words: {message_of(error)}"
        return ErrorInfo(category="user code", type="SystemExit", message=f"step {spec.name!r} exited {how}")
    ours = error if isinstance(error, WheelrunError) else None  # raised on purpose: its words say it all
    hint = None if source_root is None else hint_for(error, source_root, code)
    return ErrorInfo(
        category=ours.category if ours else "user code",
        type=type(error).__name__,
        message=_first_lines(error),
        traceback="" if ours and is_ours(error) else user_traceback(error, code),
        hint=ours.hint if ours else hint,
    )


def _first_lines(error: BaseException) -> str:
    text = message_of(error, _LONGEST) or type(error).__name__
    return text.split("\n\nJVM stacktrace:")[0]
