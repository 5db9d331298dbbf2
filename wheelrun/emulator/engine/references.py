"""References in what tasks are given: `{{job.parameters.day}}`, `{{tasks.load.values.rows}}`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

_REFERENCE = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_PART = re.compile(r"`([^`]*)`|([^.`]+)")

_TIMES: Mapping[str, Callable[[datetime], str]] = {
    "iso_weekday": lambda time: str(time.isoweekday()),
    "is_weekday": lambda time: str(time.isoweekday() < 6).lower(),
    "iso_date": lambda time: time.date().isoformat(),
    "iso_datetime": lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "year": lambda time: str(time.year),
    "month": lambda time: str(time.month),
    "day": lambda time: str(time.day),
    "hour": lambda time: str(time.hour),
    "minute": lambda time: str(time.minute),
    "second": lambda time: str(time.second),
    "timestamp_ms": lambda time: str(int(time.timestamp() * 1000)),
}
"""What can be asked of a time. Times are UTC."""

_OLD = {
    "job_id": ("job", "id"),
    "parent_run_id": ("job", "run_id"),
    "run_id": ("task", "run_id"),
    "task_key": ("task", "name"),
    "start_date": ("job", "start_time", "iso_date"),
    "start_time": ("job", "start_time", "timestamp_ms"),
}
"""The names that references had before they had dots."""


class ReferenceFailedError(Exception):
    """A reference names what there is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one task can be told of another.

    Attributes:
        run_id: The latest run of it.
        result: Its `RunResultState`.
        code: Its termination code.
        count: How often it ran.
        values: Returns the task values that it set.
    """

    run_id: int
    result: str
    code: str
    count: int
    values: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What references are resolved with.

    Attributes:
        job: "id", "name", "run_id", "repair_count" of the job run.
        started: When the job run started, in milliseconds since the epoch.
        trigger: What started it, such as "ONE_TIME".
        parameters: The job's parameters.
        workspace: "id" and "url".
        task: "name", "run_id", "execution_count" of the task run; nothing while job parameters are resolved.
        tell: Returns what is known of the task of a key; None if it has not ended.
        iteration: "input" of an iteration; nothing outside of one.
    """

    job: Mapping[str, Any]
    started: int
    trigger: str
    parameters: Mapping[str, str]
    workspace: Mapping[str, str]
    task: Mapping[str, Any] = field(default_factory=dict)
    tell: Callable[[str], Told | None] = lambda _: None
    iteration: Mapping[str, Any] = field(default_factory=dict)

    def with_parameters(self, parameters: Mapping[str, str]) -> Context:
        """Return the context with a job's parameters, in which references to the job are replaced.

        Raises:
            ReferenceFailedError: a reference in one of them names what there is not.
        """
        return replace(self, parameters=resolved(dict(parameters), self))

    def of_task(
        self, task: Mapping[str, Any], *, tell: Callable[[str], Told | None], iteration: Mapping[str, Any]
    ) -> Context:
        """Return the context of one attempt of a task."""
        return replace(self, task=task, tell=tell, iteration=iteration)


def resolved(value: Any, context: Context) -> Any:
    """Return a value, and all in it, with its references replaced.

    What stands in double braces and is no reference stays as it is.

    Raises:
        ReferenceFailedError: a reference names what there is not.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda found: _looked_up(found, context), value)
    if isinstance(value, Mapping):
        return {name: resolved(item, context) for name, item in value.items()}
    if isinstance(value, list):
        return [resolved(item, context) for item in value]
    return value


def spoken(value: Any) -> str:
    """Return a value as a parameter has it: text as it is, the rest as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _looked_up(found: re.Match[str], context: Context) -> str:
    path = [quoted or plain for quoted, plain in _PART.findall(found[1])]
    if len(path) == 1:
        path = list(_OLD.get(path[0], path))
    reader = _ROOTS.get(path[0])
    if reader is None:
        return found[0]
    answer = reader(context, path[1:])
    if answer is None:
        raise ReferenceFailedError(f"The reference {found[0]} could not be resolved.")
    return answer


def _of_job(context: Context, path: list[str]) -> str | None:
    if path[:1] == ["parameters"]:
        return context.parameters.get(".".join(path[1:]))
    if path[:1] == ["start_time"] or path[:2] == ["trigger", "time"]:
        return _time(context.started, path[-1])
    if path == ["trigger", "type"]:
        return context.trigger.lower()
    return _plain(context.job, path)


def _of_tasks(context: Context, path: list[str]) -> str | None:
    told = context.tell(path[0]) if path else None
    if told is None:
        return None
    if path[1:2] == ["values"]:
        values, name = told.values(), ".".join(path[2:])
        return spoken(values[name]) if name in values else None
    facts = {
        "run_id": told.run_id,
        "result_state": told.result.lower(),
        "error_code": told.code,
        "execution_count": told.count,
    }
    return _plain(facts, path[1:])


def _of_input(context: Context, path: list[str]) -> str | None:
    value: Any = context.iteration
    for name in ("input", *path):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return spoken(value)


def _plain(facts: Mapping[str, Any], path: list[str]) -> str | None:
    return str(facts[path[0]]) if len(path) == 1 and path[0] in facts else None


def _time(millis: int, asked: str) -> str | None:
    reader = _TIMES.get(asked)
    return None if reader is None else reader(datetime.fromtimestamp(millis / 1000, tz=timezone.utc))


_ROOTS: Mapping[str, Callable[[Context, list[str]], str | None]] = {
    "job": _of_job,
    "task": lambda context, path: _plain(context.task, path),
    "tasks": _of_tasks,
    "workspace": lambda context, path: _plain(context.workspace, path),
    "input": _of_input,
}
"""What references begin with."""
