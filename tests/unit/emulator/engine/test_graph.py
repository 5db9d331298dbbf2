from __future__ import annotations

import pytest

from wheelrun.emulator.engine.graph import Edge, Graph, standing, verdict
from wheelrun.emulator.errors import ApiError


def task(key, *after, outcome=None):
    extra = {} if outcome is None else {"outcome": outcome}
    return {"task_key": key, "depends_on": [{"task_key": one, **extra} for one in after]}


DIAMOND = [task("d", "b", "c"), task("a"), task("b", "a"), task("c", "a"), task("e")]


def test_what_comes_before_and_after():
    graph = Graph.of([*DIAMOND, task("f", "e", outcome="true")])
    assert graph.upstream["d"] == [Edge("b"), Edge("c")]
    assert graph.upstream["f"] == [Edge("e", "true")]
    assert graph.downstream == {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": [], "e": ["f"], "f": []}
    assert graph.below(["b"]) == {"b", "d"}
    assert graph.above(["d"]) == {"a", "b", "c", "d"}


def test_tasks_that_are_in_nobodys_way():
    graph = Graph.of(DIAMOND).without(["b", "d"])
    assert graph.upstream["d"] == [Edge("c")]
    assert graph.downstream == {"a": ["c"], "b": [], "c": [], "d": [], "e": []}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([task("a"), task("a")], "Duplicate task key 'a'"),
        ([task("a", "b")], "Task 'a' depends on task 'b', which does not exist."),
        ([task("a", "a")], "The task graph has a cycle: a -> a."),
        ([task("a", "c"), task("b", "a"), task("c", "b"), task("d")], "The task graph has a cycle: "),
    ],
)
def test_what_is_no_graph(tasks, message):
    with pytest.raises(ApiError) as caught:
        Graph.of(tasks)
    assert caught.value.code == "INVALID_PARAMETER_VALUE"
    assert message in caught.value.message


def test_a_long_chain():
    graph = Graph.of([task("0"), *(task(str(number), str(number - 1)) for number in range(1, 1000))])
    assert len(graph.below(["0"])) == 1000


S, F, C, X, U, D = "success", "failed", "canceled", "excluded", "unmet", "disabled"


@pytest.mark.parametrize(
    ("run_if", "standings", "expected"),
    [
        ("ALL_SUCCESS", [], None),
        ("ALL_SUCCESS", [S, S], None),
        ("ALL_SUCCESS", [S, F], "UPSTREAM_FAILED"),
        ("ALL_SUCCESS", [S, C], "UPSTREAM_CANCELED"),
        ("ALL_SUCCESS", [C, F], "UPSTREAM_FAILED"),
        ("ALL_SUCCESS", [S, X], None),
        ("ALL_SUCCESS", [S, U], "EXCLUDED"),
        ("ALL_SUCCESS", [X, U], "EXCLUDED"),
        ("ALL_SUCCESS", [S, D], "DISABLED"),
        ("ALL_SUCCESS", [F, D], "UPSTREAM_FAILED"),
        ("AT_LEAST_ONE_SUCCESS", [S, D], None),
        ("AT_LEAST_ONE_SUCCESS", [F, D], "UPSTREAM_FAILED"),
        ("AT_LEAST_ONE_SUCCESS", [D, D], "DISABLED"),
        ("NONE_FAILED", [S, D], None),
        ("NONE_FAILED", [D], "DISABLED"),
        ("ALL_DONE", [D], None),
        ("AT_LEAST_ONE_FAILED", [F, D], None),
        ("AT_LEAST_ONE_FAILED", [S, D], "EXCLUDED"),
        ("ALL_FAILED", [F, D], "DISABLED"),
        ("AT_LEAST_ONE_SUCCESS", [F, S], None),
        ("AT_LEAST_ONE_SUCCESS", [F, F], "UPSTREAM_FAILED"),
        ("AT_LEAST_ONE_SUCCESS", [C, U], "UPSTREAM_CANCELED"),
        ("AT_LEAST_ONE_SUCCESS", [F, X], None),
        ("NONE_FAILED", [S, X], None),
        ("NONE_FAILED", [S, F], "UPSTREAM_FAILED"),
        ("NONE_FAILED", [S, C], "UPSTREAM_CANCELED"),
        ("ALL_DONE", [F, C], None),
        ("ALL_DONE", [S, X], None),
        ("AT_LEAST_ONE_FAILED", [S, F], None),
        ("AT_LEAST_ONE_FAILED", [S, C], None),
        ("AT_LEAST_ONE_FAILED", [S, S], "EXCLUDED"),
        ("ALL_FAILED", [F, C], None),
        ("ALL_FAILED", [F, S], "EXCLUDED"),
        ("ALL_FAILED", [F, X], "EXCLUDED"),
    ],
)
def test_whether_a_task_runs(run_if, standings, expected):
    assert verdict(run_if, standings) == expected


@pytest.mark.parametrize(
    "run_if", ["ALL_SUCCESS", "AT_LEAST_ONE_SUCCESS", "NONE_FAILED", "ALL_DONE", "AT_LEAST_ONE_FAILED", "ALL_FAILED"]
)
def test_a_task_whose_dependencies_are_all_excluded_is_so_itself(run_if):
    assert verdict(run_if, [X, X]) == "EXCLUDED"


@pytest.mark.parametrize(
    ("result", "wanted", "outcome", "run_if", "expected"),
    [
        ("SUCCESS", "true", "true", "ALL_SUCCESS", None),
        ("SUCCESS", "true", "false", "ALL_SUCCESS", "EXCLUDED"),
        ("SUCCESS", None, "false", "ALL_SUCCESS", None),
        ("FAILED", "true", None, "ALL_SUCCESS", "UPSTREAM_FAILED"),
        ("TIMEDOUT", None, None, "ALL_FAILED", None),
        ("UPSTREAM_CANCELED", None, None, "ALL_SUCCESS", "UPSTREAM_CANCELED"),
    ],
)
def test_what_a_result_is_for_those_that_depend_on_it(result, wanted, outcome, run_if, expected):
    assert verdict(run_if, [standing(result, wanted=wanted, outcome=outcome)]) == expected
