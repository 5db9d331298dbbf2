"""The project that `wheelrun init` writes: it is whole, it runs, and its numbers are right."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest

from wheelrun.cli.app import run as wheelrun
from wheelrun.client import Client
from wheelrun.packaging.templates import template_root
from wheelrun.testing import LocalRuns

TEMPLATE = template_root() / "projects" / "weather"


@pytest.fixture
def scaffold(tmp_path: Path) -> Path:
    folder = tmp_path / "my weather"
    assert wheelrun(["init", str(folder)]) == 0
    return folder


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def forecast_errors(table: Path, metric: str, year: int) -> dict[str, float]:
    """Compute what the pipeline computes, in one pass over the rows and without Spark."""
    past: dict[int, list[float]] = defaultdict(list)
    actual: list[tuple[int, float]] = []
    with table.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            its_year, month, _ = (int(part) for part in row["date"].split("/"))
            if its_year < year:
                past[month].append(float(row[metric]))
            elif its_year == year:
                actual.append((month, float(row[metric])))
    everything = [value for values in past.values() for value in values]
    return {
        "monthly means": fmean(abs(value - fmean(past[month])) for month, value in actual),
        "overall mean": fmean(abs(value - fmean(everything)) for _, value in actual),
        "yesterday": fmean(abs(actual[day][1] - actual[day - 1][1]) for day in range(1, len(actual))),
    }


def test_init_writes_the_whole_template(scaffold: Path) -> None:
    assert files_below(scaffold) == {name.removesuffix(".in") for name in files_below(TEMPLATE)}
    for name in files_below(scaffold):
        assert "{{" not in (scaffold / name).read_text(encoding="utf-8")
    assert 'name = "my_weather"' in (scaffold / "pyproject.toml").read_text(encoding="utf-8")


def test_its_wheel_holds_code_and_data(scaffold: Path, wheelrun_local: LocalRuns) -> None:
    del wheelrun_local  # its home keeps the wheel
    built = Client(scaffold).build()
    assert built.warnings == ()
    assert {"weather/steps.py", "weather/data/seattle-weather.csv", "jobs/daily.py"} <= set(built.shipped)
    assert built.wheel.version.startswith("0.1.0+w")


def test_its_code_is_clean(scaffold: Path) -> None:
    rules = "B,C4,E,F,I,N,PTH,RET,RUF,SIM,UP,W"
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--no-cache", "--line-length", "120", "--target-version", "py310"]
    check = [*ruff, "check", *options, "--select", rules, "--ignore", "N812"]  # F is pyspark's own custom
    for command in (check, [*ruff, "format", "--check", *options]):
        done = subprocess.run(command, cwd=scaffold, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.spark
@pytest.mark.slow
def test_its_pipeline_runs_and_its_numbers_are_those_of_plain_python(scaffold: Path, wheelrun_local: LocalRuns) -> None:
    run = wheelrun_local("weather.pipelines:forecast", {"year": "2014", "metric": "wind"}, project=scaffold)
    result = run.result()
    expected = forecast_errors(scaffold / "weather" / "data" / "seattle-weather.csv", "wind", 2014)
    assert result["mean_absolute_error"] == pytest.approx(expected, abs=0.0006)
    assert result["skill"] == pytest.approx(1 - expected["monthly means"] / expected["overall mean"], abs=0.001)
    assert (result["year"], result["metric"], result["unit"], result["dropped"]) == (2014, "wind", "m/s", 0)
    steps = {step.name: step for step in run.record.steps}
    assert {name for name, step in steps.items() if step.state.is_success} == steps.keys() - {"notify"}
    assert steps["notify"].state.value == "skipped"
    assert steps["load"].outputs[0]["rows"] == 1461
    assert {output["name"]: output["rows"] for output in steps["split"].outputs} == {"training": 731, "held_out": 365}
    assert all(step.application_id for step in steps.values() if step.state.is_success)
    assert any(line.text.startswith("wind in Seattle, 2014") for line in run.logs(step="report", stream="stdout"))


@pytest.mark.spark
@pytest.mark.slow
def test_its_own_tests_pass(scaffold: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--basetemp", tmp_path / "own"],
        cwd=scaffold,
        env={**os.environ, "WHEELRUN_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout
