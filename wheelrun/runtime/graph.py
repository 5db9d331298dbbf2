"""Which step may run: pure decisions over the states of the steps it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from wheelrun.deployment import StepSpec
from wheelrun.states import RunState
from wheelrun.step_settings import RunIf


class Decision(Enum):
    """What to do with a step now."""

    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"


def decide(
    spec: StepSpec, states: Mapping[str, RunState], steps: Mapping[str, StepSpec]
) -> tuple[Decision, str | None]:
    """Return what to do with a step, and why if it is skipped.

    A step that was skipped because something before it failed counts as failed for `one_failed`, as it does in Airflow:
    a notification at the end of a chain tells of a failure at its start.

    Args:
        spec: The step.
        states: The state of every step.
        steps: Every step by its name.
    """
    upstream = {name: states[name] for name in spec.upstream}
    if any(not state.is_terminal for state in upstream.values()):
        return Decision.WAIT, None
    unsuccessful = [name for name, state in upstream.items() if not state.is_success]
    if spec.run_if is RunIf.ALWAYS:
        return Decision.RUN, None
    if spec.run_if is RunIf.ONE_FAILED:
        if any(_failure_behind(name, states, steps) for name in upstream):
            return Decision.RUN, None
        return Decision.SKIP, "no step that it depends on failed"
    if unsuccessful:
        first = unsuccessful[0]
        return Decision.SKIP, f"step {first!r} {_WORDS[upstream[first]]}"
    return Decision.RUN, None


def _failure_behind(name: str, states: Mapping[str, RunState], steps: Mapping[str, StepSpec]) -> bool:
    """Whether a step failed, or was skipped for a failure of a step before it."""
    left, seen = [name], {name}
    while left:
        step = left.pop()
        if states[step] is RunState.FAILED:
            return True
        if states[step] is RunState.SKIPPED and steps[step].run_if is RunIf.ALL_SUCCEEDED:
            left += [each for each in steps[step].upstream if each not in seen]
            seen.update(steps[step].upstream)
    return False


_WORDS = {RunState.FAILED: "failed", RunState.SKIPPED: "was skipped", RunState.CANCELLED: "was cancelled"}
