from __future__ import annotations

import concurrent.futures
import threading
import time

import pytest

from wheelrun.emulator.compute import Outcome
from wheelrun.emulator.engine import endings
from wheelrun.emulator.engine.orders import Order
from wheelrun.emulator.errors import ApiError

FAIL = "raise SystemExit('no')"
SLEEP = "import time; time.sleep(60)"


def test_tasks_run_in_order_and_tell_what_they_wrote(bench, script):
    run_id = bench.once(
        script("b", "import sys; print(sys.argv[1:])", "x y", "{{tasks.a.result_state}}", after=["a"]), script("a")
    )
    run = bench.done(run_id)
    assert run.latest.ending == endings.SUCCESS
    a, b = (bench.engine.records.latest(run_id)[key] for key in "ab")
    assert a.end <= b.start <= b.began <= b.end <= run.latest.end
    assert bench.output(run_id, "b") == "['x y', 'success']"


def test_independent_tasks_run_at_the_same_time(bench, script, tmp_path):
    meet = (
        "import pathlib, sys, time; folder = pathlib.Path(sys.argv[1]); (folder / sys.argv[2]).touch()\n"
        "while len(list(folder.iterdir())) < 4: time.sleep(0.01)"
    )
    (tmp_path / "met").mkdir()
    run_id = bench.once(*(script(key, meet, str(tmp_path / "met"), key) for key in "abcd"))
    assert bench.results(run_id) == dict.fromkeys("abcd", "SUCCESS")


def test_no_more_attempts_at_once_than_there_may_be(benches, script):
    bench = benches(parallel=2)
    run_id = bench.once(*(script(f"t{number}", "import time; time.sleep(0.05)") for number in range(8)))
    assert bench.done(run_id).latest.ending == endings.SUCCESS
    assert bench.compute.most == 2


def test_a_failure_stops_what_depends_on_it_and_nothing_else(bench, script):
    run_id = bench.once(script("a", FAIL), script("b", after=["a"]), script("c", after=["b"]), script("d"))
    assert bench.results(run_id) == {"a": "FAILED", "b": "UPSTREAM_FAILED", "c": "UPSTREAM_FAILED", "d": "SUCCESS"}
    ending = bench.done(run_id).latest.ending
    assert (ending.result, ending.life) == ("FAILED", "INTERNAL_ERROR")
    assert bench.engine.records.latest(run_id)["a"].error == "no"


def test_tasks_for_the_case_of_a_failure(bench, script):
    run_id = bench.once(
        script("a", FAIL),
        script("b"),
        script("mend", after=["a"], run_if="AT_LEAST_ONE_FAILED"),
        script("never", after=["b"], run_if="ALL_FAILED"),
        script("last", after=["mend", "never", "a"], run_if="ALL_DONE"),
    )
    assert bench.results(run_id) == {
        "a": "FAILED",
        "b": "SUCCESS",
        "mend": "SUCCESS",
        "never": "EXCLUDED",
        "last": "SUCCESS",
    }
    assert bench.done(run_id).latest.ending == endings.WITH_FAILURES


def test_disabled_tasks_and_what_needs_them_do_not_run(bench, script):
    run_id = bench.once(
        script("a"),
        script("b", FAIL, after=["a"], disabled=True),
        script("c", after=["b"]),
        script("d", after=["b"], run_if="ALL_DONE"),
    )
    assert bench.results(run_id) == {"a": "SUCCESS", "b": "DISABLED", "c": "DISABLED", "d": "SUCCESS"}
    assert bench.done(run_id).latest.ending == endings.SUCCESS


def test_a_failure_before_a_disabled_task_is_one(bench, script):
    run_id = bench.once(script("a", FAIL), script("b", after=["a"], disabled=True))
    assert bench.results(run_id) == {"a": "FAILED", "b": "DISABLED"}
    assert bench.done(run_id).latest.ending.result == "FAILED"


