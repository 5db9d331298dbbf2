"""dbutils, as far as jobs use it: files, secrets, and values that tasks hand to each other."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .files import Files
from .task import current
from .workspace import ask

_LARGEST_VALUE = 48 * 1024
_VALUES = "values.jsonl"
_UNSET = object()


class DBUtils:
    """What `pyspark.dbutils.DBUtils(spark)` and `databricks.sdk.runtime.dbutils` are.

    Args:
        spark: The session, which is not needed here.
    """

    def __init__(self, spark: Any = None) -> None:
        del spark
        self.fs = Files()
        self.secrets = Secrets()
        self.jobs = Jobs()


class Secrets:
    """The secrets of the workspace."""

    def get(self, scope: str, key: str) -> str:
        """Return a secret.

        Raises:
            ValueError: the workspace has not got it; the message says why.
        """
        return base64.b64decode(ask("/api/2.0/secrets/get", scope=scope, key=key)["value"]).decode()

    def getBytes(self, scope: str, key: str) -> bytes:  # noqa: N802 - as users call it
        """Return a secret's bytes."""
        return self.get(scope, key).encode()


class Jobs:
    """What belongs to jobs."""

    def __init__(self) -> None:
        self.taskValues = TaskValues()


class TaskValues:
    """Values by which the tasks of a run hand each other what they found."""

    def set(self, key: str, value: Any) -> None:
        """Give a value to the tasks that come after this one.

        Args:
            key: Its name.
            value: What JSON can hold, at most 48 KiB of it.

        Raises:
            ValueError: it is larger, or not for JSON.
        """
        try:
            text = json.dumps(value)
        except TypeError as error:
            raise ValueError(f"The task value {key!r} cannot be represented as JSON: {error}") from None
        if len(text.encode()) > _LARGEST_VALUE:
            raise ValueError(f"The task value {key!r} is larger than 48 KiB")
        with Path(current().folder, _VALUES).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"key": key, "value": value}) + "\n")

    def get(self, taskKey: str, key: str, default: Any = _UNSET, debugValue: Any = None) -> Any:  # noqa: N803
        """Return a value that another task of this run gave.

        Args:
            taskKey: The other task.
            key: The value's name.
            default: What to return if there is none.
            debugValue: What is returned outside of jobs; not needed here.

        Raises:
            ValueError: there is none, and no default.
        """
        del debugValue
        value = _values_of(taskKey).get(key, default)
        if value is _UNSET:
            raise ValueError(f"No task value with key {key!r} was set by the task {taskKey!r}")
        return value


def _values_of(task_key: str) -> dict[str, Any]:
    """Return the values that the last attempt of a task of this run has set."""
    attempts = [(task["attempt_number"], task["run_id"]) for task in _tasks() if task["task_key"] == task_key]
    if not attempts:
        return {}
    path = Path(current().folder).parent / str(max(attempts)[1]) / _VALUES
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {item["key"]: item["value"] for item in map(json.loads, lines)}


def _tasks() -> Iterator[dict[str, Any]]:
    """Yield the tasks of this run."""
    fields = {"run_id": os.environ["DATABRICKS_JOB_RUN_ID"]}
    while True:
        answer = ask("/api/2.2/jobs/runs/get", **fields)
        yield from answer.get("tasks", ())
        if not answer.get("next_page_token"):
            return
        fields["page_token"] = answer["next_page_token"]
