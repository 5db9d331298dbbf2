"""What jobs and one-time runs have to be, before anything is made of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from wheelrun.emulator.engine import given, quartz
from wheelrun.emulator.engine.graph import Graph
from wheelrun.emulator.engine.means import Computing
from wheelrun.emulator.engine.orders import OVERRIDING
from wheelrun.emulator.errors import ApiError

MOST_TASKS = 1000
MOST_JOB_CLUSTERS = 100
MOST_TAGS = 25
MOST_CONCURRENT = 1000
MOST_ITERATIONS = 100
LONGEST_KEY = 100
LONGEST_TOKEN = 64
LONGEST_NAME = 4096  # bytes
LONGEST_DESCRIPTION = 27700  # characters
LARGEST_NUMBER = 2**31 - 1
ENVIRONMENT_VERSIONS = frozenset({"1", "2", "3", "4", "5"})
LARGEST_PARAMETERS = 10_000  # bytes of JSON

_KEY = re.compile(r"[\w-]+", re.ASCII)
_PARAMETER = re.compile(r"[\w.-]+", re.ASCII)
_COMPUTE = ("existing_cluster_id", "new_cluster", "job_cluster_key", "environment_key")
_UNSUPPORTED = ("continuous", "triggers", "git_source", "environment_variables")
_UNSUPPORTED_OF_TASKS = ("compute", "environment_variables_key")
_ASCII_ONLY = ("python_params", "spark_submit_params")


def check_job(settings: Mapping[str, Any], compute: Computing, check_other: Callable[[int], object]) -> None:
    """Refuse settings that cannot be a job's, or a one-time run's.

    Args:
        settings: The settings.
        compute: Says which clusters there can be.
        check_other: Raises ApiError if there is no job of an id.

    Raises:
        ApiError: they cannot.
    """
    for name in _UNSUPPORTED:
        if settings.get(name):
            _refuse(f"{name} is not supported by this emulator.")
    _check_numbers(settings)
    _check_when(settings)
    clusters = settings.get("job_clusters", ())
    if len(clusters) > MOST_JOB_CLUSTERS:
        _refuse(f"A job has at most {MOST_JOB_CLUSTERS} job clusters, not {len(clusters)}.")
    _check_unique("job cluster key", (item["job_cluster_key"] for item in clusters))
    for item in clusters:
        compute.check_cluster_spec(item["new_cluster"])
    environments = settings.get("environments", ())
    _check_unique("environment key", (item["environment_key"] for item in environments))
    for item in environments:
        spec = item.get("spec", {})
        version = spec.get("environment_version") or spec.get("client")
        if version and version not in ENVIRONMENT_VERSIONS:
            known = ", ".join(sorted(ENVIRONMENT_VERSIONS))
            _refuse(
                f"Environment '{item['environment_key']}': there is no environment version {version}; known: {known}."
            )
    _check_unique("job parameter", (item["name"] for item in settings.get("parameters", ())), _PARAMETER)
    tasks = settings.get("tasks", ())
    if len(tasks) > MOST_TASKS:
        _refuse(f"The job has {len(tasks)} tasks, which exceeds the maximum of {MOST_TASKS}.")
    conditions = {task["task_key"] for task in tasks if "condition_task" in task}
    Graph.of(tasks)
    for task in tasks:
        _check_task(task, settings, compute, check_other)
        for edge in task.get("depends_on", ()):
            if "outcome" in edge and (edge["task_key"] not in conditions or edge["outcome"] not in {"true", "false"}):
                _refuse(
                    f"Task '{task['task_key']}' depends on the outcome '{edge['outcome']}' of '{edge['task_key']}': "
                    'an outcome is that of a condition task, "true" or "false".'
                )


def check_sent(fields: Mapping[str, Any]) -> None:
    """Refuse what cannot be sent with a run: parameters that are too long, or tokens.

    Raises:
        ApiError: it cannot.
    """
    if len(fields.get("idempotency_token", "")) > LONGEST_TOKEN:
        _refuse(f"The idempotency token must have at most {LONGEST_TOKEN} characters.")
    for name in ("job_parameters", *OVERRIDING):
        size = len(json.dumps({name: fields[name]}, separators=(",", ":")).encode()) if name in fields else 0
        if size > LARGEST_PARAMETERS:
            _refuse(
                f"The JSON representation of {name} has {size} bytes, which exceeds the maximum of "
                f"{LARGEST_PARAMETERS} bytes."
            )
    for name in _ASCII_ONLY:
        if not all(item.isascii() for item in fields.get(name, ())):
            _refuse(f"{name} can contain ASCII characters only.")
    if "python_params" in fields and "python_named_params" in fields:
        _refuse("Only one of python_params and python_named_params can be specified.")
    if "jar_params" in fields and "notebook_params" in fields:
        _refuse("jar_params and notebook_params cannot be specified together.")


def _check_numbers(settings: Mapping[str, Any]) -> None:
    for name in ("name", "run_name"):
        if len(settings.get(name, "").encode()) > LONGEST_NAME:
            _refuse(f"The job name is too long: its maximum length is {LONGEST_NAME} bytes in UTF-8 encoding.")
    if len(settings.get("description", "")) > LONGEST_DESCRIPTION:
        _refuse(f"The description is too long: its maximum length is {LONGEST_DESCRIPTION} characters.")
    if len(settings.get("tags", {})) > MOST_TAGS:
        _refuse(f"A job has at most {MOST_TAGS} tags, not {len(settings['tags'])}.")
    if not 0 <= settings.get("max_concurrent_runs", 1) <= MOST_CONCURRENT:
        _refuse(f"max_concurrent_runs must be between 0 and {MOST_CONCURRENT}.")
    if not 0 <= settings.get("timeout_seconds", 0) <= LARGEST_NUMBER:
        _refuse(f"timeout_seconds must be between 0 and {LARGEST_NUMBER}.")


def _check_when(settings: Mapping[str, Any]) -> None:
    given_ones = [name for name in ("schedule", "trigger", "continuous") if name in settings]
    if len(given_ones) > 1:
        _refuse(f"Only one of schedule, trigger and continuous can be specified, not {' and '.join(given_ones)}.")
    if "schedule" in settings:
        schedule = settings["schedule"]
        try:
            quartz.Schedule(schedule["quartz_cron_expression"], schedule["timezone_id"])
        except ValueError as error:
            _refuse(str(error))
    unknown = set(settings.get("trigger", {})) - {"periodic", "pause_status"}
    if unknown:
        _refuse(f"Triggers of the kind {min(unknown)} are not fired by this emulator.")
    if settings.get("trigger", {}).get("periodic", {"interval": 1})["interval"] < 1:
        _refuse("The interval of a periodic trigger must be positive.")


def _check_unique(what: str, keys: Iterable[str], pattern: re.Pattern[str] = _KEY) -> None:
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            _refuse(f"Duplicate {what}: '{key}'.")
        seen.add(key)
        if not pattern.fullmatch(key) or len(key) > LONGEST_KEY:
            _refuse(_bad_key(what, key))


def _bad_key(what: str, key: str) -> str:
    return (
        f"Invalid {what} '{key}': it must have between 1 and {LONGEST_KEY} characters, alphanumeric ones, "
        "'-' and '_' only."
    )


def _check_task(
    task: Mapping[str, Any],
    settings: Mapping[str, Any],
    compute: Computing,
    check_other: Callable[[int], object],
    *,
    nested: bool = False,
) -> None:
    key = task["task_key"]
    if not _KEY.fullmatch(key) or len(key) > LONGEST_KEY:
        _refuse(_bad_key("task key", key))
    kinds = [name for name in task if name.endswith("_task")]
    if len(kinds) != 1:
        _refuse(f"Task '{key}' must have exactly one kind of task, not {', '.join(kinds) or 'none'}.")
    if kinds[0] not in given.KINDS:
        _refuse(f"Task '{key}': a {kinds[0]} is not run by this emulator.")
    for name in _UNSUPPORTED_OF_TASKS:
        if task.get(name):
            _refuse(f"Task '{key}': {name} is not supported by this emulator.")
    if task.get("max_retries", 0) < -1:
        _refuse(f"Task '{key}': max_retries must be -1 or more.")
    for name in ("timeout_seconds", "min_retry_interval_millis"):
        if not 0 <= task.get(name, 0) <= LARGEST_NUMBER:
            _refuse(f"Task '{key}': {name} must be between 0 and {LARGEST_NUMBER}.")
    if nested and ("depends_on" in task or "for_each_task" in task):
        _refuse(f"Task '{key}': the task of a for-each task depends on nothing, and is no for-each task.")
    _check_compute(task, settings, compute)
    _PARTICULARS[kinds[0]](task, settings, compute, check_other)


def _check_compute(task: Mapping[str, Any], settings: Mapping[str, Any], compute: Computing) -> None:
    key, named = task["task_key"], [name for name in _COMPUTE if name in task]
    if given.kind_of(task) not in given.COMPUTED:
        if named or task.get("libraries"):
            _refuse(f"Task '{key}' runs on no cluster: {(named or ['libraries'])[0]} cannot be specified.")
        return
    if len(named) != 1:
        _refuse(f"Task '{key}': exactly one of {', '.join(_COMPUTE)} must be specified, not {named or 'none'}.")
    if "existing_cluster_id" in task:
        compute.check_existing(task["existing_cluster_id"])
    if "new_cluster" in task:
        compute.check_cluster_spec(task["new_cluster"])
    if "job_cluster_key" in task:
        _check_named(task, "job_cluster_key", settings.get("job_clusters", ()))
    if "environment_key" in task:
        _check_named(task, "environment_key", settings.get("environments", ()))
        if task.get("libraries"):
            _refuse(
                f"Task '{key}': libraries field is not supported for serverless task, "
                "please specify libraries in environment."
            )


def _check_named(task: Mapping[str, Any], name: str, defined: Sequence[Mapping[str, Any]]) -> None:
    if task[name] not in {item[name] for item in defined}:
        _refuse(f"Task '{task['task_key']}': {name} '{task[name]}' is not defined in the job.")


def _check_wheel(task: Mapping[str, Any], *_: Any) -> None:
    wheel = task["python_wheel_task"]
    if wheel.get("parameters") and wheel.get("named_parameters"):
        _refuse(f"Task '{task['task_key']}': only one of parameters and named_parameters can be specified.")


def _check_script(task: Mapping[str, Any], *_: Any) -> None:
    if task["spark_python_task"].get("source") == "GIT":
        _refuse(f"Task '{task['task_key']}': files of Git repositories are not run by this emulator.")


def _check_condition(task: Mapping[str, Any], *_: Any) -> None:
    if task.get("max_retries"):
        _refuse(f"Task '{task['task_key']}': a condition task does not support retries.")


def _check_for_each(
    task: Mapping[str, Any], settings: Mapping[str, Any], compute: Computing, check_other: Callable[[int], object]
) -> None:
    each = task["for_each_task"]
    if not 1 <= each.get("concurrency", 1) <= MOST_ITERATIONS:
        _refuse(f"Task '{task['task_key']}': concurrency must be between 1 and {MOST_ITERATIONS}.")
    _check_task(each["task"], settings, compute, check_other, nested=True)


def _check_run_job(
    task: Mapping[str, Any], settings: Mapping[str, Any], compute: Computing, check_other: Callable[[int], object]
) -> None:
    del settings, compute
    check_other(task["run_job_task"]["job_id"])


_PARTICULARS: Mapping[str, Callable[..., None]] = {
    "python_wheel_task": _check_wheel,
    "spark_python_task": _check_script,
    "condition_task": _check_condition,
    "for_each_task": _check_for_each,
    "run_job_task": _check_run_job,
}


def _refuse(message: str) -> NoReturn:
    raise ApiError("INVALID_PARAMETER_VALUE", message)
