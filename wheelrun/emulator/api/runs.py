"""Job runs: started, told of, cancelled, repaired."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from databricks.sdk.service.jobs import JobsAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.api import runviews, single
from wheelrun.emulator.api.versions import PAGED, versioned
from wheelrun.emulator.engine import Engine, checks
from wheelrun.emulator.engine.nesting import check_nesting
from wheelrun.emulator.engine.orders import Order
from wheelrun.emulator.engine.records import Attempt, JobRun
from wheelrun.emulator.engine.repairs import repaired
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.paging import numbers, page, sealed
from wheelrun.emulator.service import Emulator

MOST_LISTED = 25
LISTED = 20
LONGEST_LOGS = 5 * 1024 * 1024  # bytes

Answer = dict[str, Any]


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    runs = Runs(emulator)
    calls: list[tuple[str, str, Callable[..., Any], Callable[[str, dict[str, Any]], Answer]]] = [
        ("POST", "run-now", JobsAPI.run_now, runs.run_now),
        ("GET", "runs/get", JobsAPI.get_run, runs.get),
        ("GET", "runs/list", JobsAPI.list_runs, runs.list),
        ("GET", "runs/get-output", JobsAPI.get_run_output, runs.get_output),
        ("GET", "runs/export", JobsAPI.export_run, runs.export),
        ("POST", "runs/cancel", JobsAPI.cancel_run, runs.cancel),
        ("POST", "runs/cancel-all", JobsAPI.cancel_all_runs, runs.cancel_all),
        ("POST", "runs/repair", JobsAPI.repair_run, runs.repair),
        ("POST", "runs/delete", JobsAPI.delete_run, runs.delete),
    ]
    submits = [
        *versioned("POST", "runs/submit", JobsAPI.submit, runs.submit, versions=("2.2", "2.1")),
        *versioned("POST", "runs/submit", single.submit, runs.submit, versions=("2.0",)),
    ]
    return [*submits, *(route for call in calls for route in versioned(*call))]


class Runs:
    """The calls, each of which takes the version of the interface and the fields that were sent.

    Args:
        emulator: What services share.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._host = emulator.state.host
        self._engine: Engine = emulator.engine
        self._records = emulator.engine.records

    def run_now(self, version: str, fields: dict[str, Any]) -> Answer:
        """Start a run of a job."""
        del version
        checks.check_sent(fields)
        run_id = self._engine.start(Order.of_job(self._engine.jobs.get(fields["job_id"]), fields))
        return {"run_id": run_id, "number_in_job": run_id}

    def submit(self, version: str, fields: dict[str, Any]) -> Answer:
        """Start tasks that run once."""
        del version
        checks.check_sent(fields)
        fields, is_single = single.with_tasks(fields)
        if not fields.get("tasks"):
            raise ApiError("INVALID_PARAMETER_VALUE", "Missing required field: tasks")
        checks.check_job(fields, self._engine.compute, self._engine.jobs.get)
        check_nesting(None, fields, self._engine.jobs.get)
        return {"run_id": self._engine.start(Order.once(fields, single=is_single))}

    def get(self, version: str, fields: dict[str, Any]) -> Answer:
        """Tell of a run."""
        found = self._found(fields["run_id"])
        view = functools.partial(self._task, resolved=fields.get("include_resolved_values", False))
        index, above = numbers(fields["page_token"], 2) if "page_token" in fields else (0, None)
        limit = runviews.PAGE if version in PAGED else None
        if isinstance(found, Attempt):
            run = self._run(found.job_run_id)
            told = {**runviews.attempt_view(run, found, self._host), "tasks": [view(found)]}
            listed, name, owner = "for_each_task" in found.task, "iterations", found.run_id
        else:
            run = found
            told = {**runviews.run_view(run, self._host), **runviews.lists_view(run, index)}
            listed, name, owner = True, "tasks", run.run_id
            if fields.get("include_history"):
                told["repair_history"] = runviews.history_view(run, self._records.attempts(run.run_id))
        if listed:
            some = self._records.attempts(owner, above=above, limit=None if limit is None else limit + 1)
            told[name] = [view(one) for one in some[:limit]]
            if limit is not None and len(some) > limit:
                told["next_page_token"] = sealed(index + 1, some[limit - 1].run_id)
        return {**told, **single.view(told["tasks"][-1])} if run.single else told

    def list(self, version: str, fields: dict[str, Any]) -> Answer:
        """Tell of the runs that are asked for, newest first."""
        limit = fields.get("limit", LISTED) or MOST_LISTED
        if not 0 < limit <= MOST_LISTED:
            raise ApiError("INVALID_PARAMETER_VALUE", f"limit must be between 0 and {MOST_LISTED}, not {limit}.")
        if fields.get("active_only") and fields.get("completed_only"):
            raise ApiError("INVALID_PARAMETER_VALUE", "active_only and completed_only cannot both be true.")
        found = page(
            self._records.runs,
            number=lambda run: run.run_id,
            fits=functools.partial(_fits, fields),
            limit=limit,
            token=fields.get("page_token"),
            offset=fields.get("offset", 0),
        )
        expand = fields.get("expand_tasks", False)
        return {"runs": [self._listed(run, version, expand=expand) for run in found.items], **found.tokens()}

    def get_output(self, version: str, fields: dict[str, Any]) -> Answer:
        """Tell what a task run wrote, and how it failed."""
        del version
        found = self._found(fields["run_id"])
        if isinstance(found, JobRun):
            if not found.single:
                raise ApiError(
                    "INVALID_PARAMETER_VALUE",
                    "Retrieving the output of runs with multiple tasks is not supported. "
                    "Please retrieve the output of each individual task run instead.",
                )
            (found,) = self._records.latest(found.run_id).values()
        run = self._run(found.job_run_id)
        told: Answer = {"metadata": {**runviews.attempt_view(run, found, self._host), "tasks": [self._task(found)]}}
        told |= {name: text for name, text in (("error", found.error), ("error_trace", found.trace)) if text}
        if found.child is not None:
            told["run_job_output"] = {"run_id": found.child}
        logs = self._records.folder(found.run_id) / "output"
        if logs.is_file():
            with logs.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - LONGEST_LOGS))
                told["logs"] = file.read().decode(errors="replace")
            told["logs_truncated"] = size > LONGEST_LOGS
        return told

    def export(self, version: str, fields: dict[str, Any]) -> Answer:
        """Export the notebooks of a run: there are none."""
        del version
        self._found(fields["run_id"])
        raise ApiError("INVALID_PARAMETER_VALUE", "Only runs of notebook tasks can be exported.")

    def cancel(self, version: str, fields: dict[str, Any]) -> Answer:
        """Cancel a run, or one task of it."""
        del version
        found = self._found(fields["run_id"])
        if isinstance(found, Attempt):
            self._engine.cancel_task(found)
        else:
            self._engine.cancel(found.run_id)
        return {}

    def cancel_all(self, version: str, fields: dict[str, Any]) -> Answer:
        """Cancel the runs of a job, or all that are queued."""
        del version
        job_id = fields.get("job_id")
        if job_id is None and not fields.get("all_queued_runs"):
            raise ApiError("INVALID_PARAMETER_VALUE", "Either job_id or all_queued_runs must be specified.")
        if job_id is not None:
            self._engine.jobs.get(job_id)
        self._engine.cancel_all(job_id)
        return {}

    def repair(self, version: str, fields: dict[str, Any]) -> Answer:
        """Run tasks of a run again."""
        del version
        checks.check_sent(fields)
        return {"repair_id": repaired(self._engine, fields["run_id"], fields)}

    def delete(self, version: str, fields: dict[str, Any]) -> Answer:
        """Forget a run that has ended."""
        del version
        run = self._run(fields["run_id"])
        if run.active:
            raise ApiError("INVALID_STATE", f"Run {run.run_id} is active and cannot be deleted: cancel it first.")
        self._records.delete(run.run_id)
        return {}

    def _found(self, run_id: int) -> JobRun | Attempt:
        found = self._records.run(run_id) or self._records.attempt(run_id)
        if found is None:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Run {run_id} does not exist.")
        return found

    def _run(self, run_id: int) -> JobRun:
        found = self._records.run(run_id)
        if found is None:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Run {run_id} does not exist.")
        return found

    def _task(self, attempt: Attempt, *, resolved: bool = False) -> Answer:
        iterations = self._records.attempts(attempt.run_id) if "for_each_task" in attempt.task else ()
        told = runviews.task_view(attempt, self._host, iterations)
        return {**told, **runviews.resolved_view(attempt)} if resolved else told

    def _listed(self, run: JobRun, version: str, *, expand: bool) -> Answer:
        told = runviews.run_view(run, self._host)
        if not expand:
            return told
        limit = runviews.PAGE if version in PAGED else None
        some = self._records.attempts(run.run_id, limit=None if limit is None else limit + 1)
        told |= {**runviews.lists_view(run, 0), "tasks": [self._task(one) for one in some[:limit]]}
        return {**told, "has_more": limit is not None and len(some) > limit}


def _fits(asked: Mapping[str, Any], run: JobRun) -> bool:
    started = run.passes[0].start
    return (
        asked.get("job_id", run.job_id) == run.job_id
        and asked.get("run_type", run.kind) == run.kind
        and not (asked.get("active_only") and not run.active)
        and not (asked.get("completed_only") and run.active)
        and asked.get("start_time_from", started) <= started <= asked.get("start_time_to", started)
    )
