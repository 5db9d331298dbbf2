"""The tasks of a job as a graph: what comes before what, and whether a task runs after what came before it."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wheelrun.emulator.errors import ApiError

_STANDINGS = {
    "SUCCESS": "success",
    "SUCCESS_WITH_FAILURES": "success",
    "FAILED": "failed",
    "TIMEDOUT": "failed",
    "UPSTREAM_FAILED": "failed",
    "CANCELED": "canceled",
    "UPSTREAM_CANCELED": "canceled",
    "EXCLUDED": "excluded",
    "DISABLED": "disabled",
}
"""What a result is for the tasks that depend on it."""

_UNMET = "unmet"
_GOOD = {"success", "excluded"}
"""An excluded task counts as a successful one."""

_BAD = {"failed", "canceled"}
_SKIPPED = {"excluded", _UNMET}

_RULES: Mapping[str, Callable[[Sequence[str]], bool]] = {
    "ALL_SUCCESS": lambda standings: all(one in _GOOD for one in standings),
    "AT_LEAST_ONE_SUCCESS": lambda standings: bool(_GOOD & set(standings)),
    "NONE_FAILED": lambda standings: not _BAD & set(standings) and "success" in standings,
    "ALL_DONE": lambda _: True,
    "AT_LEAST_ONE_FAILED": lambda standings: bool(_BAD & set(standings)),
    "ALL_FAILED": lambda standings: all(one in _BAD for one in standings),
}
_FOR_FAILURES = {"AT_LEAST_ONE_FAILED", "ALL_FAILED"}


@dataclass(frozen=True, slots=True)
class Edge:
    """That a task depends on another.

    Attributes:
        key: The other one.
        outcome: For a condition task, the outcome that it has to have.
    """

    key: str
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What depends on what.

    Attributes:
        upstream: For each task, in the order of the job, what it depends on.
        downstream: For each task what depends on it.
    """

    upstream: Mapping[str, Sequence[Edge]]
    downstream: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, tasks: Iterable[Mapping[str, Any]]) -> Graph:
        """Return the graph of a job's tasks.

        Raises:
            ApiError: two have the same key, one depends on a task that there is not, or some depend on each other.
        """
        upstream: dict[str, list[Edge]] = {}
        for task in tasks:
            key = task["task_key"]
            if key in upstream:
                raise ApiError("INVALID_PARAMETER_VALUE", f"Duplicate task key '{key}': task keys must be unique.")
            upstream[key] = [Edge(item["task_key"], item.get("outcome")) for item in task.get("depends_on", ())]
        downstream: dict[str, list[str]] = {key: [] for key in upstream}
        for key, edges in upstream.items():
            for edge in edges:
                if edge.key not in upstream:
                    raise ApiError(
                        "INVALID_PARAMETER_VALUE", f"Task '{key}' depends on task '{edge.key}', which does not exist."
                    )
                downstream[edge.key].append(key)
        try:
            graphlib.TopologicalSorter({key: [edge.key for edge in upstream[key]] for key in upstream}).prepare()
        except graphlib.CycleError as error:
            cycle = " -> ".join(reversed(error.args[1]))
            raise ApiError("INVALID_PARAMETER_VALUE", f"The task graph has a cycle: {cycle}.") from error
        return cls(upstream=upstream, downstream=downstream)

    def without(self, keys: Iterable[str]) -> Graph:
        """Return the graph in which these tasks are in nobody's way."""
        gone = set(keys)
        return Graph(
            upstream={key: [edge for edge in edges if edge.key not in gone] for key, edges in self.upstream.items()},
            downstream={
                key: [] if key in gone else [one for one in keys_below if one not in gone]
                for key, keys_below in self.downstream.items()
            },
        )

    def below(self, keys: Iterable[str]) -> set[str]:
        """Return the tasks with all that depend on them, directly or not."""
        return _reached(keys, lambda key: self.downstream[key])

    def above(self, keys: Iterable[str]) -> set[str]:
        """Return the tasks with all that they depend on, directly or not."""
        return _reached(keys, lambda key: [edge.key for edge in self.upstream[key]])


def standing(result: str, *, wanted: str | None = None, outcome: str | None = None) -> str:
    """Return what a task's result is for one that depends on it.

    Args:
        result: The result.
        wanted: The outcome that the dependency asks for.
        outcome: The outcome that the task had, if it is a condition.
    """
    found = _STANDINGS[result]
    return _UNMET if found == "success" and wanted is not None and wanted != outcome else found


def verdict(run_if: str, standings: Sequence[str]) -> str | None:
    """Return the result of a task that does not run after what came before it; None if it runs.

    A task is excluded if all that it depends on is, or was left out by a condition. It is disabled if it would run,
    were it not for disabled tasks that it depends on.

    Args:
        run_if: The task's rule.
        standings: Of each task that it depends on its `standing`.
    """
    if not standings:
        return None
    if all(one in _SKIPPED for one in standings):
        return "EXCLUDED"
    if _RULES[run_if](standings):
        return None
    others = [one for one in standings if one != "disabled"]
    if len(others) < len(standings) and (not others or _RULES[run_if](others)):
        return "DISABLED"
    if run_if in _FOR_FAILURES:
        return "EXCLUDED"
    return (
        "UPSTREAM_FAILED" if "failed" in standings else "UPSTREAM_CANCELED" if "canceled" in standings else "EXCLUDED"
    )


def _reached(keys: Iterable[str], following: Callable[[str], Iterable[str]]) -> set[str]:
    found: set[str] = set()
    left = list(keys)
    while left:
        key = left.pop()
        if key not in found:
            found.add(key)
            left.extend(following(key))
    return found
