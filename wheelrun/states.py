"""What a run and its steps can be, and the frozen report of where they are.

Standard library only: the cluster side imports this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class RunState(str, Enum):
    """The state of a run or of a step. A native state that nobody mapped is `UNKNOWN`, never success."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    CACHED = "cached"
    UNKNOWN = "unknown"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing will change any more. `UNKNOWN` is not terminal: the next poll may know."""
        return self in _TERMINAL

    @property
    def is_success(self) -> bool:
        """Whether what depends on it may go on: it succeeded, or its outputs came from the step cache."""
        return self in _SUCCESS

    def __str__(self) -> str:
        return self.value


_SUCCESS = frozenset({RunState.SUCCEEDED, RunState.CACHED})
_TERMINAL = _SUCCESS | {RunState.FAILED, RunState.CANCELLED, RunState.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInfo:
    """Why a run or a step failed.

    Attributes:
        category: One of the failure taxonomy: configuration, packaging, upload, cluster, library,
            user code, timeout, cancelled.
        type: The exception's class name, or an empty string where there was none.
        message: What happened, in one or a few lines.
        traceback: The user's traceback, their frames only; empty where there was none.
        hint: What to do about it, where known.
    """

    category: str
    message: str
    type: str = ""
    traceback: str = ""
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStatus:
    """Where one step of a run is.

    Attributes:
        name: The step's name, unique in its run.
        state: Its state now.
        attempts: How many attempts were started; 0 for a step that was skipped or cached.
        started_at: Start of the first attempt, in seconds since the epoch.
        ended_at: End of the last attempt, in seconds since the epoch.
        error: Why the last attempt failed.
        reason: Why it is in this state, where the state alone does not say ("upstream load failed").
        outputs: A description of each output: name, type, format, rows (where cheap), bytes.
        application_id: The Spark application that served it.
    """

    name: str
    state: RunState = RunState.QUEUED
    attempts: int = 0
    started_at: float | None = None
    ended_at: float | None = None
    error: ErrorInfo | None = None
    reason: str | None = None
    outputs: tuple[dict[str, Any], ...] = ()
    application_id: str | None = None

    @property
    def seconds(self) -> float | None:
        """Wall time from the first start to the last end, in seconds; None until it has ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Where a whole run is: what an orchestrator's `fetch_status` returns.

    Attributes:
        state: The state of the run.
        steps: One status per step, in the deployment's order.
        started_at: When the first step could start, in seconds since the epoch.
        ended_at: When it reached a terminal state, in seconds since the epoch.
        error: Why it failed.
        reason: Why it is in this state ("waiting for resources"), where known.
        url: A page to look at, where the target has one.
    """

    state: RunState
    steps: tuple[StepStatus, ...] = field(default=())
    started_at: float | None = None
    ended_at: float | None = None
    error: ErrorInfo | None = None
    reason: str | None = None
    url: str | None = None
