"""Which step may run: pure decisions over the states of the steps it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from wheelrun.deployment import StepSpec
from wheelrun.pipelines import RunIf
from wheelrun.states import RunState


class Decision(Enum):
    """What to do with a step now."""

    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"


def decide(spec: StepSpec, states: Mapping[str, RunState]) -> tuple[Decision, str | None]:
    """Return what to do with a step, and why if it is skipped.

    Args:
        spec: The step.
        states: The state of every step that it depends on.
    """
    upstream = {name: states[name] for name in spec.upstream}
    if any(not state.is_terminal for state in upstream.values()):
        return Decision.WAIT, None
    failed = [name for name, state in upstream.items() if state is RunState.FAILED]
    unsuccessful = [name for name, state in upstream.items() if not state.is_success]
    if spec.run_if is RunIf.ALWAYS:
        return Decision.RUN, None
    if spec.run_if is RunIf.ONE_FAILED:
        return (Decision.RUN, None) if failed else (Decision.SKIP, "no step that it depends on failed")
    if unsuccessful:
        first = unsuccessful[0]
        return Decision.SKIP, f"step {first!r} {_WORDS[upstream[first]]}"
    return Decision.RUN, None


_WORDS = {RunState.FAILED: "failed", RunState.SKIPPED: "was skipped", RunState.CANCELLED: "was cancelled"}
