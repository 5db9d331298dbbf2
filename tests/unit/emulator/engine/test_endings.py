from __future__ import annotations

import pytest
from databricks.sdk.service.jobs import RunState, RunStatus

from wheelrun.emulator.compute.work import Outcome
from wheelrun.emulator.engine import endings
from wheelrun.emulator.engine.endings import Ending

FAILED = Ending(result="FAILED", code="RUN_EXECUTION_ERROR", message="Workload failed, see run output for details")


def of_tasks(**of):
    """The ending of a run whose tasks ended so; those whose names begin with "leaf" are leaves."""
    return endings.of_tasks([(key, ending, key.startswith("leaf")) for key, ending in of.items()])


def test_a_run_whose_tasks_succeed():
    assert of_tasks(a=endings.SUCCESS, leaf=endings.SUCCESS) == endings.SUCCESS


def test_a_run_whose_leaves_succeed():
    assert of_tasks(a=FAILED, leaf=endings.SUCCESS) == endings.WITH_FAILURES


def test_an_excluded_task_is_no_failure():
    assert of_tasks(a=endings.SUCCESS, leaf=endings.NEVER_RUN["EXCLUDED"]) == endings.SUCCESS


def test_a_run_whose_leaf_fails():
    ending = of_tasks(leaf=FAILED)
    assert (ending.result, ending.code, ending.life) == ("FAILED", "RUN_EXECUTION_ERROR", "INTERNAL_ERROR")
    assert ending.message == "Task leaf failed with message: Workload failed, see run output for details."


def test_the_cause_is_named_where_a_leaf_was_never_run():
    ending = of_tasks(leaf=endings.NEVER_RUN["UPSTREAM_FAILED"], load=FAILED)
    assert ending.result == "FAILED"
    assert ending.message.startswith("Task load failed with message: Workload failed")
    assert ending.message.endswith("This caused all downstream tasks to get skipped.")


def test_a_leaf_that_stays_unrun_after_its_cause_was_repaired():
    ending = of_tasks(load=endings.SUCCESS, leaf=endings.NEVER_RUN["UPSTREAM_FAILED"])
    assert ending.result == "FAILED"
    assert "Task leaf" in ending.message


@pytest.mark.parametrize("leaf", [endings.CANCELED, endings.NEVER_RUN["UPSTREAM_CANCELED"]])
def test_a_run_whose_leaf_is_canceled(leaf):
    assert of_tasks(a=endings.CANCELED, leaf=leaf) == endings.CANCELED


@pytest.mark.parametrize(
    ("outcome", "ending"),
    [
        (Outcome(result="SUCCESS", code="SUCCESS"), endings.SUCCESS),
        (Outcome(result="FAILED", code="RUN_EXECUTION_ERROR"), FAILED),
        (
            Outcome(result="FAILED", code="LIBRARY_INSTALLATION_ERROR", message="no"),
            Ending(result="FAILED", code="LIBRARY_INSTALLATION_ERROR", message="no", life="INTERNAL_ERROR"),
        ),
        (
            Outcome(result="INTERNAL_ERROR", code="CLUSTER_ERROR", message="no"),
            Ending(result="FAILED", code="CLUSTER_ERROR", message="no", life="INTERNAL_ERROR"),
        ),
    ],
)
def test_an_attempts_outcome(outcome, ending):
    assert endings.of_outcome(outcome) == ending


ALL = [
    endings.SUCCESS,
    endings.WITH_FAILURES,
    endings.CANCELED,
    endings.TIMED_OUT,
    endings.DISABLED,
    endings.TOO_MANY,
    endings.RESTARTED,
    endings.misconfigured("m"),
    *endings.NEVER_RUN.values(),
]


@pytest.mark.parametrize("ending", ALL)
def test_the_client_understands_every_ending(ending):
    state = endings.state(ending.life, ending)
    assert RunState.from_dict(state).as_dict() == state
    status = endings.status(ending.life, ending)
    assert RunStatus.from_dict(status).as_dict() == status
    assert status["state"] == "TERMINATED"


@pytest.mark.parametrize(
    ("life", "state"),
    [("WAITING_FOR_RETRY", "WAITING"), ("RUNNING", "RUNNING"), ("BLOCKED", "BLOCKED"), ("TERMINATING", "TERMINATING")],
)
def test_what_goes_on(life, state):
    assert endings.state(life, None)["life_cycle_state"] == life
    assert endings.status(life, None) == {"state": state}


def test_what_waits_in_the_queue():
    status = endings.status("QUEUED", None, queued="Queued.")
    assert status["queue_details"] == {"code": "MAX_CONCURRENT_RUNS_REACHED", "message": "Queued."}
    assert endings.state("QUEUED", None, queued="Queued.")["queue_reason"] == "Queued."
