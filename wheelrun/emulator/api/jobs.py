"""Jobs: made, changed, told of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from databricks.sdk.service.jobs import JobsAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.api.versions import PAGED, versioned
from wheelrun.emulator.engine import checks
from wheelrun.emulator.engine.jobbook import Job, updated
from wheelrun.emulator.engine.nesting import check_nesting
from wheelrun.emulator.engine.orders import UNTITLED
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.paging import numbers, page, sealed
from wheelrun.emulator.service import Emulator

MOST_LISTED = 100
LISTED = 20
PAGE = 100
"""How many items of a list an answer of version 2.2 has at most."""

Answer = dict[str, Any]

_LISTS = ("tasks", "job_clusters", "environments", "parameters")
_NOT_SETTINGS = ("access_control_list",)
_DEFAULTS: Mapping[str, Any] = {
    "name": UNTITLED,
    "email_notifications": {},
    "webhook_notifications": {},
    "timeout_seconds": 0,
    "max_concurrent_runs": 1,
}
_TASK_DEFAULTS: Mapping[str, Any] = {"run_if": "ALL_SUCCESS", "timeout_seconds": 0, "email_notifications": {}}
_SCHEDULES = ("schedule", "trigger")


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    jobs = Jobs(emulator)
    calls: list[tuple[str, str, Callable[..., Any], Callable[[str, dict[str, Any]], Answer]]] = [
        ("POST", "create", JobsAPI.create, jobs.create),
        ("POST", "reset", JobsAPI.reset, jobs.reset),
        ("POST", "update", JobsAPI.update, jobs.update),
        ("POST", "delete", JobsAPI.delete, jobs.delete),
        ("GET", "get", JobsAPI.get, jobs.get),
        ("GET", "list", JobsAPI.list, jobs.list),
    ]
    return [route for call in calls for route in versioned(*call)]


class Jobs:
    """The calls, each of which takes the version of the interface and the fields that were sent.

    Args:
        emulator: What services share.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._engine = emulator.engine
        self._book = emulator.engine.jobs

    def create(self, version: str, fields: dict[str, Any]) -> Answer:
        """Make a job."""
        settings = {name: value for name, value in fields.items() if name not in _NOT_SETTINGS}
        job = self._book.create(self._checked(version, settings))
        self._engine.schedules.look()
        return {"job_id": job.job_id}

    def reset(self, version: str, fields: dict[str, Any]) -> Answer:
        """Give a job other settings."""
        with self._engine.lock:
            self._book.get(fields["job_id"])
            settings = self._checked(version, fields["new_settings"], fields["job_id"])
            self._book.change(fields["job_id"], settings)
        self._engine.schedules.look()
        return {}

    def update(self, version: str, fields: dict[str, Any]) -> Answer:
        """Change some of a job's settings."""
        with self._engine.lock:
            before = self._book.get(fields["job_id"]).settings
            settings = updated(before, fields.get("new_settings", {}), fields.get("fields_to_remove", ()))
            self._book.change(fields["job_id"], self._checked(version, settings, fields["job_id"]))
        self._engine.schedules.look()
        return {}

    def delete(self, version: str, fields: dict[str, Any]) -> Answer:
        """Forget a job; its runs end."""
        del version
        self._book.delete(fields["job_id"])
        self._engine.cancel_all(fields["job_id"])
        return {}

    def get(self, version: str, fields: dict[str, Any]) -> Answer:
        """Tell of a job."""
        job = self._book.get(fields["job_id"])
        (index,) = numbers(fields["page_token"], 1) if "page_token" in fields else (0,)
        told, more = _view(job, version, index)
        return {**told, "run_as_user_name": job.creator_user_name} | (
            {"next_page_token": sealed(index + 1)} if more else {}
        )

    def list(self, version: str, fields: dict[str, Any]) -> Answer:
        """Tell of the jobs that are asked for, newest first."""
        limit = fields.get("limit", LISTED)
        if not 0 < limit <= MOST_LISTED:
            raise ApiError("INVALID_PARAMETER_VALUE", f"limit must be between 1 and {MOST_LISTED}, not {limit}.")
        name = fields.get("name")
        found = page(
            self._book.jobs,
            number=lambda job: job.job_id,
            fits=lambda job: name is None or job.settings.get("name", UNTITLED).lower() == name.lower(),
            limit=limit,
            token=fields.get("page_token"),
            offset=fields.get("offset", 0),
        )
        expand = fields.get("expand_tasks", False)
        return {"jobs": [_listed(job, version, expand=expand) for job in found.items], **found.tokens()}

    def _checked(self, version: str, settings: Mapping[str, Any], job_id: int | None = None) -> dict[str, Any]:
        checks.check_job(settings, self._engine.compute, self._book.get)
        check_nesting(job_id, settings, self._book.get)
        made = dict(settings)
        if version == "2.2":
            made.setdefault("queue", {"enabled": True})
        for name in _SCHEDULES:
            if name in made:
                made[name] = {"pause_status": "UNPAUSED", **made[name]}
        return made


def _view(job: Job, version: str, index: int) -> tuple[Answer, bool]:
    """Return what is told of a job, and whether its lists go on on another page."""
    settings = {**_DEFAULTS, **job.settings, "format": "MULTI_TASK"}
    if "tasks" in settings:
        settings["tasks"] = [{**_TASK_DEFAULTS, **task} for task in settings["tasks"]]
    more = False
    if version in PAGED:
        for name in _LISTS:
            if name in settings:
                more = more or len(settings[name]) > (index + 1) * PAGE
                settings[name] = settings[name][index * PAGE : (index + 1) * PAGE]
    told = {
        "job_id": job.job_id,
        "created_time": job.created_time,
        "creator_user_name": job.creator_user_name,
        "settings": settings,
    }
    return told, more


def _listed(job: Job, version: str, *, expand: bool) -> Answer:
    told, more = _view(job, version, 0)
    if expand:
        return {**told, "has_more": more}
    settings = {name: value for name, value in told["settings"].items() if name not in _LISTS}
    return {**told, "settings": settings}
