"""What the service says, laid over what the tasks told."""

from __future__ import annotations

import pytest
from databricks.sdk.service.jobs import RunLifeCycleState, RunLifecycleStateV2State, RunResultState, TerminationCodeCode

from wheelrun.cli.words import change
from wheelrun.deployment import Deployment, StepSpec
from wheelrun.orchestrators.databricks.state import (
    CATEGORY,
    ENDED_WITHOUT_RESULT,
    LIFE_CYCLE,
    RESULT,
    Native,
    NativeRun,
    all_in_one,
    overlaid,
)
from wheelrun.states import RunState as S

DEPLOYMENT = Deployment(
    name="x", entry="x", steps=(StepSpec(name="a", function="m:f"), StepSpec(name="b", function="m:f", upstream=("a",)))
)


def native(key="", life="TERMINATED", result="SUCCESS", number=1, code="", message="", **more):
    state = {"life_cycle_state": life, **({"result_state": result} if life == "TERMINATED" else {})}
    return {
        "task_key": key,
        "run_id": number,
        "state": {**state, "state_message": message},
        "status": {"termination_details": {"code": code}},
        "start_time": 1000,
        "end_time": 2000 if life in ("TERMINATED", "INTERNAL_ERROR", "SKIPPED") else 0,
        "run_page_url": f"page/{number}",
        **more,
    }


def run_of(run, *tasks):
    return NativeRun.of({"run_id": 9, **run}, tasks)


def told(name, number=1, state="succeeded", **fields):
    return [
        {"time": 1.0, "event": "task", "start": 1, "service_task": str(number)},
        {"time": 1.1, "event": "step", "step": name, "state": "running", "attempt": 1},
        {"time": 1.9, "event": "step", "step": name, "state": state, "attempt": 1, **fields},
    ]


def test_every_state_of_the_service_is_mapped():
    known = {*LIFE_CYCLE, *ENDED_WITHOUT_RESULT, "TERMINATED"}
    assert {state.value for state in (*RunLifeCycleState, *RunLifecycleStateV2State)} <= known
    assert {result.value for result in RunResultState} == set(RESULT)
    assert set(CATEGORY) <= {code.value for code in TerminationCodeCode}


@pytest.mark.parametrize(("life", "result"), [("ASCENDED", ""), ("TERMINATED", "GLORIOUS"), ("", "")])
def test_a_state_that_nobody_mapped_is_unknown_and_no_end(life, result):
    found = Native.of({"state": {"life_cycle_state": life, "result_state": result}})
    assert found.state is S.UNKNOWN
    assert not found.state.is_terminal
    assert found.message


def test_what_a_task_told_is_what_its_step_is():
    run = run_of(native(), native("a", number=1), native("b", number=2, result="FAILED", code="RUN_EXECUTION_ERROR"))
    error = {"category": "user code", "type": "ValueError", "message": "no luck"}
    status = overlaid(DEPLOYMENT, run, {"a": told("a"), "b": told("b", 2, "failed", error=error)})
    assert [step.state for step in status.steps] == [S.SUCCEEDED, S.FAILED]
    assert status.state is S.FAILED
    assert status.error.message == "step 'b' failed: no luck"
    assert status.steps[1].error.hint == "its page: page/2"


def test_what_an_earlier_attempt_told_is_not_believed():
    run = run_of(
        native(result="FAILED"),
        native("a", number=7, result="FAILED", code="LIBRARY_INSTALLATION_ERROR", message="no such wheel"),
    )
    status = overlaid(DEPLOYMENT, run, {"a": told("a", 1, "failed", error={"category": "user code", "message": "old"})})
    assert status.steps[0].error.category == "library"
    assert "no such wheel" in status.steps[0].error.message


def test_a_success_without_a_word_is_no_success():
    status = overlaid(DEPLOYMENT, run_of(native(), native("a"), native("b", number=2)), {"a": told("a")})
    assert status.steps[1].state is S.FAILED
    assert "without a word" in status.steps[1].error.message
    assert status.state is S.FAILED


def test_the_last_attempt_of_a_task_counts():
    run = run_of(
        native(life="RUNNING"),
        native("a", number=3, life="RUNNING", attempt_number=1),
        native("a", number=1, result="FAILED", attempt_number=0),
    )
    step = overlaid(DEPLOYMENT, run, {}).steps[0]
    assert (step.state, step.attempts) == (S.RUNNING, 2)


def test_attempts_are_counted_from_the_last_repair():
    run = run_of(native(life="RUNNING"), native("a", number=3, life="RUNNING", attempt_number=2), native("b", number=2))
    steps = overlaid(
        DEPLOYMENT, run.since({"a": 2}), {"a": told("a", 1, "failed", error=None) * 2, "b": told("b", 2)}
    ).steps
    assert [(step.state, step.attempts) for step in steps] == [(S.RUNNING, 1), (S.SUCCEEDED, 1)]


