"""What compute is given to run, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One attempt of a task, its references resolved.

    Attributes:
        run_id: The id of the task's run: of this attempt.
        task: `{"python_wheel_task": {...}}` or `{"spark_python_task": {...}}`.
        libraries: As the task has them: `{"whl": path}`, `{"pypi": {"package": ...}}`, `{"requirements": path}`.
        folder: Where the attempt's `stdout`, `stderr` and both in one, `output`, are appended to. Values for
            other tasks are lines of `values.jsonl` there, and are looked for in the folder beside it that has the
            name of the other's run id.
        values: Variables of the task's context, DATABRICKS_JOB_RUN_ID among them.
    """

    run_id: int
    task: Mapping[str, Any]
    libraries: Sequence[Mapping[str, Any]]
    folder: Path
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        result: A `RunResultState`: SUCCESS, FAILED, CANCELED; INTERNAL_ERROR for what is not the task's fault.
        code: A termination code: SUCCESS, RUN_EXECUTION_ERROR, LIBRARY_INSTALLATION_ERROR, CLUSTER_ERROR,
            DRIVER_ERROR.
        message: The state's message.
        error: The exception's last line, as `get-output` gives it.
        trace: The traceback, likewise.
    """

    result: str
    code: str
    message: str = ""
    error: str | None = None
    trace: str | None = None
