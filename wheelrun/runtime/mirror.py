"""A folder of this machine that stands for an artifact root which takes only whole files, and is kept in step with it.

The steps write to the folder as they do everywhere. A thread copies what changed: first the outputs, then what is new
of the events that tell of them, so that nobody reads of an output that is not there. Nothing there is written twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from wheelrun.deployment import Deployment, references
from wheelrun.errors import UploadError
from wheelrun.runtime.artifacts import FRAME, outputs_of
from wheelrun.runtime.events import Event, parse
from wheelrun.runtime.layout import ArtifactRoot, RunPaths
from wheelrun.runtime.parts import EVENTS, STDERR, STDOUT, PartWriter, parts

_AT_ONCE = 16
_TRIES = 20
# Seconds between two looks: more with each part that was written, so that a long run does not make too many.
_FIRST = 0.5
_MORE = 0.02
_LONGEST = 10.0


@dataclass(slots=True)
class Mirror:
    """The copying of one execution of a task.

    Attributes:
        place: The artifact root.
        run_id: The run's id.
        task: The task's key.
        frames: Where Spark's frames lie for every executor, as Spark names the artifact root; empty where they are
            copied like all else.
        execution: Which execution of the task this is, from 1.
        local: The folder of this machine.
    """

    place: ArtifactRoot
    run_id: str
    task: str
    frames: str = ""
    execution: int = field(init=False)
    local: ArtifactRoot = field(init=False)
    _sent: set[str] = field(default_factory=set)
    _writers: dict[str, PartWriter] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.local = ArtifactRoot(Path(tempfile.mkdtemp(prefix="wheelrun-root-")))
        self.paths.stdout.parent.mkdir(parents=True)
        for path in (self.paths.stdout, self.paths.stderr, self.paths.events):
            path.touch(mode=0o600)
        folder = self.task_folder(self.task)
        folder.mkdir(parents=True, exist_ok=True)
        self.execution = max((part.execution for part in parts(os.listdir(folder))), default=0) + 1  # noqa: PTH208
        for stream, path in ((STDOUT, self.paths.stdout), (STDERR, self.paths.stderr)):
            self._writers[stream] = PartWriter(path, folder, self.execution, stream)

    @property
    def paths(self) -> RunPaths:
        """The run's paths on this machine."""
        return self.local.run(self.run_id)

    def task_folder(self, task: str) -> Path:
        """Return the folder of a task of the run below the artifact root."""
        return self.place.run(self.run_id).task(task)

    def events_of(self, tasks: list[str]) -> list[Event]:
        """Return what the executions of tasks have told so far, task by task."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return [event for told in pool.map(self._told, tasks) for event in told]

    def begin(self, history: bytes) -> None:
        """Let the run's events begin with what was told before; that is not copied back."""
        self.paths.events.write_bytes(history)
        self._writers[EVENTS] = PartWriter(
            self.paths.events, self.task_folder(self.task), self.execution, EVENTS, offset=len(history)
        )

    def fetch(self, deployment: Deployment, steps: list[str]) -> None:
        """Copy here what steps take from others, and what the step cache knows of them."""
        keys = deployment.step_keys()
        wanted: set[Path] = set()
        there = self.place.run(self.run_id)
        for spec in (deployment.step(name) for name in steps):
            wanted |= {there.output(step, output) for step, output in references(spec.arguments)}
            if spec.cache:
                index = self.place.step_index(keys[spec.name])
                self._pull(index)
                wanted |= set(outputs_of(index))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(self._pull_output, wanted))

    def push(self) -> bool:
        """Copy there what is new; return whether there was anything.

        Raises:
            OSError: it cannot be written; the next call tries again.
        """
        with self._lock:
            size = self.paths.events.stat().st_size
            new = False
            for name, path in self._whole():
                if name not in self._sent:
                    target = self.place.path / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
                    self._sent.add(name)
                    new = True
            for stream, writer in self._writers.items():
                new |= writer.copy(limit=size if stream == EVENTS else None)
        return new

    @contextlib.contextmanager
    def kept_in_step(self, beside: Callable[[], None]) -> Iterator[None]:
        """Copy what changes while the block runs, and all that is left at its end.

        Args:
            beside: Called at each look, before the copying.

        Raises:
            UploadError: what is left cannot be written.
        """
        stop = threading.Event()
        thread = threading.Thread(target=self._keep, args=(stop, beside), daemon=True, name="wheelrun-mirror")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            beside()
            self._push_all()

    def close(self) -> None:
        """Remove the folder of this machine."""
        shutil.rmtree(self.local.path, ignore_errors=True)

    def _keep(self, stop: threading.Event, beside: Callable[[], None]) -> None:
        told = False
        while not stop.wait(self._pause()):
            beside()
            try:
                self.push()
                told = False
            except OSError as error:  # storage fails for a while; the run goes on meanwhile
                if not told:
                    sys.stderr.write(f"wheelrun: {self.place.path} cannot be written: {error}\n")
                told = True

    def _pause(self) -> float:
        return min(_FIRST + _MORE * sum(writer.written for writer in self._writers.values()), _LONGEST)

    def _push_all(self) -> None:
        for left in reversed(range(_TRIES)):
            try:
                self.push()
                break
            except OSError as error:
                if not left:
                    raise UploadError(
                        f"{self.place.path} cannot be written: {error.strerror or error}",
                        hint="may the run's user write there, and is there room?",
                    ) from error
                time.sleep(_FIRST)

    def _whole(self) -> list[tuple[str, Path]]:
        """Return the files that are there whole, a description of an output behind what it describes."""
        found = []
        for folder in (self.paths.path / "outputs", self.local.path / "steps"):
            for here, below, names in os.walk(folder):
                below[:] = [name for name in below if not name.startswith(".")]
                for name in sorted(names, key=lambda name: name == "meta.json"):
                    if not name.startswith("."):
                        path = Path(here, name)
                        found.append((path.relative_to(self.local.path).as_posix(), path))
        return found

    def _told(self, task: str) -> list[Event]:
        folder = self.task_folder(task)
        try:
            names = os.listdir(folder)  # noqa: PTH208 - names are all that is wanted
        except FileNotFoundError:
            return []
        return parse(b"".join((folder / part.name).read_bytes() for part in parts(names, EVENTS)))

    def _pull(self, source: Path) -> None:
        name = source.relative_to(self.place.path)
        target = self.local.path / name
        if source.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            self._sent.add(name.as_posix())

    def _pull_output(self, folder: Path) -> None:
        for here, below, names in os.walk(folder):  # one that never came has no files
            if self.frames and FRAME in below:
                below.remove(FRAME)
            for name in names:
                self._pull(Path(here, name))


def history(events: list[Event]) -> bytes:
    """Return events as the lines that they were."""
    return b"".join(
        json.dumps(event, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n" for event in events
    )
