"""Job runs and task runs as the Jobs service tells of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from wheelrun.emulator.engine import endings
from wheelrun.emulator.engine.records import Attempt, JobRun, Pass
from wheelrun.emulator.state import USER

PAGE = 100
"""How many items of a list an answer of version 2.2 has at most."""

_RESOLVED = {
    "python_wheel_task": ("parameters", "named_parameters"),
    "spark_python_task": ("parameters",),
    "condition_task": ("left", "right"),
    "run_job_task": ("job_parameters",),
}
"""What is told of what a task was given, by its kind."""

_TASK_DEFAULTS = {"run_if": "ALL_SUCCESS", "timeout_seconds": 0, "email_notifications": {}}


def run_view(run: JobRun, host: str) -> dict[str, Any]:
    """Return what is told of a job run, without its lists."""
    last = run.latest
    told: dict[str, Any] = {
        "job_id": run.job_id,
        "run_id": run.run_id,
        "number_in_job": run.run_id,
        "job_run_id": run.run_id,
        "original_attempt_run_id": run.run_id,
        "attempt_number": 0,
        "creator_user_name": USER,
        "state": endings.state(last.life, last.ending, queued=_queued(last)),
        "status": endings.status(last.life, last.ending, queued=_queued(last)),
        "start_time": run.passes[0].start,
        "end_time": last.end,
        "setup_duration": 0,
        "execution_duration": 0,
        "cleanup_duration": 0,
        "run_duration": sum(max(0, item.end - item.start) for item in run.passes),
        "queue_duration": sum(max(0, item.left_queue - item.start) for item in run.passes),
        "trigger": run.trigger,
        "run_name": run.name,
        "run_page_url": page_url(host, run.run_id),
        "run_type": run.kind,
        "format": "SINGLE_TASK" if run.single else "MULTI_TASK",
    }
    if run.caller is not None:
        told["trigger_info"] = {"run_id": run.caller}
    if run.trigger == "PERIODIC" and "schedule" in run.settings:
        told["schedule"] = run.settings["schedule"]
    if last.overriding:
        told["overriding_parameters"] = dict(last.overriding)
    return told


def lists_view(run: JobRun, page: int) -> dict[str, Any]:
    """Return a page, from 0, of the lists of a job run that are not its tasks."""
    lists = {"job_clusters": run.settings.get("job_clusters", ()), "job_parameters": run.latest.parameters}
    return {name: list(items[page * PAGE : (page + 1) * PAGE]) for name, items in lists.items() if items}


def task_view(attempt: Attempt, host: str, iterations: Sequence[Attempt] = ()) -> dict[str, Any]:
    """Return what is told of a task run.

    Args:
        attempt: The task run.
        host: The emulator's address.
        iterations: Those of a for-each task's run.
    """
    told: dict[str, Any] = {
        **_TASK_DEFAULTS,
        **attempt.task,
        "run_id": attempt.run_id,
        "run_page_url": page_url(host, attempt.run_id),
        "attempt_number": attempt.number,
        "state": endings.state(attempt.life, attempt.ending),
        "status": endings.status(attempt.life, attempt.ending),
        "start_time": attempt.start,
        "end_time": attempt.end,
        "setup_duration": max(0, attempt.began - attempt.start) if attempt.began else 0,
        "execution_duration": max(0, attempt.end - attempt.began) if attempt.began else 0,
        "cleanup_duration": 0,
    }
    if attempt.cluster_id is not None:
        told["cluster_instance"] = {"cluster_id": attempt.cluster_id}
    if attempt.outcome is not None:
        told["condition_task"] = {**attempt.task["condition_task"], "outcome": attempt.outcome}
    if "for_each_task" in attempt.task:
        told["for_each_task"] = {**attempt.task["for_each_task"], "stats": _stats(attempt, iterations)}
    return told


def resolved_view(attempt: Attempt) -> dict[str, Any]:
    """Return what a task run was given."""
    given = attempt.resolved or {}
    told = {kind: {name: given[kind][name] for name in _RESOLVED[kind] if name in given[kind]} for kind in given}
    return {"resolved_values": told} if told else {}


def attempt_view(run: JobRun, attempt: Attempt, host: str) -> dict[str, Any]:
    """Return what is told of a task run where it is asked for by its own id."""
    task = task_view(attempt, host)
    own = ("run_id", "run_page_url", "attempt_number", "state", "status", "start_time", "end_time")
    durations = ("setup_duration", "execution_duration", "cleanup_duration")
    return {
        **run_view(run, host),
        **{name: task[name] for name in (*own, *durations)},
        "number_in_job": attempt.run_id,
        "original_attempt_run_id": attempt.original,
        "run_duration": max(0, attempt.end - attempt.start),
        "run_name": attempt.key,
    } | ({"cluster_instance": task["cluster_instance"]} if "cluster_instance" in task else {})


def history_view(run: JobRun, attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Return the repair history of a job run."""
    return [
        {
            "type": "ORIGINAL" if item.repair_id is None else "REPAIR",
            **({} if item.repair_id is None else {"id": item.repair_id}),
            "start_time": item.start,
            "end_time": item.end,
            "state": endings.state(item.life, item.ending),
            "status": endings.status(item.life, item.ending),
            "task_run_ids": [attempt.run_id for attempt in attempts if attempt.passed == index],
        }
        for index, item in enumerate(run.passes)
    ]


def page_url(host: str, run_id: int) -> str:
    """Return the address of a run's page."""
    return f"{host}/run/{run_id}"


def _queued(item: Pass) -> str:
    return item.queued if item.life == endings.QUEUED else ""


def _stats(attempt: Attempt, iterations: Sequence[Attempt]) -> dict[str, Any]:
    last = {one.original: one for one in iterations}.values()
    ended = [one.ending for one in last if one.ending is not None]
    failed = [ending for ending in ended if ending.result != "SUCCESS"]
    messages = Counter((ending.message, ending.code) for ending in failed)
    return {
        "task_run_stats": {
            "total_iterations": attempt.inputs or 0,
            "scheduled_iterations": len(last),
            "active_iterations": len(last) - len(ended),
            "completed_iterations": len(ended),
            "failed_iterations": len(failed),
            "succeeded_iterations": len(ended) - len(failed),
        },
        "error_message_stats": [
            {"error_message": message, "termination_category": code, "count": count}
            for (message, code), count in messages.most_common(3)
        ],
    }
