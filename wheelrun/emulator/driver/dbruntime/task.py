"""The task that this process runs: what the emulator said of it, and where its answers go."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass, field
from typing import Any

_given: str | None = None


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        task: `{"python_wheel_task": {...}}` or `{"spark_python_task": {...}}`.
        folder: The attempt's folder.
        host: The workspace's address.
        token: What the workspace asks for.
        roots: The folders of `/Workspace`, `/Volumes` and `/dbfs`, by these paths.
    """

    task: dict[str, Any]
    folder: str
    host: str
    token: str = field(repr=False)
    roots: dict[str, str]


def receive(descriptor: int) -> Task:
    """Read what the emulator says of the task, once, from a descriptor."""
    global _given
    with os.fdopen(descriptor, encoding="utf-8") as stream:
        _given = stream.read()
    return current()


@functools.cache
def current() -> Task:
    """Return the task that this process runs.

    Raises:
        RuntimeError: it runs none.
    """
    if _given is None:
        raise RuntimeError("dbutils works in the process of a task only")
    return Task(**json.loads(_given))
