"""Tests of whole runs, from the built wheel, with the `wheelrun_local` fixture that wheelrun's pytest plugin gives."""

from __future__ import annotations

import plain_python
import pytest
from wheelrun import RunState, WheelrunError


def states(run) -> dict[str, str]:
    return {step.name: str(step.state) for step in run.record.steps}


def test_the_pipeline_forecasts_and_the_next_run_takes_what_is_cached(wheelrun_local):
    run = wheelrun_local("weather.pipelines:forecast", {"year": 2015, "metric": "temp_max"})
    result = run.result()
    assert result["mean_absolute_error"] == pytest.approx(plain_python.errors("temp_max", 2015), abs=0.0006)
    assert result["dropped"] == 0
    assert states(run).pop("notify") == "skipped"

    again = wheelrun_local("weather.pipelines:forecast", {"year": 2014, "metric": "temp_max"})
    assert {name for name, state in states(again).items() if state == "cached"} == {"load", "clean"}
    assert again.result()["mean_absolute_error"] == pytest.approx(plain_python.errors("temp_max", 2014), abs=0.0006)


def test_a_failure_is_told(wheelrun_local):
    run = wheelrun_local("weather.pipelines:forecast", {"year": 2030})
    assert run.state is RunState.FAILED
    assert states(run)["split"] == "failed"
    assert states(run)["report"] == "skipped"
    assert states(run)["notify"] == "succeeded"
    assert "no observations in 2030" in run.record.error.message


def test_a_metric_that_is_none_is_refused_before_anything_runs(wheelrun_local):
    with pytest.raises(WheelrunError, match="'humidity'"):
        wheelrun_local("weather.pipelines:forecast", {"metric": "humidity"})


def test_a_function_and_a_script_run_too(wheelrun_local, tmp_path):
    assert wheelrun_local("jobs.daily:main", {"day": "2015-07-04"}).result()["weather"] == "sun"
    out = tmp_path / "wettest.csv"
    run = wheelrun_local("jobs/report.py", argv=["--out", str(out)])
    assert run.state is RunState.SUCCEEDED
    assert len(out.read_text(encoding="utf-8").splitlines()) == 11
