"""Who a task is for the workspace: the official client, made without credentials, asks here."""

from __future__ import annotations

from collections.abc import Callable

from .task import current


def init_runtime_native_auth() -> tuple[str, Callable[[], dict[str, str]]]:
    """Return the workspace's address, and what gives the headers of a request."""
    task = current()
    return task.host, lambda: {"Authorization": f"Bearer {task.token}"}