def test_only_some_tasks_of_a_job(bench, script):
    job_id = bench.job(script("a"), script("b", after=["a"]), script("c", after=["b"]), script("d", FAIL))
    run_id = bench.now(job_id, only=["b+"])
    assert bench.results(run_id) == {"a": "DISABLED", "b": "SUCCESS", "c": "SUCCESS", "d": "DISABLED"}
    assert bench.results(bench.now(job_id, only=["+b"]))["a"] == "SUCCESS"
    with pytest.raises(ApiError, match="'x' does not exist"):
        bench.now(job_id, only=["x"])


def test_a_task_is_tried_again(bench, script, tmp_path):
    # fails twice
    code = (
        "import pathlib, sys; path = pathlib.Path(sys.argv[1]); count = len(path.read_text()) if path.exists() else 0\n"
        "path.write_text('x' * (count + 1)); print(sys.argv[2]); sys.exit(count < 2)"
    )
    task = script("a", code, str(tmp_path / "count"), "{{task.execution_count}}", max_retries=5)
    run_id = bench.once(task, script("b", after=["a"]))
    assert bench.results(run_id) == {"a": "SUCCESS", "b": "SUCCESS"}
    attempts = [one for one in bench.engine.records.attempts(run_id) if one.key == "a"]
    assert [one.number for one in attempts] == [0, 1, 2]
    assert [one.ending.result for one in attempts] == ["FAILED", "FAILED", "SUCCESS"]
    assert {one.original for one in attempts} == {attempts[0].run_id}
    assert bench.output(run_id, "a") == "3"
    assert bench.done(run_id).latest.ending == endings.SUCCESS


def test_a_task_is_not_tried_for_ever(bench, script):
    run_id = bench.once(script("a", FAIL, max_retries=1))
    assert bench.results(run_id) == {"a": "FAILED"}
    assert len(bench.engine.records.attempts(run_id)) == 2


def test_a_retry_waits_for_as_long_as_it_has_to(bench, script, until):
    run_id = bench.once(script("a", FAIL, max_retries=1, min_retry_interval_millis=700))
    waiting = until(lambda: [one for one in bench.engine.records.attempts(run_id) if one.life == "WAITING_FOR_RETRY"])
    assert waiting[0].start == 0
    bench.done(run_id)
    first, second = bench.engine.records.attempts(run_id)
    assert second.start - first.start >= 695


def test_a_task_that_waits_for_a_retry_can_be_cancelled(bench, script, until):
    run_id = bench.once(script("a", FAIL, max_retries=1, min_retry_interval_millis=600_000))
    until(lambda: bench.engine.records.latest(run_id)["a"].life == "WAITING_FOR_RETRY")
    bench.engine.cancel(run_id)
    assert bench.results(run_id) == {"a": "CANCELED"}


def test_a_task_that_takes_too_long(bench, script):
    run_id = bench.once(script("a", SLEEP, timeout_seconds=1, max_retries=1), script("b", after=["a"]))
    assert bench.results(run_id) == {"a": "TIMEDOUT", "b": "UPSTREAM_FAILED"}
    (attempt, _) = bench.engine.records.attempts(run_id)
    assert attempt.ending.stopped
    assert bench.done(run_id).latest.ending.result == "FAILED"


def test_the_wait_for_others_is_no_part_of_the_time_that_a_task_takes(benches, script):
    bench = benches(parallel=1)
    run_id = bench.once(*(script(key, "import time; time.sleep(0.7)", timeout_seconds=2) for key in "abcd"))
    assert set(bench.results(run_id).values()) == {"SUCCESS"}


def test_a_timeout_is_tried_again_if_asked_for(bench, script):
    run_id = bench.once(script("a", SLEEP, timeout_seconds=1, max_retries=1, retry_on_timeout=True))
    assert bench.results(run_id) == {"a": "TIMEDOUT"}
    assert len(bench.engine.records.attempts(run_id)) == 2


def test_a_run_that_takes_too_long(bench, script):
    run_id = bench.once(script("a", SLEEP), script("b", after=["a"]), timeout_seconds=1)
    run = bench.done(run_id)
    assert run.latest.ending == endings.TIMED_OUT
    assert bench.results(run_id) == {"a": "TIMEDOUT", "b": "TIMEDOUT"}


