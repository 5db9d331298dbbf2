"""Keeping a run's folder on this machine and the one below an artifact root on a Hadoop file system the same.

The supervisor and its workers write to a folder of this machine, as everywhere. A process of its own, which alone talks
to the JVM about it, copies what changed: first the outputs, then the events that tell of them, so that nobody reads of
an output that is not there. The other way it copies what a client wishes.
"""

from __future__ import annotations

import os
import select
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from wheelrun.deployment import Deployment
from wheelrun.runtime.artifacts import FRAME, outputs_of
from wheelrun.runtime.driver import java
from wheelrun.runtime.layout import ArtifactRoot, RunPaths

INTERVAL = 0.5
"""Seconds between two looks."""

_TRIES = 20
_REST = 10.0  # for each second that copying a file took, before it is copied again
_GROWING = ("events.jsonl", "heartbeat")


class HadoopFolder:
    """A folder on a Hadoop file system, through the JVM that started this process.

    Args:
        url: The folder, such as "hdfs://host/path" or "s3a://bucket/path".
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._jvm = java()
        spark, hadoop = self._jvm.org.apache.spark, self._jvm.org.apache.hadoop
        self._path = hadoop.fs.Path
        configuration = spark.deploy.SparkHadoopUtil.get().newConfiguration(spark.SparkConf())
        self._fs = self._path(self.url).getFileSystem(configuration)

    def push(self, source: Path, name: str) -> None:
        """Copy a file there, in place of the one before."""
        self._fs.copyFromLocalFile(False, True, self._path(source.as_uri()), self._path(f"{self.url}/{name}"))

    def pull(self, name: str, target: Path) -> bool:
        """Copy a file or a folder here; return whether it was there."""
        source = self._path(f"{self.url}/{name}")
        if not self._fs.exists(source):
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        self._fs.copyToLocalFile(False, source, self._path(target.as_uri()), True)
        return True

    def names(self, name: str) -> list[str]:
        """Return the names in a folder; none if it is missing."""
        path = self._path(f"{self.url}/{name}")
        if not self._fs.exists(path):
            return []
        return [status.getPath().getName() for status in self._fs.listStatus(path)]

    def create(self, name: str, content: str) -> bool:
        """Write a file that must not be there; return False if it is."""
        path = self._path(f"{self.url}/{name}")
        if self._fs.exists(path):
            return False
        try:
            stream = self._fs.create(path, False)
        except Exception:
            if self._fs.exists(path):  # another was faster
                return False
            raise
        try:
            stream.write(bytearray(content.encode()))
        finally:
            stream.close()
        return True


@dataclass(slots=True)
class Sync:
    """The copying of one run.

    Attributes:
        folder: The artifact root as the cluster has it.
        root: The artifact root of this machine that stands for it.
        run_id: The run's id.
        start: Which start of the run this is.
        clock: Tells the time in seconds.
    """

    folder: HadoopFolder
    root: ArtifactRoot
    run_id: str
    start: int
    clock: Callable[[], float] = time.monotonic
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)

    @property
    def paths(self) -> RunPaths:
        """The run's paths on this machine."""
        return self.root.run(self.run_id)

    def fetch(self) -> None:
        """Copy here what the run needs to begin or to go on: deployment, events, outputs, and cached outputs.

        Frames stay where they are: they are read and written there.
        """
        self.folder.pull(self._name(self.paths.deployment), self.paths.deployment)
        if self.folder.pull(self._name(self.paths.events), self.paths.events):
            self._fetch_outputs(self.paths.path / "outputs")
        for log in (self.paths.stdout, self.paths.stderr):  # an earlier start's, which this one writes on
            self.folder.pull(self._name(log), log)
        if self.paths.deployment.exists():
            deployment = Deployment.from_json(self.paths.deployment.read_text(encoding="utf-8"))
            keys = deployment.step_keys()
            for key in (keys[spec.name] for spec in deployment.steps if spec.cache):
                self._fetch_cached(self.root.step_index(key))
        self._sent.update((name, _mark(path)) for name, path in self._files())

    def push(self, *, last: bool = False) -> None:
        """Copy there what changed, the growing files as they were before the others were copied.

        A file that takes long to copy is copied less often, but for the last time.
        """
        files = dict(self._files())
        growing = {name: (path, _mark(path)) for name, path in files.items() if path.name in _GROWING}
        for name, path in files.items():
            if name not in growing and self._sent.get(name) != (mark := _mark(path)):
                began = self.clock()
                if last or began >= self._due.get(name, began):
                    self.folder.push(path, name)
                    self._sent[name] = mark
                    self._due[name] = began + _REST * (self.clock() - began)
        for name, (path, mark) in growing.items():
            if self._sent.get(name) != mark:
                self._push_growing(path, name, mark[0])
                self._sent[name] = mark

    def look(self) -> None:
        """Copy here what a client wishes."""
        wish = self.paths.cancel(self.start)
        whole = wish.with_name(f".{wish.name}")
        if not wish.exists() and self.folder.pull(self._name(wish), whole):
            whole.replace(wish)

    def _push_growing(self, path: Path, name: str, size: int) -> None:
        copy = path.with_name(f".{path.name}.copy")
        with path.open("rb") as source:
            copy.write_bytes(source.read(size))
        self.folder.push(copy, name)
        copy.unlink()

    def _fetch_outputs(self, outputs: Path) -> None:
        for step in self.folder.names(self._name(outputs)):
            for output in self.folder.names(self._name(outputs / step)):
                self._fetch_output(outputs / step / output)

    def _fetch_output(self, output: Path) -> None:
        for name in self.folder.names(self._name(output)):
            if name != FRAME:
                self.folder.pull(self._name(output / name), output / name)

    def _fetch_cached(self, index: Path) -> None:
        if self.folder.pull(self._name(index), index):
            for output in outputs_of(index):
                if not output.exists():
                    self._fetch_output(output)

    def _files(self) -> Iterable[tuple[str, Path]]:
        """Yield what is to be copied there: the run's folder and the step cache's entries, without temporary files."""
        for folder in (self.paths.path, self.root.path / "steps"):
            for here, below, names in os.walk(folder):
                below[:] = [name for name in below if not name.startswith(".")]
                for name in names:
                    path = Path(here, name)
                    if not name.startswith(".") and path.parent.name != "claims":
                        yield self._name(path), path

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root.path).as_posix()


def run_beside(sync: Sync, stop: int) -> int:
    """Keep copying until a descriptor closes, and once more then; return the exit status."""
    failures = 0
    while True:
        ended, _, _ = select.select([stop], [], [], INTERVAL)
        try:
            sync.push(last=bool(ended))
            if ended:
                return 0
            sync.look()
            failures = 0
        except Exception:  # noqa: BLE001 - storage fails for a while; the run goes on meanwhile
            failures += 1
            if failures == 1 or ended:
                sys.stderr.write(f"wheelrun: {sync.folder.url} cannot be written:\n{traceback.format_exc()}")
            if failures >= _TRIES or (ended and failures > 1):
                return 1


def forked(make: Callable[[], int]) -> int:
    """Do something in a forked process, which may talk to the JVM; return its pid. It ends with what `make` returns."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        status = make()
    except BaseException:  # noqa: BLE001 - told here, since nobody above will
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _mark(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_size, found.st_mtime_ns
