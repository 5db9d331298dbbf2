"""Jobs that start other jobs: which ones, and how deep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn

from wheelrun.emulator.engine.jobbook import Job
from wheelrun.emulator.errors import ApiError

DEEPEST = 3
"""How many run-job tasks may be nested."""


def check_nesting(job_id: int | None, settings: Mapping[str, Any], get: Callable[[int], Job]) -> None:
    """Refuse settings with which a job would start itself, directly or through others, or jobs too deep below it.

    Args:
        job_id: The job's id, None if it has none yet.
        settings: The settings.
        get: Returns a job; raises ApiError if there is none of an id.

    Raises:
        ApiError: it would.
    """
    below = _started(settings)
    for _ in range(DEEPEST):
        _refuse_itself(job_id, below)
        below = {job for each in below for job in _started(_settings(each, get))}
    _refuse_itself(job_id, below)
    if below:
        _refuse_depth()


def check_callers(job_id: int, callers: Collection[int]) -> None:
    """Refuse to start a job that waits for its own end, or that is too deep below others.

    Args:
        job_id: The job's id.
        callers: The ids of the jobs whose tasks wait for it, the outermost included.

    Raises:
        ApiError: it does, or is.
    """
    _refuse_itself(job_id, callers)
    if len(callers) > DEEPEST:
        _refuse_depth()


def _started(settings: Mapping[str, Any]) -> set[int]:
    tasks = [task.get("for_each_task", {}).get("task", task) for task in settings.get("tasks", ())]
    return {task["run_job_task"]["job_id"] for task in tasks if "run_job_task" in task}


def _settings(job_id: int, get: Callable[[int], Job]) -> Mapping[str, Any]:
    try:
        return get(job_id).settings
    except ApiError:  # it is gone: the run that comes to it tells
        return {}


def _refuse_itself(job_id: int | None, others: Collection[int]) -> None:
    if job_id in others:
        raise ApiError(
            "INVALID_PARAMETER_VALUE", f"Job {job_id} starts itself by a run-job task, directly or through other jobs."
        )


def _refuse_depth() -> NoReturn:
    raise ApiError("INVALID_PARAMETER_VALUE", f"Run-job tasks are nested more than {DEEPEST} deep.")
