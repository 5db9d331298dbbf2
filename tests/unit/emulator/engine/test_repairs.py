from __future__ import annotations

import concurrent.futures

import pytest

from wheelrun.emulator.engine import endings
from wheelrun.emulator.engine.repairs import repaired
from wheelrun.emulator.errors import ApiError

FLAG = "import pathlib, sys; print(sys.argv[2:]); sys.exit(not pathlib.Path(sys.argv[1]).exists())"


@pytest.fixture
def flag(tmp_path):
    """A file without which the task "b" fails."""
    return tmp_path / "flag"


@pytest.fixture
def failed(bench, script, flag):
    """A run whose task "b" failed: "a" -> "b" -> "c", and "d"."""
    job_id = bench.job(
        script("a"),
        script("b", FLAG, str(flag), "{{job.parameters.p}}", "{{job.repair_count}}", after=["a"]),
        script("c", after=["b"]),
        script("d"),
        parameters=[{"name": "p", "default": "default"}],
    )
    run_id = bench.now(job_id, job_parameters={"p": "sent"})
    assert bench.results(run_id) == {"a": "SUCCESS", "b": "FAILED", "c": "UPSTREAM_FAILED", "d": "SUCCESS"}
    return run_id


def repair(bench, run_id, **fields):
    return repaired(bench.engine, run_id, fields)


def test_all_that_failed(bench, failed, flag):
    flag.touch()
    repair_id = repair(bench, failed, rerun_all_failed_tasks=True, job_parameters={"p": "again"})
    assert bench.results(failed) == dict.fromkeys("abcd", "SUCCESS")
    run = bench.done(failed)
    assert run.latest.ending == endings.SUCCESS
    assert [item.repair_id for item in run.passes] == [None, repair_id]
    assert run.passes[0].ending.result == "FAILED"
    assert bench.output(failed, "b") == "['again', '1']"
    attempts = bench.engine.records.attempts(failed)
    assert [(one.key, one.number, one.passed) for one in attempts] == [
        *((key, 0, 0) for key in "abcd"),
        *((key, 1, 1) for key in "bc"),
    ]


def test_parameters_that_are_not_sent_again_have_their_defaults(bench, failed, flag):
    flag.touch()
    repair(bench, failed, rerun_tasks=["b"])
    bench.done(failed)
    assert bench.output(failed, "b") == "['default', '1']"


def test_what_depends_on_a_task_stays_unless_asked_for(bench, failed, flag):
    flag.touch()
    first = repair(bench, failed, rerun_tasks=["b"])
    assert bench.results(failed) == {"a": "SUCCESS", "b": "SUCCESS", "c": "UPSTREAM_FAILED", "d": "SUCCESS"}
    assert bench.done(failed).latest.ending.result == "FAILED"
    repair(bench, failed, rerun_tasks=["a"], rerun_dependent_tasks=True, latest_repair_id=first)
    assert bench.results(failed) == dict.fromkeys("abcd", "SUCCESS")
    assert bench.engine.records.latest(failed)["d"].number == 0
    assert len(bench.done(failed).passes) == 3


def test_tasks_run_as_the_job_has_them_now(bench, failed, script):
    job_id = bench.engine.records.run(failed).job_id
    settings = bench.engine.jobs.get(job_id).settings
    tasks = [
        script("b", "print('new')", after=["a"]) if task["task_key"] == "b" else task for task in settings["tasks"]
    ]
    bench.engine.jobs.change(job_id, {**settings, "tasks": tasks})
    repair(bench, failed, rerun_all_failed_tasks=True)
    assert set(bench.results(failed).values()) == {"SUCCESS"}
    assert bench.output(failed, "b") == "new"


def test_a_run_without_a_job(bench, script, flag):
    run_id = bench.once(script("a", FLAG, str(flag)))
    bench.done(run_id)
    flag.touch()
    repair(bench, run_id, rerun_all_failed_tasks=True)
    assert bench.results(run_id) == {"a": "SUCCESS"}


def test_every_repair_after_the_first_names_the_one_before(bench, failed):
    first = repair(bench, failed, rerun_all_failed_tasks=True)
    bench.done(failed)
    with pytest.raises(ApiError, match="The latest repair ID needs to be provided in order to create a new repair"):
        repair(bench, failed, rerun_all_failed_tasks=True)
    with pytest.raises(ApiError, match=f"The latest repair ID is not {first + 1}"):
        repair(bench, failed, rerun_all_failed_tasks=True, latest_repair_id=first + 1)
    second = repair(bench, failed, rerun_all_failed_tasks=True, latest_repair_id=first)
    bench.done(failed)
    assert second != first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "no tasks to repair"),
        ({"rerun_tasks": []}, "no tasks to repair"),
        ({"rerun_tasks": ["b", "b"]}, "duplicate task keys"),
        ({"rerun_tasks": ["x"]}, "Task 'x' does not exist in the run."),
        ({"rerun_tasks": ["b"], "rerun_all_failed_tasks": True}, "Only one of rerun_tasks and rerun_all_failed_tasks"),
    ],
)
def test_what_is_no_repair(bench, failed, fields, message):
    with pytest.raises(ApiError, match=message):
        repair(bench, failed, **fields)
    assert len(bench.engine.records.run(failed).passes) == 1


def test_a_run_that_is_under_way(bench, script):
    run_id = bench.once(script("a", "import time; time.sleep(60)"))
    with pytest.raises(ApiError, match="is active and cannot be repaired"):
        repair(bench, run_id, rerun_tasks=["a"])
    bench.engine.cancel(run_id)


def test_two_repairs_at_once(bench, failed, flag):
    flag.touch()

    def attempt(_):
        try:
            return repair(bench, failed, rerun_all_failed_tasks=True)
        except ApiError:
            return None

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = [one for one in pool.map(attempt, range(8)) if one is not None]
    assert len(made) == 1
    assert len(bench.done(failed).passes) == 2
