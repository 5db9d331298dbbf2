"""`current_run`: what a step may ask about the run that it is part of."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from wheelrun.states import RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentRun:
    """The run that the calling step is part of.

    Attributes:
        run_id: The run's id, the same for all its steps.
        name: The deployment's name.
        step: The step's name.
        attempt: The attempt's number, from 1.
        artifact_root: Where the run's artifacts lie.
        states: The states of the steps that have ended, at the time the step was started.
    """

    run_id: str
    name: str
    step: str
    attempt: int
    artifact_root: Path
    states: Mapping[str, RunState]

    @property
    def failed_steps(self) -> tuple[str, ...]:
        """The steps that had failed when this one was started: what a notification step tells."""
        return tuple(name for name, state in self.states.items() if state is RunState.FAILED)


ACTIVE: ContextVar[CurrentRun | None] = ContextVar("wheelrun_current_run", default=None)


def current_run() -> CurrentRun | None:
    """Return the run that the calling step is part of, or None outside a run (in a plain call or test)."""
    return ACTIVE.get()