def test_a_run_is_cancelled(bench, script, until):
    run_id = bench.once(script("a", SLEEP), script("b", after=["a"], run_if="ALL_DONE"))
    until(lambda: bench.engine.records.latest(run_id)["a"].life == "RUNNING")
    bench.engine.cancel(run_id)
    assert bench.done(run_id).latest.ending == endings.CANCELED
    assert bench.results(run_id) == {"a": "CANCELED", "b": "CANCELED"}
    bench.engine.cancel(run_id)
    assert bench.done(run_id).latest.ending == endings.CANCELED


def test_a_cancelled_run_tries_nothing_again(bench, script, until, monkeypatch):
    """Neither a task that was being stopped for its timeout when the run was cancelled."""
    stopping, let_go = threading.Event(), threading.Event()

    def slow_to_stop(_, work, stop):
        stop.wait(30)
        stopping.set()
        let_go.wait(30)
        return Outcome(result="CANCELED", code="CANCELED")

    monkeypatch.setattr(bench.compute, "execute", slow_to_stop)
    run_id = bench.once(script("a", timeout_seconds=1, max_retries=-1, retry_on_timeout=True))
    assert stopping.wait(30)
    bench.engine.cancel(run_id)
    # what is posted after a cancellation is done after it
    until(lambda: bench.engine._active[run_id]._why is not None)
    let_go.set()
    assert bench.results(run_id) == {"a": "CANCELED"}
    assert len(bench.engine.records.attempts(run_id)) == 1


def test_a_task_is_cancelled(bench, script, until):
    run_id = bench.once(
        script("a", SLEEP),
        script("b", after=["a"]),
        script("c", after=["a"], run_if="AT_LEAST_ONE_FAILED"),
        script("d", "import time; time.sleep(0.1)"),
    )
    attempt = until(lambda: (one := bench.engine.records.latest(run_id)["a"]).life == "RUNNING" and one)
    bench.engine.cancel_task(attempt)
    assert bench.results(run_id) == {"a": "CANCELED", "b": "UPSTREAM_CANCELED", "c": "SUCCESS", "d": "SUCCESS"}
    assert bench.done(run_id).latest.ending == endings.CANCELED


def test_a_reference_to_nothing_fails_its_task(bench, script):
    run_id = bench.once(script("a", "", "{{tasks.b.values.x}}", after=["b"]), script("b"))
    assert bench.results(run_id) == {"a": "FAILED", "b": "SUCCESS"}
    ending = bench.engine.records.latest(run_id)["a"].ending
    assert ending.code == "INVALID_RUN_CONFIGURATION"
    assert "{{tasks.b.values.x}}" in ending.message


def test_values_from_task_to_task(bench, script):
    set_value = "print('{\"key\": \"n\", \"value\": 5}', file=open('values.jsonl', 'a'))"
    show = "import sys; print(sys.argv[1])"
    run_id = bench.once(script("a", set_value), script("b", show, "{{tasks.a.values.n}}", after=["a"]))
    bench.done(run_id)
    assert bench.output(run_id, "b") == "5"


def test_what_a_task_is_told_of_its_run(bench, script):
    run_id = bench.once(script("a", "import os; print(sorted(os.environ.items()))"))
    bench.done(run_id)
    attempt = bench.engine.records.latest(run_id)["a"]
    output = bench.output(run_id, "a")
    assert f"('DATABRICKS_JOB_RUN_ID', '{run_id}')" in output
    assert f"('DATABRICKS_TASK_RUN_ID', '{attempt.run_id}')" in output


def test_job_parameters(bench, script):
    show = "import sys; print(sys.argv[1:])"
    job_id = bench.job(
        script("a", show, "{{job.parameters.day}}", "{{job.parameters.more}}", "{{job.name}}"),
        name="nightly",
        parameters=[{"name": "day", "default": "{{job.start_time.iso_date}}"}, {"name": "more", "default": "m"}],
    )
    run_id = bench.now(job_id, job_parameters={"more": "sent"})
    run = bench.done(run_id)
    day = time.strftime("%Y-%m-%d", time.gmtime(run.passes[0].start / 1000))
    assert bench.output(run_id, "a") == str([day, "sent", "nightly"])


