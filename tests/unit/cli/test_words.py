from __future__ import annotations

import pytest

from wheelrun.cli import words
from wheelrun.states import ErrorInfo, RunState, StepStatus


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0.04, "0.0 s"), (12.34, "12.3 s"), (59.96, "1 m 00 s"), (187, "3 m 07 s"), (7500, "2 h 05 m")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (812, "812 B"), (4200, "4.2 kB"), (999_999, "1.0 MB"), (2 * 10**12, "2000.0 GB")]
)
def test_size(count: int, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 s ago"), (-5, "0 s ago"), (125, "2 m ago"), (7300, "2 h ago"), (200_000, "2 d ago")]
)
def test_ago(seconds: float, text: str) -> None:
    assert words.ago(1000.0, 1000.0 + seconds) == text


def test_every_state_has_a_look() -> None:
    assert set(words.LOOKS) == set(RunState)
    assert all(look.ascii.isascii() for look in words.LOOKS.values())


def test_tally_counts_the_states_of_note() -> None:
    steps = [StepStatus(name=str(n), state=RunState.QUEUED) for n in range(1200)]
    steps += [StepStatus(name="a", state=RunState.RUNNING), StepStatus(name="b", state=RunState.FAILED)]
    assert words.tally(steps) == "1 failed, 1 running, 1,200 queued"


ERROR = ErrorInfo(category="user code", type="ValueError", message="bad row\nand more")


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (StepStatus(name="a", state=RunState.RUNNING, attempts=1), "running"),
        (StepStatus(name="a", state=RunState.RUNNING, attempts=2), "running, attempt 2"),
        (
            StepStatus(name="a", state=RunState.QUEUED, attempts=1, error=ERROR, reason="retried in 2 s"),
            "attempt 1 failed: ValueError: bad row; retried in 2 s",
        ),
        (
            StepStatus(name="a", state=RunState.FAILED, attempts=2, error=ERROR, started_at=1.0, ended_at=3.5),
            "failed after 2 attempts in 2.5 s: ValueError: bad row",
        ),
        (StepStatus(name="a", state=RunState.SKIPPED, reason="step 'x' failed"), "skipped: step 'x' failed"),
    ],
)
def test_change(step: StepStatus, text: str) -> None:
    assert words.change(step) == text
