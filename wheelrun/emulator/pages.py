"""The pages, made from what the Jobs service tells of runs and jobs. Whatever it tells is escaped."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import jinja2

from wheelrun.emulator.picture import Picture, drawn, picture
from wheelrun.packaging.templates import template_root

LOG_SHOWN = 64 * 1024
"""The most characters of a log that a page shows."""
_REFRESH = 2  # seconds

_KINDS = {
    "SUCCESS": "good",
    "SUCCESS_WITH_FAILURES": "good",
    "FAILED": "bad",
    "TIMEDOUT": "bad",
    "UPSTREAM_FAILED": "bad",
    "INTERNAL_ERROR": "bad",
    "RUNNING": "active",
    "TERMINATING": "active",
}
_ENDED = {"TERMINATED", "SKIPPED", "INTERNAL_ERROR"}

Told = Mapping[str, Any]


def runs_page(runs: Sequence[Told], jobs: Sequence[Told], *, older: str = "") -> str:
    """Return the page of all runs and jobs.

    Args:
        runs: Runs, as `runs/list` answers them.
        jobs: Jobs, as `jobs/list` does.
        older: Where the page with older runs is.
    """
    return _page(
        "runs.html",
        runs=[_run(run) for run in runs],
        jobs=[_job(job) for job in jobs],
        older=older,
        refresh=_refresh(*runs),
    )


def job_page(job: Told, runs: Sequence[Told]) -> str:
    """Return the page of a job.

    Args:
        job: The job, as `jobs/get` answers it.
        runs: Its runs, as `runs/list` does.
    """
    tasks = {task["task_key"]: drawn(task) for task in job["settings"].get("tasks", [])}
    shown = [_run(run) for run in runs]
    return _page("job.html", job=_job(job), runs=shown, picture=picture(tasks), refresh=_refresh(*runs))


def run_page(run: Told, output: Told | None = None) -> str:
    """Return the page of a run, or of a run of one of its tasks.

    Args:
        run: The run, as `runs/get` answers it.
        output: What a task run wrote, as `runs/get-output` answers it; None for a run that has tasks.
    """
    tasks = [] if output is not None else run.get("tasks", [])
    listed = [*tasks, *run.get("iterations", [])]
    return _page(
        "run.html",
        run=_run(run) | {"facts": _facts(run), "parent": run["job_run_id"] if output is not None else None},
        tasks=[_task(task, number) for number, task in enumerate(listed)],
        picture=_of_run(tasks),
        output=None if output is None else _output(output),
        refresh=_refresh(run),
    )


def login_page(*, following: str, refused: bool) -> str:
    """Return the page that asks for the token.

    Args:
        following: Where it leads.
        refused: Whether another one was given.
    """
    return _page("login.html", next=following, refused=refused)


def problem_page(message: str) -> str:
    """Return the page that says why there is none."""
    return _page("problem.html", message=message)


def style() -> str:
    """Return the style sheet."""
    return (template_root() / "emulator" / "style.css").read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_root() / "emulator"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _page(name: str, *, refresh: int = 0, **values: Any) -> str:
    return _environment().get_template(name).render(refresh=refresh, **values)


def _refresh(*runs: Told) -> int:
    return 0 if all(run["state"]["life_cycle_state"] in _ENDED for run in runs) else _REFRESH


def _state(told: Told) -> dict[str, str]:
    state = told["state"]
    life = state["life_cycle_state"]
    word = state.get("result_state", life) if life in {"TERMINATED", "INTERNAL_ERROR"} else life
    return {"word": word, "kind": _KINDS.get(word, "idle"), "message": state.get("state_message", "")}


def _times(told: Told) -> dict[str, str]:
    start, end = told.get("start_time", 0), told.get("end_time", 0)
    until = end or int(datetime.now(timezone.utc).timestamp() * 1000)
    return {"started": _time(start), "took": duration(until - start) if start else ""}


def _run(run: Told) -> dict[str, Any]:
    job = run.get("job_id") if run.get("run_type") == "JOB_RUN" else None
    cluster = run.get("cluster_instance", {}).get("cluster_id", "")
    shown = {"id": run["run_id"], "name": run.get("run_name", ""), "job": job, "cluster": cluster}
    return {**shown, "state": _state(run), **_times(run)}


def _facts(run: Told) -> list[tuple[str, str]]:
    """Return what else there is to say of a run: how it was started, its parameters, its repairs."""
    facts = [("Started by", run["trigger"].lower().replace("_", " "))] if run.get("trigger") else []
    facts += [(item["name"], item.get("value", item.get("default", ""))) for item in run.get("job_parameters", [])]
    repairs = [item for item in run.get("repair_history", []) if item["type"] == "REPAIR"]
    if repairs:
        facts.append(("Repaired", f"{len(repairs)} times"))
    if "cluster_instance" in run:
        facts.append(("Cluster", run["cluster_instance"]["cluster_id"]))
    return facts


def _task(task: Told, number: int) -> dict[str, Any]:
    return {
        "id": task["run_id"],
        "name": task.get("task_key", str(number)),
        "state": _state(task),
        "attempt": task.get("attempt_number", 0) + 1,
        "cluster": task.get("cluster_instance", {}).get("cluster_id", ""),
        **_times(task),
    }


def _of_run(tasks: Sequence[Told]) -> Picture:
    """Return the picture of a run's tasks; of one with several attempts the last counts."""
    shown = {}
    for task in sorted(tasks, key=lambda task: int(task.get("attempt_number", 0))):
        state = _state(task)
        shown[task["task_key"]] = drawn(task, word=state["word"], kind=state["kind"], href=f"/run/{task['run_id']}")
    order = dict.fromkeys(task["task_key"] for task in tasks)
    return picture({key: shown[key] for key in order})


def _output(output: Told) -> dict[str, Any]:
    log = output.get("logs", "")
    return {
        "error": output.get("error", ""),
        "trace": output.get("error_trace", ""),
        "log": log[-LOG_SHOWN:],
        "cut": len(log) > LOG_SHOWN or output.get("logs_truncated", False),
    }


def _job(job: Told) -> dict[str, Any]:
    settings = job["settings"]
    schedule = settings.get("schedule")
    told = ""
    if schedule:
        told = f"{schedule['quartz_cron_expression']} ({schedule['timezone_id']})"
        told += ", paused" if schedule.get("pause_status") == "PAUSED" else ""
    return {
        "id": job["job_id"],
        "name": settings.get("name", ""),
        "schedule": told,
        "created": _time(job.get("created_time", 0)),
        "tags": sorted(settings.get("tags", {}).items()),
    }


def _time(milliseconds: int) -> str:
    if not milliseconds:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000, timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def duration(milliseconds: int) -> str:
    """Return a duration in words: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    seconds = max(milliseconds, 0) / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"