def test_one_run_for_a_token_also_of_calls_at_once(bench, script):
    job_id = bench.job(script("a"), max_concurrent_runs=100)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        ids = set(pool.map(lambda _: bench.now(job_id, idempotency_token="t"), range(20)))
    assert len(ids) == 1
    assert len(list(bench.engine.records.runs(newest_first=True))) == 1
    assert bench.now(job_id, idempotency_token="u") not in ids


def test_the_token_of_a_deleted_run(bench, script):
    run_id = bench.once(script("a"), idempotency_token="t")
    bench.done(run_id)
    bench.engine.records.delete(run_id)
    with pytest.raises(ApiError, match="was deleted"):
        bench.once(script("a"), idempotency_token="t")
    assert bench.engine.records.attempts(run_id) == []


def test_a_run_ends_while_another_waits_for_it(bench, script):
    """A job that starts another and waits for it holds no place that the other needs."""
    inner = bench.job(script("i"), max_concurrent_runs=1000)
    starts = [{"task_key": f"o{number}", "run_job_task": {"job_id": inner}} for number in range(50)]
    assert set(bench.results(bench.once(*starts)).values()) == {"SUCCESS"}


def test_runs_of_a_job_wait_for_each_other(bench, script, until):
    job_id = bench.job(script("a", "import time; time.sleep(0.3)"), queue={"enabled": True})
    first, second, third = (bench.now(job_id) for _ in range(3))
    run = bench.engine.records.run(second)
    assert run.latest.life == "QUEUED"
    assert run.latest.queued == "Queued due to reaching maximum concurrent runs of 1."
    one, two, three = (bench.done(run_id) for run_id in (first, second, third))
    assert [run.latest.ending for run in (one, two, three)] == [endings.SUCCESS] * 3
    assert one.latest.end <= two.latest.left_queue <= two.latest.end <= three.latest.left_queue
    assert bench.compute.most == 1


def test_a_run_too_many_is_skipped_without_a_queue(bench, script):
    job_id = bench.job(script("a", SLEEP), max_concurrent_runs=2)
    first, second, third = (bench.now(job_id) for _ in range(3))
    assert bench.done(third).latest.ending == endings.TOO_MANY
    assert bench.engine.records.run(third).latest.life == "SKIPPED"
    for run_id in (first, second):
        bench.engine.cancel(run_id)
        bench.done(run_id)


def test_a_run_that_has_ended_makes_room_at_once(bench, script, until):
    """Who sees the end can start another: it is seen no sooner than the place is free."""
    job_id = bench.job(script("a"))
    with bench.engine.lock:
        run_id = bench.now(job_id)
        conductor = bench.engine._active[run_id]
        until(lambda: bench.engine.records.run(run_id).latest.life == "TERMINATING")
        conductor._thread.join(0.2)  # it waits for the lock
        assert bench.engine.records.run(run_id).active
    assert bench.done(run_id).latest.ending == endings.SUCCESS
    assert bench.done(bench.now(job_id)).latest.ending == endings.SUCCESS


def test_a_run_in_the_queue_can_be_cancelled(bench, script):
    job_id = bench.job(script("a", SLEEP), queue={"enabled": True})
    first, second = bench.now(job_id), bench.now(job_id)
    bench.engine.cancel(second)
    assert bench.done(second).latest.ending == endings.CANCELED
    assert bench.results(second) == {"a": "CANCELED"}
    bench.engine.cancel_all(job_id)
    assert bench.done(first).latest.ending == endings.CANCELED


def test_all_that_waits_can_be_cancelled(bench, script):
    jobs = [bench.job(script("a", SLEEP), queue={"enabled": True}) for _ in range(2)]
    active, waiting = [bench.now(job_id) for job_id in jobs], [bench.now(job_id) for job_id in jobs]
    bench.engine.cancel_all(None)
    assert [bench.done(run_id).latest.ending for run_id in waiting] == [endings.CANCELED] * 2
    assert all(bench.engine.records.run(run_id).active for run_id in active)
    for job_id in jobs:
        bench.engine.cancel_all(job_id)
    assert [bench.done(run_id).latest.ending for run_id in active] == [endings.CANCELED] * 2


