"""The Python API. The functions here are `Client`'s methods, on the project of the working directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from wheelrun.client.client import Client, Prepared, entry_of
from wheelrun.client.run import Run, failure
from wheelrun.orchestrators.base import LogLine
from wheelrun.packaging.builder import BuildResult
from wheelrun.store import RunRecord

__all__ = [
    "BuildResult",
    "Client",
    "LogLine",
    "Prepared",
    "Run",
    "RunRecord",
    "build",
    "cancel",
    "entry_of",
    "failure",
    "logs",
    "prepare",
    "rerun",
    "resume",
    "runs",
    "status",
    "submit",
]


def build(**options: Any) -> BuildResult:
    """Build the project's wheel; see `Client.build`."""
    return Client().build(**options)


def submit(entry: str | Callable[..., Any], params: dict[str, Any] | None = None, **options: Any) -> Run:
    """Submit an entry; see `Client.submit`."""
    return Client().submit(entry, params, **options)


def prepare(entry: str | Callable[..., Any], params: dict[str, Any] | None = None, **options: Any) -> Prepared:
    """Do everything of `submit` but submitting; see `Client.prepare`."""
    return Client().prepare(entry, params, **options)


def runs(**options: Any) -> list[Run]:
    """Return recorded runs, the newest first; see `Client.runs`."""
    return Client().runs(**options)


def status(ref: str = "last") -> RunRecord:
    """Return what is now known of a run; see `Run.status`."""
    return Client().run(ref).status()


def logs(ref: str = "last", **options: Any) -> Iterator[LogLine]:
    """Yield what a run wrote; see `Run.logs`."""
    return Client().run(ref).logs(**options)


def cancel(ref: str = "last") -> RunRecord:
    """End a run; see `Run.cancel`."""
    return Client().run(ref).cancel()


def resume(ref: str = "last", **options: Any) -> Run:
    """Take up a run that failed or was cancelled; see `Client.resume`."""
    return Client().resume(ref, **options)


def rerun(ref: str = "last", **options: Any) -> Run:
    """Run a recorded run again, as a new run; see `Client.rerun`."""
    return Client().rerun(ref, **options)
