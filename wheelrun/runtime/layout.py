"""The one place that knows file names under an artifact root.

<root>/wheels/<distribution>/<digest>/<file>.whl
<root>/bundles/<digest>/<file>.zip
<root>/steps/<key>.json                          the step cache's index
<root>/runs/<run id>/deployment.json
                     events.jsonl                one JSON line per change
                     heartbeat                   a cluster's driver: when it last gave a sign of life
                     claims/<start>              which driver has the run; <start>.cancel asks it to end
                     outputs/<step>/<output>/    value.json | value.pkl | data.parquet, and meta.json
                     logs/stdout.log, stderr.log
                          submit.log             what spark-submit wrote, where the driver is on a cluster
                     tasks/<task>/               events and logs of one task, in parts (`wheelrun.runtime.parts`)
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

OWN_MARK = ".wheelrun-own"
"""A file that marks a folder as wheelrun's own: where it lies in a project, it does not ship."""


@dataclass(frozen=True, slots=True)
class ArtifactRoot:
    """Paths that runs share.

    Attributes:
        path: The artifact root.
    """

    path: Path

    def wheel(self, distribution: str, digest: str, file: str) -> Path:
        """Return where a wheel lies: content-addressed, so what is there need not be written again."""
        return self.path / "wheels" / distribution / digest / file

    def bundle(self, digest: str, file: str) -> Path:
        """Return where an archive of dependencies lies."""
        return self.path / "bundles" / digest / file

    def step_index(self, key: str) -> Path:
        """Return where the step cache keeps which outputs belong to a key."""
        return self.path / "steps" / f"{key}.json"

    def run(self, run_id: str) -> RunPaths:
        """Return the paths of one run."""
        return RunPaths(self.path / "runs" / run_id)


@dataclass(frozen=True, slots=True)
class RunPaths:
    """Paths of one run.

    Attributes:
        path: The run's folder.
    """

    path: Path

    @property
    def deployment(self) -> Path:
        """The deployment, as JSON."""
        return self.path / "deployment.json"

    @property
    def events(self) -> Path:
        """The events, one JSON line per change."""
        return self.path / "events.jsonl"

    @property
    def heartbeat(self) -> Path:
        """When a driver on a cluster last gave a sign of life: seconds since the epoch, as text."""
        return self.path / "heartbeat"

    def claim(self, start: int) -> Path:
        """Return the file that says which driver has a start of the run."""
        return self.path / "claims" / str(start)

    def cancel(self, start: int) -> Path:
        """Return the file that asks the driver of a start to end the run."""
        return self.path / "claims" / f"{start}.cancel"

    @property
    def stdout(self) -> Path:
        """What the run's processes wrote to standard output."""
        return self.path / "logs" / "stdout.log"

    @property
    def stderr(self) -> Path:
        """What the run's processes wrote to standard error."""
        return self.path / "logs" / "stderr.log"

    def task(self, key: str) -> Path:
        """Return the folder of what one task of the run wrote, where each has a process of its own."""
        return self.path / "tasks" / key

    @property
    def submit_log(self) -> Path:
        """What spark-submit wrote of a driver on a cluster, both streams in one."""
        return self.path / "logs" / "submit.log"

    def output(self, step: str, output: str) -> Path:
        """Return the folder of one output of a step."""
        return self.path / "outputs" / file_name(step) / file_name(output)


def file_name(name: str) -> str:
    """Return a step's name as a file name: itself where it is one, else cleaned, with a hash to keep names apart."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[:80] + f"-{digest}"


def write_atomically(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
