"""Repairs: which tasks of a run are run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from wheelrun.emulator.engine.engine import Engine
from wheelrun.emulator.engine.graph import Graph
from wheelrun.emulator.engine.orders import OVERRIDING, job_parameters
from wheelrun.emulator.engine.records import Attempt, JobRun, Pass
from wheelrun.emulator.errors import ApiError


def repaired(engine: Engine, run_id: int, fields: Mapping[str, Any]) -> int:
    """Begin a repair and return its id.

    Tasks are run with the settings that they have in the job now. Job parameters that are not sent again have their
    defaults.

    Args:
        engine: Runs it.
        run_id: The job run.
        fields: What was asked for: "rerun_tasks" or "rerun_all_failed_tasks", "rerun_dependent_tasks",
            "latest_repair_id", "job_parameters".

    Raises:
        ApiError: there is no such run, it is under way, or there is nothing to repair, or another repair came first.
    """
    with engine.lock:
        run = engine.records.run(run_id)
        if run is None:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Run {run_id} does not exist.")
        _check_latest(run, fields.get("latest_repair_id"))
        settings, tasks = _current(engine, run)
        rerun = selected(fields, Graph.of(tasks), engine.records.latest(run_id))
        repair_id = engine.records.new_id()
        item = Pass(
            repair_id=repair_id,
            start=engine.clock.millis(),
            parameters=job_parameters(settings.get("parameters", ()), fields.get("job_parameters", {})),
            overriding={name: fields[name] for name in OVERRIDING if name in fields},
        )
        engine.repair(dataclasses.replace(run, settings=settings, passes=[*run.passes, item]), tasks, rerun)
    return repair_id


def selected(fields: Mapping[str, Any], graph: Graph, last: Mapping[str, Attempt]) -> set[str]:
    """Return the keys of the tasks to run again.

    Raises:
        ApiError: they are named twice, in two ways, or not at all, or there is none of that key.
    """
    every, named = fields.get("rerun_all_failed_tasks", False), fields.get("rerun_tasks", [])
    if every and named:
        raise ApiError(
            "INVALID_PARAMETER_VALUE", "Only one of rerun_tasks and rerun_all_failed_tasks can be specified."
        )
    if len(set(named)) != len(named):
        raise ApiError("INVALID_PARAMETER_VALUE", "rerun_tasks must not contain duplicate task keys.")
    unknown = [key for key in named if key not in last]
    if unknown:
        raise ApiError("INVALID_PARAMETER_VALUE", f"Task '{unknown[0]}' does not exist in the run.")
    failed = {key for key, one in last.items() if one.ending is not None and not one.ending.succeeded}
    rerun = failed if every else set(named)
    if fields.get("rerun_dependent_tasks"):
        rerun = graph.below(rerun)
    if not rerun:
        raise ApiError("INVALID_PARAMETER_VALUE", "There are no tasks to repair in the run.")
    return rerun


def _current(engine: Engine, run: JobRun) -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    then = engine.records.tasks(run.run_id)
    try:
        now = engine.jobs.get(run.job_id).settings
    except ApiError:
        return dict(run.settings), list(then)
    tasks = {task["task_key"]: task for task in now.get("tasks", ())}
    settings = {name: value for name, value in now.items() if name != "tasks"}
    return settings, [tasks.get(task["task_key"], task) for task in then]


def _check_latest(run: JobRun, given: int | None) -> None:
    if run.active:
        raise ApiError("INVALID_STATE", f"Run {run.run_id} is active and cannot be repaired.")
    latest = run.latest.repair_id
    if latest is not None and given is None:
        raise ApiError(
            "INVALID_PARAMETER_VALUE", "The latest repair ID needs to be provided in order to create a new repair"
        )
    if given is not None and given != latest:
        raise ApiError("INVALID_PARAMETER_VALUE", f"The latest repair ID is not {given}: the run was repaired since.")
