"""From a driver's native state to the run's."""

from __future__ import annotations

import pytest

from wheelrun.orchestrators.remote_run import SILENCE
from wheelrun.orchestrators.standalone.state import Native, overlaid
from wheelrun.states import RunState as S
from wheelrun.states import RunStatus, StepStatus


def status(state=S.RUNNING, *steps):
    return RunStatus(state=state, steps=tuple(StepStatus(name=name, state=each) for name, each in steps))


def seen(native, before=None, silence=None):
    before = before or status(S.RUNNING, ("a", S.SUCCEEDED), ("b", S.RUNNING), ("c", S.QUEUED))
    return overlaid(before, native, run_id="r", silence=lambda: silence, now=5.0)


def states(found):
    return {step.name: step.state for step in found.steps}


def test_what_the_events_say_of_the_end_is_the_end():
    done = status(S.SUCCEEDED, ("a", S.SUCCEEDED))
    for native in ("FINISHED", "FAILED", "KILLED", "NOT_FOUND", "UNREACHABLE"):
        assert seen(Native(state=native), done) is done


@pytest.mark.parametrize(
    ("native", "run", "running", "words"),
    [
        ("FINISHED", S.FAILED, S.FAILED, "ended before the run did"),
        ("FAILED", S.FAILED, S.FAILED, "driver failed"),
        ("ERROR", S.FAILED, S.FAILED, "could not run the driver: no such file"),
        ("KILLED", S.CANCELLED, S.CANCELLED, "was killed"),
        ("INTERRUPTED", S.FAILED, S.FAILED, "interrupted before it arrived"),
    ],
)
def test_a_driver_that_ended_without_a_word(native, run, running, words):
    message = "no such file" if native == "ERROR" else ""
    found = seen(Native(state=native, message=message))
    assert found.state is run
    assert states(found) == {"a": S.SUCCEEDED, "b": running, "c": S.SKIPPED}
    assert words in found.error.message
    assert "wheelrun resume r" in found.error.hint
    assert found.ended_at == 5.0


def test_a_driver_that_waits_says_for_what():
    found = seen(Native(state="SUBMITTED", cores_free=0, cores=4), status(S.QUEUED, ("a", S.QUEUED)))
    assert (found.state, found.reason) == (S.QUEUED, "waiting for resources: 0 of 4 cores are free")


def test_a_driver_that_starts():
    found = seen(Native(state="RUNNING"), status(S.QUEUED, ("a", S.QUEUED)))
    assert (found.state, found.reason) == (S.QUEUED, "the driver is starting")
    assert seen(Native(state="RUNNING")).state is S.RUNNING


def test_a_driver_that_is_started_again():
    assert seen(Native(state="RELAUNCHING")).reason == "the Master starts the driver again"


@pytest.mark.parametrize("native", ["NOT_FOUND", "UNREACHABLE"])
def test_signs_of_life_count_when_the_master_does_not_know(native):
    found = seen(Native(state=native), silence=1.0)
    assert found.state is S.RUNNING
    assert "signs of life" in found.reason


def test_a_driver_that_nobody_knows_and_that_is_silent_is_dead():
    assert seen(Native(state="NOT_FOUND"), silence=SILENCE + 1).state is S.FAILED
    assert seen(Native(state="NOT_FOUND"), silence=None).state is S.FAILED


def test_nothing_is_known_while_no_master_answers():
    assert seen(Native(state="UNREACHABLE", message="refused"), silence=SILENCE + 1).state is S.UNKNOWN


def test_a_native_state_that_nobody_mapped_is_unknown():
    assert seen(Native(state="DANCING")).state is S.UNKNOWN
