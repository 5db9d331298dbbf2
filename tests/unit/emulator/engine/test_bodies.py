from __future__ import annotations

import itertools
import json

import pytest

from wheelrun.emulator.engine import endings

SHOW = "import sys; print(sys.argv[1:])"


def condition(key, left, op, right, **settings):
    return {"task_key": key, "condition_task": {"left": left, "op": op, "right": right}, **settings}


def each(key, inputs, task, **settings):
    return {"task_key": key, "for_each_task": {"inputs": inputs, "task": task, **settings}}


def run_job(key, job_id, **settings):
    return {"task_key": key, "run_job_task": {"job_id": job_id, **settings}}


def on(outcome, task):
    """Let a task depend on an outcome of "if"."""
    return {**task, "depends_on": [{"task_key": "if", "outcome": outcome}]}


def test_the_branch_that_is_taken(bench, script):
    run_id = bench.once(
        condition("if", "{{tasks.a.result_state}}", "EQUAL_TO", "success", depends_on=[{"task_key": "a"}]),
        script("a"),
        on("true", script("yes")),
        on("false", script("no")),
        script("after_no", after=["no"]),
        script("join", after=["yes", "no"], run_if="NONE_FAILED"),
    )
    assert bench.results(run_id) == {
        "if": "SUCCESS",
        "a": "SUCCESS",
        "yes": "SUCCESS",
        "no": "EXCLUDED",
        "after_no": "EXCLUDED",
        "join": "SUCCESS",
    }
    assert bench.engine.records.latest(run_id)["if"].outcome == "true"
    assert bench.done(run_id).latest.ending == endings.SUCCESS


def test_a_condition_that_cannot_be_told(bench, script):
    run_id = bench.once(condition("if", "a", "LESS_THAN", "2"), on("true", script("yes")))
    assert bench.results(run_id) == {"if": "FAILED", "yes": "UPSTREAM_FAILED"}


def test_each_input(bench, script):
    inputs = json.dumps([{"x": 1}, {"x": "two"}, {"x": [3]}])
    run_id = bench.once(each("all", inputs, script("one", SHOW, "{{input.x}}", "{{task.name}}")), script("b"))
    assert bench.results(run_id) == {"all": "SUCCESS", "b": "SUCCESS"}
    attempt = bench.engine.records.latest(run_id)["all"]
    iterations = bench.engine.records.attempts(attempt.run_id)
    outputs = [(bench.engine.records.folder(one.run_id) / "output").read_text().strip() for one in iterations]
    assert outputs == ["['1', 'one']", "['two', 'one']", "['[3]', 'one']"]
    assert attempt.inputs == 3
    assert all(before.end <= after.start for before, after in itertools.pairwise(iterations))


def test_an_input_that_is_null(bench, script):
    run_id = bench.once(each("all", '[null, {"x": null}]', script("one", SHOW, "{{input}}")))
    assert bench.results(run_id) == {"all": "SUCCESS"}
    iterations = bench.engine.records.attempts(bench.engine.records.latest(run_id)["all"].run_id)
    outputs = [(bench.engine.records.folder(one.run_id) / "output").read_text().strip() for one in iterations]
    assert outputs == ["['null']", """['{"x": null}']"""]


def test_so_many_inputs_at_a_time(bench, script):
    inputs = json.dumps(list(range(9)))
    run_id = bench.once(each("all", inputs, script("one", "import time; time.sleep(0.1)"), concurrency=3))
    assert bench.results(run_id) == {"all": "SUCCESS"}
    assert bench.compute.most == 3


def test_no_inputs(bench, script):
    assert bench.results(bench.once(each("all", "[]", script("one")))) == {"all": "SUCCESS"}


def test_iterations_that_fail(bench, script):
    code = "import sys; sys.exit(sys.argv[1] == '1')"
    run_id = bench.once(each("all", "[0, 1, 2]", script("one", code, "{{input}}", max_retries=1), concurrency=2))
    assert bench.results(run_id) == {"all": "FAILED"}
    attempt = bench.engine.records.latest(run_id)["all"]
    assert attempt.ending.message == "1 of 3 iterations did not succeed."
    iterations = bench.engine.records.attempts(attempt.run_id)
    assert sorted(one.ending.result for one in iterations) == ["FAILED", "FAILED", "SUCCESS", "SUCCESS"]


