"""The Python API. The functions here are `Client`'s methods, on the project of the working directory.

The names load when they are first used: a build, on the command line, needs neither orchestrators nor the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wheelrun.client.building import Workspace as Workspace
    from wheelrun.client.client import Client as Client
    from wheelrun.client.client import entry_of as entry_of
    from wheelrun.client.prepared import Prepared as Prepared
    from wheelrun.client.run import Run as Run
    from wheelrun.client.run import failure as failure
    from wheelrun.orchestrators.contract import LogLine as LogLine
    from wheelrun.packaging.builder import BuildResult as BuildResult
    from wheelrun.store import RunRecord as RunRecord

_HOME = {
    "BuildResult": "wheelrun.packaging.builder",
    "Client": "wheelrun.client.client",
    "LogLine": "wheelrun.orchestrators.contract",
    "Prepared": "wheelrun.client.prepared",
    "Run": "wheelrun.client.run",
    "RunRecord": "wheelrun.store",
    "Workspace": "wheelrun.client.building",
    "entry_of": "wheelrun.client.client",
    "failure": "wheelrun.client.run",
}

__all__ = [
    "BuildResult",
    "Client",
    "LogLine",
    "Prepared",
    "Run",
    "RunRecord",
    "Workspace",
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'wheelrun.client' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def build(**options: Any) -> BuildResult:
    """Build the project's wheel; see `Client.build`."""
    from wheelrun.client.building import Workspace

    return Workspace().build(**options)


def submit(entry: str | Callable[..., Any], params: dict[str, Any] | None = None, **options: Any) -> Run:
    """Submit an entry; see `Client.submit`."""
    return _client().submit(entry, params, **options)


def prepare(entry: str | Callable[..., Any], params: dict[str, Any] | None = None, **options: Any) -> Prepared:
    """Do everything of `submit` but submitting; see `Client.prepare`."""
    return _client().prepare(entry, params, **options)


def runs(**options: Any) -> list[Run]:
    """Return recorded runs, the newest first; see `Client.runs`."""
    return _client().runs(**options)


def status(ref: str = "last") -> RunRecord:
    """Return what is now known of a run; see `Run.status`."""
    return _client().run(ref).status()


def logs(ref: str = "last", **options: Any) -> Iterator[LogLine]:
    """Yield what a run wrote; see `Run.logs`."""
    return _client().run(ref).logs(**options)


def cancel(ref: str = "last") -> RunRecord:
    """End a run; see `Run.cancel`."""
    return _client().run(ref).cancel()


def resume(ref: str = "last", **options: Any) -> Run:
    """Take up a run that failed or was cancelled; see `Client.resume`."""
    return _client().resume(ref, **options)


def rerun(ref: str = "last", **options: Any) -> Run:
    """Run a recorded run again, as a new run; see `Client.rerun`."""
    return _client().rerun(ref, **options)


def _client() -> Client:
    from wheelrun.client.client import Client

    return Client()
