"""What the client hands to the supervisor, on its standard input: nothing of it is on a command line or on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One launch of a run.

    Attributes:
        run_id: The run's id.
        artifact_root: The artifact root, a path.
        code: Folders that stand first on the path: the unpacked wheels.
        source_root: The working tree, which must not be imported from.
        working_directory: Where the steps run.
        environment: Environment variables for the run, secrets included.
        conf: Spark configuration, secrets included.
        timeout: Seconds for the whole run; None for no limit.
        cache_dir: Where a Java shim may be kept.
    """

    run_id: str
    artifact_root: str
    code: tuple[str, ...]
    source_root: str
    working_directory: str
    environment: Mapping[str, str] = field(default_factory=dict)
    conf: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    cache_dir: str = ""

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Launch:
        """Read what `to_json` wrote."""
        table = json.loads(text)
        return cls(**{**table, "code": tuple(table["code"])})


def lock_path(run: Path) -> Path:
    """Return the lock file of a run's folder."""
    return run / "alive.lock"


def pid_path(run: Path) -> Path:
    """Return the file with the supervisor's pid; it means something only while the lock is held."""
    return run / "supervisor.pid"
