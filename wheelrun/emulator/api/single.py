"""One-time runs as version 2.0 of the Jobs interface has them: one task, its fields beside those of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from databricks.sdk.service.compute import ClusterSpec, Library
from databricks.sdk.service.jobs import PythonWheelTask, SparkPythonTask, SubmitTask

from wheelrun.emulator.errors import ApiError

KEY = "main"
"""The key of the task."""

_OF_TASK = ("existing_cluster_id", "new_cluster", "libraries", "python_wheel_task", "spark_python_task")


def submit(
    *,
    run_name: str | None = None,
    timeout_seconds: int | None = None,
    idempotency_token: str | None = None,
    tasks: list[SubmitTask] | None = None,
    existing_cluster_id: str | None = None,
    new_cluster: ClusterSpec | None = None,
    libraries: list[Library] | None = None,
    python_wheel_task: PythonWheelTask | None = None,
    spark_python_task: SparkPythonTask | None = None,
) -> None:
    """Say what can be sent; the official client has no method of this version."""


def with_tasks(fields: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return the fields of a run with a list of tasks, and whether there was none.

    Raises:
        ApiError: there are a list and a task beside it.
    """
    own = {name: fields[name] for name in _OF_TASK if name in fields}
    if not own:
        return dict(fields), False
    if "tasks" in fields:
        raise ApiError("INVALID_PARAMETER_VALUE", f"Only one of tasks and {next(iter(own))} can be specified.")
    rest = {name: value for name, value in fields.items() if name not in own}
    return {**rest, "tasks": [{"task_key": KEY, **own}]}, True


def view(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what version 2.0 tells of a run's only task beside the run."""
    spec = {name: task[name] for name in ("existing_cluster_id", "new_cluster", "libraries") if name in task}
    told = {"task": {name: value for name, value in task.items() if name.endswith("_task")}, "cluster_spec": spec}
    return told | ({"cluster_instance": task["cluster_instance"]} if "cluster_instance" in task else {})
