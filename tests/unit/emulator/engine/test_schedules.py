from __future__ import annotations

from datetime import datetime, timezone

import pytest

from wheelrun.emulator.engine.clock import Clock
from wheelrun.emulator.engine.schedules import due

DAILY = {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "UTC"}
DAY = 24 * 3600


def test_when_a_job_is_due():
    since = datetime(2026, 1, 1, 7, tzinfo=timezone.utc).timestamp()
    assert due({"schedule": DAILY}, since) == datetime(2026, 1, 2, 6, tzinfo=timezone.utc).timestamp()
    assert due({"trigger": {"periodic": {"interval": 2, "unit": "HOURS"}}}, 100.0) == 7300.0
    assert due({}, since) is None
    assert due({"schedule": {**DAILY, "pause_status": "PAUSED"}}, since) is None
    assert due({"trigger": {"periodic": {"interval": 2, "unit": "HOURS"}, "pause_status": "PAUSED"}}, since) is None


@pytest.fixture
def runs(bench):
    """Returns the runs of a job."""
    return lambda job_id: [run for run in bench.engine.records.runs(newest_first=False) if run.job_id == job_id]


def scheduled(bench, task, **settings):
    job_id = bench.job(task, **settings)
    bench.engine.schedules.look()
    return job_id


def test_a_job_is_started_when_it_is_due_and_not_before(bench, script, runs, until):
    job_id = scheduled(bench, script("a"), schedule=DAILY)
    paused = scheduled(bench, script("a"), schedule={**DAILY, "pause_status": "PAUSED"})
    for count in (1, 2):
        assert len(runs(job_id)) == count - 1
        bench.engine.clock.move(DAY)
        run = until(lambda count=count: len(found := runs(job_id)) == count and found[-1])
        assert bench.done(run.run_id).latest.ending.result == "SUCCESS"
        assert run.trigger == "PERIODIC"
    assert runs(paused) == []


def test_times_that_passed_unseen_are_made_up_for_once(bench, script, runs, until):
    job_id = scheduled(bench, script("a"), trigger={"periodic": {"interval": 1, "unit": "HOURS"}})
    bench.engine.clock.move(10 * DAY)
    until(lambda: runs(job_id))
    bench.engine.clock.move(3599)
    (run,) = runs(job_id)
    bench.done(run.run_id)
    bench.engine.clock.move(2)
    until(lambda: len(runs(job_id)) == 2)


def test_a_schedule_goes_on_after_a_restart(benches, script, until):
    bench = benches()
    job_id = scheduled(bench, script("a"), schedule=DAILY)
    bench.engine.clock.move(DAY)
    until(lambda: list(bench.engine.records.runs(newest_first=True)))
    before = bench.engine.clock.now()
    bench = benches()
    assert bench.engine.clock.now() >= before
    bench.engine.clock.move(DAY)
    until(lambda: len(list(bench.engine.records.runs(newest_first=True))) == 2)
    assert {run.job_id for run in bench.engine.records.runs(newest_first=True)} == {job_id}


@pytest.mark.parametrize("seconds", [1e18, float("inf"), float("nan")])
def test_the_clock_does_not_leave_the_calendar(bench, seconds):
    before = bench.engine.clock.now()
    with pytest.raises(ValueError, match="the clock ends with the year 9999"):
        bench.engine.clock.move(seconds)
    assert bench.engine.clock.now() < before + DAY


def test_the_clock_moves_forward_only(bench):
    with pytest.raises(ValueError, match="forward only"):
        bench.engine.clock.move(-1)


def test_moving_the_clock_ends_no_run(bench, script):
    run_id = bench.once(script("a", "import time; time.sleep(0.3)", timeout_seconds=60), timeout_seconds=60)
    bench.engine.clock.move(3600)
    assert bench.results(run_id) == {"a": "SUCCESS"}


def test_the_time_is_the_walls_and_what_it_was_moved(bench):
    clock = Clock(bench.state, wall=lambda: 100.0)
    assert clock.now() == 100.0
    assert clock.move(2.5) == 102.5
    assert clock.millis() == 102_500
