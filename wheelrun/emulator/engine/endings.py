"""How runs end, and how the service tells it: in `status`, and in the older `state`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wheelrun.emulator.compute.work import Outcome

BLOCKED = "BLOCKED"
INTERNAL_ERROR = "INTERNAL_ERROR"
PENDING = "PENDING"
QUEUED = "QUEUED"
RUNNING = "RUNNING"
SKIPPED = "SKIPPED"
TERMINATED = "TERMINATED"
TERMINATING = "TERMINATING"
WAITING_FOR_RETRY = "WAITING_FOR_RETRY"

_LIVES = {WAITING_FOR_RETRY: "WAITING", INTERNAL_ERROR: TERMINATED, SKIPPED: TERMINATED}
"""The life cycle states that `status` calls by another name."""

_TYPES = {
    "SUCCESS": "SUCCESS",
    "SUCCESS_WITH_FAILURES": "SUCCESS",
    "USER_CANCELED": "SUCCESS",
    "CANCELED": "SUCCESS",
    "SKIPPED": "SUCCESS",
    "DISABLED": "SUCCESS",
    "INTERNAL_ERROR": "INTERNAL_ERROR",
    "DRIVER_ERROR": "INTERNAL_ERROR",
    "CLOUD_FAILURE": "CLOUD_FAILURE",
}
"""Whose fault a termination code is; a user's, if not named."""

_FAILURES = {"FAILED", "TIMEDOUT", "UPSTREAM_FAILED"}
WORKLOAD_FAILED = "Workload failed, see run output for details"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run, a task run or an iteration ended.

    Attributes:
        result: A `RunResultState`.
        code: A termination code.
        message: A sentence about it.
        life: The life cycle state that it ends in.
        stopped: Whether somebody, or a timeout, stopped it.
    """

    result: str
    code: str
    message: str = ""
    life: str = TERMINATED
    stopped: bool = False

    @property
    def succeeded(self) -> bool:
        """Whether nothing is left to repair."""
        return self.result in {"SUCCESS", "SUCCESS_WITH_FAILURES", "EXCLUDED", "DISABLED"}


SUCCESS = Ending(result="SUCCESS", code="SUCCESS")
WITH_FAILURES = Ending(result="SUCCESS_WITH_FAILURES", code="SUCCESS_WITH_FAILURES")
CANCELED = Ending(result="CANCELED", code="USER_CANCELED", message="Run cancelled.", stopped=True)
TIMED_OUT = Ending(result="TIMEDOUT", code="CANCELED", message="Run timed out.", stopped=True)
DISABLED = Ending(result="DISABLED", code="DISABLED", message="The task is disabled.")
NOT_SELECTED = Ending(result="DISABLED", code="DISABLED", message="The task was not selected for this run.")
TOO_MANY = Ending(
    result="MAXIMUM_CONCURRENT_RUNS_REACHED",
    code="MAX_CONCURRENT_RUNS_EXCEEDED",
    message="Skipped because the job's maximum of concurrent runs was reached.",
    life=SKIPPED,
)
RESTARTED = Ending(
    result="FAILED", code="INTERNAL_ERROR", message="The service restarted while this was running.", life=INTERNAL_ERROR
)
NEVER_RUN = {
    "DISABLED": Ending(result="DISABLED", code="DISABLED", message="An upstream task is disabled."),
    "EXCLUDED": Ending(result="EXCLUDED", code="SKIPPED", message="The task's conditions were not met."),
    "UPSTREAM_FAILED": Ending(result="UPSTREAM_FAILED", code="SKIPPED", message="An upstream task failed."),
    "UPSTREAM_CANCELED": Ending(result="UPSTREAM_CANCELED", code="SKIPPED", message="An upstream task was canceled."),
}
"""The endings of tasks that were never started, by result."""


def misconfigured(message: str) -> Ending:
    """Return the ending of a task that cannot be started as it is configured."""
    return Ending(result="FAILED", code="INVALID_RUN_CONFIGURATION", message=message, life=INTERNAL_ERROR)


def of_outcome(outcome: Outcome) -> Ending:
    """Return the ending that an attempt's outcome is."""
    if outcome.result == INTERNAL_ERROR or (outcome.result == "FAILED" and outcome.code != "RUN_EXECUTION_ERROR"):
        return Ending(result="FAILED", code=outcome.code, message=outcome.message, life=INTERNAL_ERROR)
    message = outcome.message or (WORKLOAD_FAILED if outcome.result == "FAILED" else "")
    return Ending(result=outcome.result, code=outcome.code, message=message)


def of_tasks(endings: Sequence[tuple[str, Ending, bool]]) -> Ending:
    """Return how a job run ended, from its tasks.

    Args:
        endings: Of each task its key, its ending, and whether no other task depends on it.
    """
    leaves = [ending for _, ending, is_leaf in endings if is_leaf]
    if any(leaf.result in _FAILURES for leaf in leaves):
        return _failed({key: ending for key, ending, _ in endings})
    if any(leaf.result in {"CANCELED", "UPSTREAM_CANCELED"} for leaf in leaves):
        return CANCELED
    return SUCCESS if all(ending.succeeded for _, ending, _ in endings) else WITH_FAILURES


def _failed(endings: Mapping[str, Ending]) -> Ending:
    key, cause = min(
        ((key, ending) for key, ending in endings.items() if ending.result in _FAILURES),
        key=lambda item: item[1].result == "UPSTREAM_FAILED",
    )
    message = f"Task {key} failed with message: {cause.message.rstrip('.') or cause.result}."
    if any(ending.result == "UPSTREAM_FAILED" for ending in endings.values()):
        message += " This caused all downstream tasks to get skipped."
    return Ending(result="FAILED", code=cause.code, message=message, life=INTERNAL_ERROR)


def state(life: str, ending: Ending | None, *, queued: str = "") -> dict[str, Any]:
    """Return `RunState`: the older way to tell where a run is."""
    told: dict[str, Any] = {"life_cycle_state": life, "state_message": "", "user_cancelled_or_timedout": False}
    if ending is not None:
        told |= {
            "result_state": ending.result,
            "state_message": ending.message,
            "user_cancelled_or_timedout": ending.stopped,
        }
    return told | ({"queue_reason": queued} if queued else {})


def status(life: str, ending: Ending | None, *, queued: str = "") -> dict[str, Any]:
    """Return `RunStatus`: where a run is, and why."""
    told: dict[str, Any] = {"state": _LIVES.get(life, life)}
    if ending is not None:
        told["termination_details"] = {
            "code": ending.code,
            "type": _TYPES.get(ending.code, "CLIENT_ERROR"),
            "message": ending.message,
        }
    if queued:
        told["queue_details"] = {"code": "MAX_CONCURRENT_RUNS_REACHED", "message": queued}
    return told