def test_clusters_are_shared_within_a_run_and_end_with_it(bench, script):
    def on(key, **compute):
        task = script(key)
        del task["existing_cluster_id"]
        return {**task, **compute}

    job_id = bench.job(
        on("a", job_cluster_key="small"),
        on("b", job_cluster_key="small"),
        on("c", new_cluster={"num_workers": 1}),
        on("d", environment_key="e"),
        job_clusters=[{"job_cluster_key": key, "new_cluster": {}} for key in ("small", "large")],
        environments=[{"environment_key": "e", "spec": {"environment_version": "2"}}],
    )
    run_id = bench.now(job_id)
    assert bench.done(run_id).latest.ending == endings.SUCCESS
    name = f"job-{job_id}-run-{run_id}"
    assert sorted(bench.compute.made) == [f"{name}-c", f"{name}-e", f"{name}-small"]
    assert sorted(bench.compute.released) == sorted(bench.compute.made)


def test_a_compute_that_breaks_ends_the_task(bench, script, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(bench.compute, "execute", broken)
    run_id = bench.once(script("a"))
    assert bench.results(run_id) == {"a": "FAILED"}
    ending = bench.engine.records.latest(run_id)["a"].ending
    assert (ending.code, ending.message, ending.life) == ("INTERNAL_ERROR", "RuntimeError: broken", "INTERNAL_ERROR")


def test_a_bad_reference_in_a_job_parameter_ends_the_run(bench, script):
    job_id = bench.job(script("a"), parameters=[{"name": "p", "default": "{{job.naem}}"}])
    run_id = bench.now(job_id)
    assert bench.done(run_id).latest.ending.code == "INVALID_RUN_CONFIGURATION"
    assert bench.results(run_id) == {"a": "FAILED"}


def test_what_was_in_flight_has_failed_after_a_restart(benches, script, until):
    bench = benches()
    queued = bench.job(script("a", SLEEP), queue={"enabled": True})
    in_flight, waiting = bench.now(queued), bench.now(queued)
    done = bench.once(script("b"))
    bench.done(done)
    until(lambda: bench.engine.records.latest(in_flight)["a"].life == "RUNNING")
    started = time.monotonic()
    bench = benches()
    assert time.monotonic() - started < 15
    run = bench.engine.records.run(in_flight)
    assert run.latest.ending == endings.RESTARTED
    assert bench.results(in_flight) == {"a": "FAILED"}
    assert bench.engine.records.run(done).latest.ending == endings.SUCCESS
    # what had not begun goes on
    until(lambda: bench.engine.records.latest(waiting)["a"].life == "RUNNING")
    bench.engine.cancel(waiting)
    assert bench.done(waiting).latest.ending == endings.CANCELED


def test_a_graph_of_200_tasks(bench, script):
    tasks = [script(f"t{number}", after=[f"t{number // 3}"] if number else []) for number in range(200)]
    run_id = bench.once(*tasks)
    assert set(bench.results(run_id).values()) == {"SUCCESS"}
    last = bench.engine.records.latest(run_id)
    assert all(last[f"t{number // 3}"].end <= last[f"t{number}"].start for number in range(1, 200))


def test_the_state_is_written_a_few_times_for_each_task(bench, script, monkeypatch):
    count = 1000
    written = []
    put = type(bench.state).put

    def counting(state, kind, identity, document):
        written.append(kind)
        put(state, kind, identity, document)

    monkeypatch.setattr(type(bench.state), "put", counting)
    bench_task = script("t0", FAIL)
    run_id = bench.once(bench_task, *(script(f"t{number}", after=[f"t{number - 1}"]) for number in range(1, count)))
    results = bench.results(run_id)
    assert results.pop("t0") == "FAILED"
    assert set(results.values()) == {"UPSTREAM_FAILED"}
    assert len(written) < 4 * count
    assert len([kind for kind in written if kind in {"run", "run-tasks"}]) < 10


def test_an_order_of_a_job_without_tasks(bench):
    job_id = bench.job()
    with pytest.raises(ApiError, match="has no tasks"):
        Order.of_job(bench.engine.jobs.get(job_id), {})
