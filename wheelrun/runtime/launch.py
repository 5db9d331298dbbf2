"""What the client hands to the supervisor, on its standard input: nothing of it is on a command line or on disk."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

_SCRATCH = "wheelrun-run-"


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
        scratch: A folder for the processes' temporary files; it goes when they do.
        session: Where the Spark session comes from: a name in `wheelrun.runtime.sessions.SESSIONS`.
        archives: The wheels' own files, for a session that is given them.
        bundle: The archive of the dependencies, for a session that is given them; empty if there is none.
        patience: Seconds that a server which is away is tried for.
        logs: The files that take the worker's output, stdout and stderr; the run's own by default.
        frames: The artifact root as every executor can reach it, where Spark frames go; by default `artifact_root`.
        isolation: "pipeline" (one application for all steps) or "step" (each its own).
        step_conf: Spark settings that single steps have, where each has an application.
        command: What runs the steps in the worker's place, if anything (`wheelrun.runtime.submission`).
        follow: What the command's output is read for: a name in `wheelrun.runtime.submit_output.READERS`; empty where
            the steps end with the command.
        elsewhere: Whether what the driver of a followed command tells of the run lies where the supervisor cannot look.
        start: Which start of the run this is, from 1.
        defaults: A properties file that stands in the place of the inherited spark-defaults.conf.
        linked_home: Whether Spark gets a home of links in the scratch folder: what it writes there goes with the run.
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
    scratch: str = ""
    session: str = "own"
    archives: tuple[str, ...] = ()
    bundle: str = ""
    patience: float = 60.0
    logs: tuple[str, ...] = ()
    frames: str = ""
    isolation: str = "pipeline"
    step_conf: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    follow: str = ""
    elsewhere: bool = False
    start: int = 1
    defaults: str = ""
    linked_home: bool = False

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Launch:
        """Read what `to_json` wrote."""
        table = json.loads(text)
        return cls(**{**table, **{name: tuple(table[name]) for name in ("code", "archives", "logs", "command")}})


def scratch_path(run_id: str, folder: str | None = None) -> Path:
    """Return where a run keeps temporary files: known from its id, so that any process can remove them.

    Args:
        run_id: The run's id.
        folder: What it lies in; by default the system's folder for such files.
    """
    return Path(folder or tempfile.gettempdir()) / f"{_SCRATCH}{run_id}"


def make_scratch(path: str) -> None:
    """Make a scratch folder that only its owner can enter; what an earlier process left there goes.

    Raises:
        FileExistsError: something of somebody else's is in its place.
    """
    remove_scratch(path)
    Path(path).mkdir(mode=0o700)


def is_scratch(folder: Path) -> bool:
    """Whether it is a scratch folder, and this user's."""
    try:
        return folder.name.startswith(_SCRATCH) and not folder.is_symlink() and folder.stat().st_uid == os.getuid()
    except OSError:
        return False


def remove_scratch(path: str) -> None:
    """Remove a scratch folder, if it is one and this user's."""
    folder = Path(path)
    if is_scratch(folder):
        shutil.rmtree(folder, ignore_errors=True)


def lock_path(run: Path) -> Path:
    """Return the lock file of a run's folder."""
    return run / "alive.lock"


def pid_path(run: Path) -> Path:
    """Return the file with the supervisor's pid; it means something only while the lock is held."""
    return run / "supervisor.pid"
