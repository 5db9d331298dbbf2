from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelrun.errors import StoreError
from wheelrun.states import ErrorInfo, RunState, RunStatus, StepStatus
from wheelrun.store import RunRecord, new_run_id
from wheelrun.store.record import edited, merged, refuse_other, reopened, reported

NOON = 1_767_268_800.0  # 2026-01-01 12:00 UTC


def record(**changes) -> RunRecord:
    base = RunRecord(
        id="r1",
        project="/p",
        name="n",
        target="local",
        orchestrator="local",
        entry="jobs:main",
        created_at=NOON,
    )
    return replace(base, **changes)


def test_an_id_reads_well():
    assert re.fullmatch(r"20260101-120000-fm80[0-9a-z]{3}", new_run_id(NOON + 0.512256))


def test_ids_of_one_moment_grow_strictly():
    now = time.time()
    ids = [new_run_id(now) for _ in range(5000)]
    assert ids == sorted(set(ids))


def test_ids_grow_when_the_clock_is_set_back_a_little():
    now = time.time()
    assert new_run_id(now) < new_run_id(now - 3) < new_run_id(now - 299) < new_run_id(now)


def test_a_clock_that_is_set_back_far_is_believed():
    new_run_id(NOON + 86_400)
    assert new_run_id(NOON).startswith("20260101-1200")


def test_ids_of_threads_are_all_different():
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: new_run_id(NOON), range(2000)))
    assert len(set(ids)) == 2000


def test_an_id_comes_behind_one_of_another_process():
    other = new_run_id(NOON + 50)
    new_run_id(0)  # this process knows nothing of it
    assert new_run_id(NOON, after=other) > other


@pytest.mark.parametrize("other", ["", "zzz", "a-b-c", "20260101-120000", "20260101-120000-!!!!", "2026-01-01-x"])
def test_an_id_of_another_form_is_no_obstacle(other):
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-z]{7}", new_run_id(NOON, after=other))


@given(st.lists(st.integers(0, 4_000_000_000_000_000), min_size=2, max_size=2, unique=True))
def test_ids_sort_as_their_times_do(micros):
    early, late = sorted(micros)
    new_run_id(4_200_000_000)  # far from both, so that neither is pushed
    first = new_run_id(early / 1e6)
    new_run_id(4_200_000_000)
    second = new_run_id(late / 1e6)
    if int(early / 1e6 * 1e6) != int(late / 1e6 * 1e6):
        assert first < second


@pytest.mark.parametrize(
    ("state", "category", "code"),
    [
        (RunState.QUEUED, None, None),
        (RunState.RUNNING, None, None),
        (RunState.UNKNOWN, None, None),
        (RunState.SUCCEEDED, None, 0),
        (RunState.CACHED, None, 0),
        (RunState.SKIPPED, None, 1),
        (RunState.CANCELLED, None, 4),
        (RunState.FAILED, None, 1),
        (RunState.FAILED, "user code", 1),
        (RunState.FAILED, "configuration", 3),
        (RunState.FAILED, "packaging", 5),
        (RunState.FAILED, "upload", 6),
        (RunState.FAILED, "cluster", 6),
        (RunState.FAILED, "library", 6),
        (RunState.FAILED, "timeout", 124),
        (RunState.FAILED, "cancelled", 4),
        (RunState.FAILED, "of a later version", 1),
    ],
)
def test_exit_code(state, category, code):
    error = ErrorInfo(category=category, message="m") if category else None
    assert record(state=state, error=error).exit_code == code


def test_an_edit_stamps_start_and_end_once():
    run = edited(record(), {"state": RunState.RUNNING}, 10.0)
    run = edited(run, {"state": RunState.RUNNING}, 11.0)
    run = edited(run, {"state": RunState.FAILED}, 12.0)
    run = edited(run, {"reason": "x"}, 13.0)
    assert (run.started_at, run.ended_at) == (10.0, 12.0)


def test_an_edit_takes_given_times():
    run = edited(record(), {"state": RunState.SUCCEEDED, "started_at": 1.0, "ended_at": 2.0}, 99.0)
    assert (run.started_at, run.ended_at) == (1.0, 2.0)


