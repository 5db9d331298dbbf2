"""The schedules of a workspace: a job of its own for each, so that no submission changes what a schedule runs."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packaging.utils import canonicalize_name

from wheelrun.config import Stack
from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.databricks.jobs import Jobs
from wheelrun.orchestrators.databricks.requests import SCHEDULED, Plan, scheduled_job
from wheelrun.orchestrators.roots import Root
from wheelrun.orchestrators.schedules import Cron, Schedule, Scheduled, named

_NAME, _TARGET, _PROJECT = "wheelrun-name", "wheelrun-target", "wheelrun-project"
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def quartz(cron: Cron) -> str:
    """Return the times as Quartz has them: seconds first, Sunday is 1, and one of the two fields of days is "?".

    Raises:
        ConfigurationError: both fields of days are set: cron means either of them, which Quartz has no words for.
    """
    minute, hour, days, month, weekdays = cron.fields
    if days is not None and weekdays is not None:
        raise ConfigurationError(
            f"cron {cron.text!r} sets day of the month and day of the week, and this target follows one of them only",
            hint="make two schedules of it (under two names, with --name), one for each",
        )
    return " ".join(
        (
            "0",
            _numbers(minute),
            _numbers(hour),
            "?" if weekdays is not None else _numbers(days),
            _numbers(month),
            "?" if weekdays is None else _spans(weekdays, _WEEKDAYS.__getitem__),
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceScheduler:
    """The schedules of a project on a target in a workspace.

    Attributes:
        jobs: The workspace's jobs.
        host: Its address.
        target: The target's name.
        project: The project's name; empty for all projects.
        plan: Makes a plan of a deployment for a run's id.
        send: Puts what a plan needs under an artifact root, for a run's id.
    """

    jobs: Jobs
    host: str
    target: str
    project: str
    plan: Callable[[Deployment, Stack, str], Plan]
    send: Callable[[Plan, Root, str], int]

    def set(self, deployment: Deployment, stack: Stack, schedule: Schedule, *, now: bool) -> Scheduled:
        """Run a deployment on a schedule; see `Scheduler.set`."""
        when = quartz(schedule.cron)
        plan = self.plan(deployment, stack, "")
        source = f"schedule-{plan.job}"
        self.send(plan, Root.open(stack.artifact_root), source)
        table = {
            "quartz_cron_expression": when,
            "timezone_id": schedule.timezone,
            "pause_status": "PAUSED" if schedule.paused else "UNPAUSED",
        }
        project = canonicalize_name(deployment.wheel.name) if deployment.wheel else ""
        tags = {_NAME: plan.name, _TARGET: self.target, _PROJECT: project}
        job_id, _ = self.jobs.settle(scheduled_job(plan, source, table, tags))
        if now:
            self.jobs.run_now({"job_id": job_id, "idempotency_token": uuid.uuid4().hex, "queue": {"enabled": True}})
        return named(self.all(), str(job_id), self.target)

    def all(self) -> list[Scheduled]:
        """Return the schedules that were set for this target and project, by their names."""
        found = [self._scheduled(job) for job in self.jobs.own(SCHEDULED) if self._is_mine(_tags(job))]
        return sorted(found, key=lambda each: (each.name, int(each.id)))

    def pause(self, name: str, *, paused: bool) -> Scheduled:
        """Stop following a schedule, or go on with it; see `Scheduler.pause`."""
        found = named(self.all(), name, self.target)
        job = next(job for job in self.jobs.own(SCHEDULED) if str(job["job_id"]) == found.id)
        table = {**job["settings"]["schedule"], "pause_status": "PAUSED" if paused else "UNPAUSED"}
        self.jobs.update(int(found.id), {"schedule": table})
        return replace(found, paused=paused)

    def remove(self, name: str) -> Scheduled:
        """Remove a schedule, and its job; see `Scheduler.remove`."""
        found = named(self.all(), name, self.target)
        self.jobs.delete(int(found.id))
        return found

    def _is_mine(self, tags: Mapping[str, str]) -> bool:
        return tags.get(_TARGET) == self.target and canonicalize_name(self.project) in ("", tags.get(_PROJECT))

    def _scheduled(self, job: Mapping[str, Any]) -> Scheduled:
        schedule = job["settings"].get("schedule") or {}
        return Scheduled(
            name=_tags(job).get(_NAME) or str(job["settings"].get("name")),
            id=str(job["job_id"]),
            when=str(schedule.get("quartz_cron_expression") or "never"),
            timezone=str(schedule.get("timezone_id") or ""),
            paused=schedule.get("pause_status") != "UNPAUSED",
            url=f"{self.host}/jobs/{job['job_id']}",
        )


def _tags(job: Mapping[str, Any]) -> Mapping[str, str]:
    return job["settings"].get("tags") or {}


def _numbers(values: tuple[int, ...] | None) -> str:
    return "*" if values is None else _spans(values, str)


def _spans(values: tuple[int, ...], word: Callable[[int], str]) -> str:
    """Return values as a list of single ones and of spans."""
    spans: list[list[int]] = []
    for value in values:
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    pieces = []
    for first, last in spans:
        if last - first < 2:
            pieces += [word(value) for value in range(first, last + 1)]
        else:
            pieces.append(f"{word(first)}-{word(last)}")
    return ",".join(pieces)
