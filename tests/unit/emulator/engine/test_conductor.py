from __future__ import annotations

import graphlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wheelrun.emulator.compute import Outcome
from wheelrun.emulator.engine.graph import standing, verdict

OUTCOMES = {
    "SUCCESS": Outcome(result="SUCCESS", code="SUCCESS"),
    "FAILED": Outcome(result="FAILED", code="RUN_EXECUTION_ERROR"),
    "CANCELED": Outcome(result="CANCELED", code="CANCELED"),
}
RULES = ["ALL_SUCCESS", "AT_LEAST_ONE_SUCCESS", "NONE_FAILED", "ALL_DONE", "AT_LEAST_ONE_FAILED", "ALL_FAILED"]


@st.composite
def jobs(draw):
    """Draw tasks, each of which depends on some of those before it, and says how it will end."""
    tasks = []
    for number in range(draw(st.integers(1, 9))):
        before = draw(st.sets(st.integers(0, number - 1), max_size=3)) if number else set()
        tasks.append(
            {
                "task_key": f"t{number}",
                "depends_on": [{"task_key": f"t{one}"} for one in sorted(before)],
                "run_if": draw(st.sampled_from(RULES)),
                "spark_python_task": {"python_file": draw(st.sampled_from(sorted(OUTCOMES)))},
                "existing_cluster_id": "c",
                "disabled": draw(st.integers(0, 9)) == 0,
            }
        )
    return draw(st.permutations(tasks))


def expected(tasks):
    """Say by the rules alone how each of the tasks ends."""
    by_key = {task["task_key"]: task for task in tasks}
    order = graphlib.TopologicalSorter(
        {key: [edge["task_key"] for edge in task["depends_on"]] for key, task in by_key.items()}
    ).static_order()
    results = {}
    for key in order:
        task = by_key[key]
        before = [edge["task_key"] for edge in task["depends_on"]]
        standings = [standing(results[one]) for one in before]
        if task["disabled"]:
            results[key] = "DISABLED"
        else:
            results[key] = verdict(task["run_if"], standings) or task["spark_python_task"]["python_file"]
    return results


@pytest.fixture
def told(bench, monkeypatch):
    """An engine whose tasks end as they are told, at once."""
    monkeypatch.setattr(
        bench.compute, "execute", lambda _, work, stop: OUTCOMES[work.task["spark_python_task"]["python_file"]]
    )
    return bench


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tasks=jobs())
def test_any_job_ends_as_its_rules_say(told, tasks):
    assert told.results(told.once(*tasks)) == expected(tasks)