@pytest.mark.parametrize("later", [RunState.QUEUED, RunState.RUNNING, RunState.UNKNOWN])
@pytest.mark.parametrize("end", [state for state in RunState if state.is_terminal])
def test_the_end_is_the_end(end, later):
    run = record(state=end, ended_at=5.0)
    assert edited(run, {"state": later, "url": "u"}, 9.0) == replace(run, url="u")
    assert reported(run, RunStatus(state=later, url="u", steps=(StepStatus(name="a"),)), 9.0) == run


def test_an_end_may_be_corrected_by_an_edit_but_not_by_a_report():
    run = record(state=RunState.CANCELLED, ended_at=5.0)
    assert edited(run, {"state": RunState.FAILED}, 9.0).state is RunState.FAILED
    step = StepStatus(name="a", state=RunState.FAILED)
    assert reported(run, RunStatus(state=RunState.FAILED, steps=(step,)), 9.0) == replace(run, steps=(step,))


@pytest.mark.parametrize("name", ["id", "created_at", "statee", "exit_code"])
def test_an_edit_of_no_such_field_is_refused(name):
    with pytest.raises(TypeError, match=name):
        edited(record(), {name: 1}, 0.0)


def test_an_unknown_field_is_answered_with_the_nearest():
    with pytest.raises(TypeError, match="did you mean 'reason'"):
        edited(record(), {"reasons": "x"}, 0.0)


def test_a_report_takes_nothing_away_by_silence():
    error = ErrorInfo(category="cluster", message="m")
    run = record(
        state=RunState.RUNNING,
        started_at=1.0,
        url="u",
        error=error,
        steps=(StepStatus(name="a"), StepStatus(name="b")),
    )
    done = StepStatus(name="b", state=RunState.SUCCEEDED)
    new = reported(run, RunStatus(state=RunState.RUNNING, steps=(done, StepStatus(name="c"))), 9.0)
    assert new == replace(run, steps=(StepStatus(name="a"), done, StepStatus(name="c")))


def test_a_reason_goes_with_its_state():
    run = record(reason="waiting for resources")
    assert reported(run, RunStatus(state=RunState.QUEUED), 9.0).reason == "waiting for resources"
    assert reported(run, RunStatus(state=RunState.RUNNING), 9.0).reason is None


def test_the_same_end_again_may_tell_more():
    run = record(state=RunState.FAILED, ended_at=5.0, reason="r")
    error = ErrorInfo(category="user code", message="m")
    assert reported(run, RunStatus(state=RunState.FAILED, error=error), 9.0) == replace(run, error=error)


def test_reopening_keeps_steps_and_handles():
    steps = (StepStatus(name="a", state=RunState.SUCCEEDED),)
    error = ErrorInfo(category="user code", message="m")
    run = record(
        state=RunState.FAILED,
        ended_at=5.0,
        started_at=1.0,
        error=error,
        reason="r",
        steps=steps,
        metadata={"pid": 1},
    )
    again = reopened(run, {"submitter": {"pid": 2, "started": 3.0}}, 9.0)
    assert again == replace(
        run,
        state=RunState.QUEUED,
        ended_at=None,
        error=None,
        reason=None,
        submitter={"pid": 2, "started": 3.0},
    )


@pytest.mark.parametrize("state", [state for state in RunState if not state.is_terminal])
def test_only_an_ended_run_is_reopened(state):
    with pytest.raises(StoreError, match=f"run r1 is {state}"):
        reopened(record(state=state), {}, 9.0)


def test_metadata_merges_deep_and_leaves_its_parts_alone():
    old = {"a": {"x": 1, "l": [1]}, "b": 1}
    assert merged(old, {"a": {"y": 2, "l": [2]}, "b": {"z": 1}, "c": None}) == {
        "a": {"x": 1, "y": 2, "l": [2]},
        "b": {"z": 1},
        "c": None,
    }
    assert old == {"a": {"x": 1, "l": [1]}, "b": 1}


def test_a_key_is_for_one_piece_of_work():
    holder = record(idempotency_key="k", params={"day": "1", "list": [1]})
    refuse_other(holder, replace(holder, id="", params={"list": (1,), "day": "1"}, name="other name"))
    with pytest.raises(StoreError, match=r"'k' belongs to run r1 .* another entry and params"):
        refuse_other(holder, replace(holder, id="", entry="jobs:other", params={"day": "2"}))