def test_iterations_are_cancelled(bench, script, until):
    task = each("all", "[1, 2, 3, 4]", script("one", "import time; time.sleep(60)"), concurrency=2)
    run_id = bench.once(task, script("b", after=["all"]))
    attempt = bench.engine.records.latest(run_id)["all"]
    until(lambda: len([one for one in bench.engine.records.attempts(attempt.run_id) if one.life == "RUNNING"]) == 2)
    bench.engine.cancel(run_id)
    assert bench.results(run_id) == {"all": "CANCELED", "b": "CANCELED"}
    iterations = bench.engine.records.attempts(attempt.run_id)
    assert [one.ending.result for one in iterations] == ["CANCELED", "CANCELED"]


@pytest.mark.parametrize("inputs", ["{{job.parameters.nothing}}", "5"])
def test_inputs_that_are_none(bench, script, inputs):
    run_id = bench.once(each("all", inputs, script("one")))
    assert bench.results(run_id) == {"all": "FAILED"}
    assert bench.engine.records.latest(run_id)["all"].ending.code == "INVALID_RUN_CONFIGURATION"


def test_a_job_starts_another(bench, script):
    inner = bench.job(
        script("i", SHOW, "{{job.parameters.a}}", "{{job.parameters.b}}", "{{job.parameters.c}}"),
        parameters=[{"name": name, "default": "default"} for name in "abc"],
    )
    outer = bench.job(
        run_job("o", inner, job_parameters={"b": "{{job.parameters.b}} told"}),
        parameters=[{"name": name, "default": f"outer {name}"} for name in "abd"],
    )
    run_id = bench.now(outer)
    assert bench.results(run_id) == {"o": "SUCCESS"}
    attempt = bench.engine.records.latest(run_id)["o"]
    child = bench.engine.records.run(attempt.child)
    assert (child.job_id, child.trigger, child.caller) == (inner, "RUN_JOB_TASK", attempt.run_id)
    assert bench.output(child.run_id, "i") == "['outer a', 'outer b told', 'default']"


def test_a_job_that_is_started_fails(bench, script):
    inner = bench.job(script("i", "1/0"))
    assert bench.results(bench.once(run_job("o", inner))) == {"o": "FAILED"}


def test_a_job_that_is_started_is_cancelled_with_the_run(bench, script, until):
    inner = bench.job(script("i", "import time; time.sleep(60)"))
    run_id = bench.once(run_job("o", inner))
    child = until(lambda: bench.engine.records.latest(run_id)["o"].child)
    bench.engine.cancel(run_id)
    assert bench.results(run_id) == {"o": "CANCELED"}
    assert bench.done(child).latest.ending == endings.CANCELED


def test_a_job_that_is_gone(bench):
    run_id = bench.once(run_job("o", 99))
    assert bench.results(run_id) == {"o": "FAILED"}
    assert bench.engine.records.latest(run_id)["o"].ending.message == "Job 99 does not exist."


@pytest.mark.parametrize("between", [0, 1])
def test_a_job_does_not_wait_for_itself(bench, between):
    job_id = inner = bench.job()
    for _ in range(between):
        inner = bench.job(run_job("o", inner))
    bench.engine.jobs.change(job_id, {"tasks": [run_job("o", inner)], "queue": {"enabled": True}})
    run_id = bench.now(job_id)
    assert bench.results(run_id) == {"o": "FAILED"}
    runs = list(bench.engine.records.runs(newest_first=True))
    assert len(runs) == 1 + between
    assert f"Job {job_id} starts itself" in bench.engine.records.latest(runs[0].run_id)["o"].ending.message


def test_jobs_that_came_to_be_nested_too_deep(bench, script):
    job_id = bench.job(script("a"))
    for _ in range(4):
        job_id = bench.job(run_job("o", job_id))
    assert bench.results(bench.now(job_id)) == {"o": "FAILED"}
    assert len(list(bench.engine.records.runs(newest_first=True))) == 4