def test_an_attempt_that_never_came_to_its_step_counts_while_it_runs_and_once_it_has_ended():
    for life, events in (("RUNNING", []), ("TERMINATED", told("a", 3))):
        run = run_of(native(life="RUNNING"), native("a", number=3, life=life, attempt_number=1))
        assert overlaid(DEPLOYMENT, run, {"a": events}).steps[0].attempts == 2


def test_a_run_that_goes_on_tells_what_it_waits_for():
    run = run_of(
        native(life="PENDING", message="Waiting for cluster"),
        native("a", life="PENDING", message="Waiting for cluster"),
        native("b", life="BLOCKED"),
    )
    status = overlaid(DEPLOYMENT, run, {})
    assert (status.state, status.reason, status.ended_at) == (S.QUEUED, "Waiting for cluster", None)
    assert status.steps[1].reason == "it waits for steps before it"
    assert status.url == "page/1"


@pytest.mark.parametrize("attempt", [0, 1])
def test_a_step_whose_cluster_is_made_is_queued_and_has_not_failed(attempt):
    waiting = native("a", life="PENDING", attempt_number=attempt)
    status = overlaid(DEPLOYMENT, run_of(native(life="RUNNING"), waiting), {}, now=3.0)
    assert change(status.steps[0]) == "queued: its cluster and libraries are made ready"


def test_a_run_that_was_cancelled_or_took_too_long():
    for result, state, category in (("CANCELED", S.CANCELLED, "cancelled"), ("TIMEDOUT", S.FAILED, "timeout")):
        run = run_of(
            native(result=result), native("a", result=result), native("b", number=2, result="UPSTREAM_CANCELED")
        )
        status = overlaid(DEPLOYMENT.with_settings(timeout=5.0), run, {})
        assert (status.state, status.error.category) == (state, category)
        assert status.steps[1].state is S.SKIPPED
    assert status.error.message == "the run took longer than 5 s"


def test_what_a_cancelled_process_said_of_its_step_does_not_count():
    run = run_of(native(result="CANCELED"), native("a", result="CANCELED"))
    error = {"category": "user code", "type": "KeyboardInterrupt", "message": ""}
    assert overlaid(DEPLOYMENT, run, {"a": told("a", 1, "failed", error=error)}).steps[0].state is S.CANCELLED


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("RUN_EXECUTION_ERROR", "user code"),
        ("CLUSTER_ERROR", "cluster"),
        ("UNAUTHORIZED_ERROR", "configuration"),
        ("DRIVER_ERROR", "cluster"),
    ],
)
def test_the_termination_code_tells_whose_fault_it_is(code, category):
    assert Native.of(native("a", result="FAILED", code=code)).error("it").category == category


def test_steps_that_share_a_task_are_what_it_told():
    events = [*told("a"), {"time": 2.0, "event": "step", "step": "b", "state": "running", "attempt": 1}]
    going = all_in_one(DEPLOYMENT, run_of(native(life="RUNNING"), native("pipeline", life="RUNNING")), events)
    assert [step.state for step in going.steps] == [S.SUCCEEDED, S.RUNNING]
    assert going.state is S.RUNNING
    died = all_in_one(
        DEPLOYMENT, run_of(native(result="FAILED"), native("pipeline", result="FAILED", message="exit code 9")), events
    )
    assert [step.state for step in died.steps] == [S.SUCCEEDED, S.FAILED]
    assert "exit code 9" in died.error.message
    ended = all_in_one(
        DEPLOYMENT, run_of(native(), native("pipeline")), [*events, {"time": 3.0, "event": "run", "state": "succeeded"}]
    )
    assert ended.state is S.SUCCEEDED


def test_a_run_that_was_left_out_or_ended_too_soon_has_failed():
    skipped = overlaid(DEPLOYMENT, run_of(native(life="SKIPPED", message="too many runs")), {})
    assert (skipped.state, skipped.error.message) == (S.FAILED, "the service has left the run out: too many runs")
    assert {step.state for step in skipped.steps} == {S.SKIPPED}
    short = overlaid(DEPLOYMENT, run_of(native(), native("a")), {"a": told("a")})
    assert (short.state, short.error.message) == (S.FAILED, "the run ended before step 'b' did")
    broken = overlaid(DEPLOYMENT, run_of(native(life="INTERNAL_ERROR", message="lost"), native("a")), {"a": told("a")})
    assert (broken.state, broken.error.category) == (S.FAILED, "cluster")
    assert broken.steps[1].state is S.SKIPPED
