"""Following a run by what its tasks leave below the artifact root: events once they have ended, logs live."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from wheelrun.deployment import Deployment
from wheelrun.orchestrators import log_lines
from wheelrun.orchestrators.contract import LogLine
from wheelrun.orchestrators.databricks.api import RefusedError
from wheelrun.orchestrators.databricks.state import Native, NativeRun
from wheelrun.orchestrators.roots import NAMES, Root
from wheelrun.runtime.events import Event, parse
from wheelrun.runtime.parts import EVENTS, STDERR, STDOUT, Part, PartReader
from wheelrun.states import RunState

_AT_ONCE = 5


@dataclass(slots=True)
class Followed:
    """A run that is followed; what was read of it once is not read again.

    Attributes:
        root: The artifact root.
        run_id: The run's id.
    """

    root: Root
    run_id: str
    _deployment: Deployment | None = None
    _events: dict[str, list[Event]] = field(default_factory=dict)
    _readers: dict[str, PartReader] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)
    _words: dict[int, str] = field(default_factory=dict)

    def deployment(self) -> Deployment | None:
        """Return the run's deployment, None if it was not put there."""
        if self._deployment is None:
            with contextlib.suppress(FileNotFoundError):
                text = self.root.read(NAMES.run(self.run_id).deployment.as_posix()).decode()
                self._deployment = Deployment.from_json(text)
        return self._deployment

    def told(self, native: NativeRun, *, live: bool = False) -> Mapping[str, Sequence[Event]]:
        """Return what the tasks told, by their keys. One listing for each task that has ended since the last look.

        Args:
            native: What the service says.
            live: Look at tasks that are running, too.
        """
        due = [task for task in native.tasks.values() if self._is_due(task, live=live)]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="follow") as pool:
            list(pool.map(self._look, due))
        return self._events

    def explained(self, native: NativeRun, output: Callable[[int], Mapping[str, Any]]) -> NativeRun:
        """Return what the service says, with its own words for each task that failed without a word of its own.

        Args:
            native: What the service says.
            output: Returns what the service has of a task's output. One call for each such task.
        """
        tasks = {
            key: replace(task, message=self._said(task, output)) if self._is_silent(task) else task
            for key, task in native.tasks.items()
        }
        return replace(native, tasks=tasks)

    def _is_silent(self, task: Native) -> bool:
        if task.state is not RunState.FAILED or task.code not in ("", "RUN_EXECUTION_ERROR"):
            return False
        ends = [event for event in self._events.get(task.key, ()) if event["event"] in ("task", "step")]
        return not ends or ends[-1].get("state") not in ("failed", "succeeded", "skipped")

    def _said(self, task: Native, output: Callable[[int], Mapping[str, Any]]) -> str:
        if task.id not in self._words:
            with contextlib.suppress(RefusedError):
                self._words[task.id] = str(output(task.id).get("error") or "")
        return self._words.get(task.id) or task.message

    def _is_due(self, task: Native, *, live: bool) -> bool:
        if self._known.get(task.key) == task.id:
            return False
        return task.state.is_terminal or (live and task.state.value == "running")

    def _look(self, task: Native) -> None:
        reader = self._readers.setdefault(task.key, PartReader(EVENTS))
        events = self._events.setdefault(task.key, [])
        for _, data in read_parts(self.root, self.run_id, task.key, reader):
            events += parse(data)
        if task.state.is_terminal:
            self._known[task.key] = task.id


def read_parts(root: Root, run_id: str, task: str, reader: PartReader) -> Iterator[tuple[Part, bytes]]:
    """Yield the parts of a task's streams that came since the last call. One listing, and one call for each."""
    folder = NAMES.run(run_id).task(task).as_posix()
    for part in reader.due(root.names(folder)):
        data = root.read(f"{folder}/{part.name}")
        if len(data) < part.bytes:  # it is still being written
            continue
        reader.took(part)
        yield part, data


@dataclass(slots=True)
class LogReader:
    """Reads what the tasks of a run write.

    Attributes:
        root: The artifact root.
        run_id: The run's id.
        fetch: Returns what the service says of the run.
        output: Returns what the service has of a task's output, by the service's id of the task.
        pause: Seconds between two looks.
        sleep: Waits between two looks.
    """

    root: Root
    run_id: str
    fetch: Callable[[], NativeRun]
    output: Callable[[int], Mapping[str, Any]]
    pause: float = 0.7
    sleep: Callable[[float], None] = time.sleep

    def tasks(self, keys: Sequence[str], stream: str | None, *, follow: bool) -> Iterator[LogLine]:
        """Yield the lines of some tasks; the contract is that of `BaseOrchestrator.logs`."""
        wanted = [name for name in (STDOUT, STDERR) if stream in (None, name)]
        readers = {key: PartReader(*wanted) for key in keys}
        lines = {(key, name): Lines(name) for key in keys for name in wanted}
        done: dict[str, int] = {}
        while True:
            native = self.fetch()
            for key in keys:
                task = native.tasks.get(key)
                if task is None or done.get(key) == task.id or not (task.started_at or task.state.is_terminal):
                    continue
                for part, data in read_parts(self.root, self.run_id, key, readers[key]):
                    yield from lines[key, part.stream].add(part, data)
                if task.state.is_terminal:
                    done[key] = task.id
                    yield from self._left(task, readers[key], wanted)
            if not follow or native.run.state.is_terminal or len(done) == len(keys):
                break
            self.sleep(self.pause)
        for each in lines.values():
            yield from each.rest()

    def step(self, task: str, step: str, stream: str | None, *, follow: bool) -> Iterator[LogLine]:
        """Yield what was written while a step was running that shares its task with others."""
        reader, streams, told = PartReader(), dict[tuple[int, str], bytes](), dict[int, list[Event]]()
        while True:
            ended = not follow or self.fetch().run.state.is_terminal
            for part, data in read_parts(self.root, self.run_id, task, reader):
                key = (part.execution, part.stream)
                streams[key] = streams.get(key, b"") + data
                if part.stream == EVENTS:
                    told.setdefault(part.execution, []).extend(parse(data))
            if ended or log_lines.step_has_ended([event for each in told.values() for event in each], step):
                break
            self.sleep(self.pause)
        for execution, events in told.items():
            for name in (STDOUT, STDERR):
                if stream in (None, name):
                    whole = streams.get((execution, name), b"")
                    for start, stop in log_lines.parts(events, step, name):
                        lines = Lines(name)
                        yield from lines.add(Part(execution, name, 0, 0), whole[start:stop])
                        yield from lines.rest()

    def _left(self, task: Native, reader: PartReader, wanted: Sequence[str]) -> Iterator[LogLine]:
        """Yield what the service has of a task that failed, left nothing, and did not tell how its step ended."""
        if task.state is not RunState.FAILED or reader.has_read or self._has_told(task):
            return
        try:
            output = self.output(task.id)
        except RefusedError:
            return
        said = ""
        for name, key in ((STDOUT, "logs"), (STDERR, "error_trace"), (STDERR, "error")):
            more = str(output.get(key) or "").strip("\n")
            if name in wanted and more not in said:
                said += more
                for text in more.splitlines():
                    yield LogLine(stream=name, text=text)

    def _has_told(self, task: Native) -> bool:
        """Whether a task told how its step ended."""
        read = read_parts(self.root, self.run_id, task.key, PartReader(EVENTS))
        events = [event for _, data in read for event in parse(data)]
        begun = [place for place, event in enumerate(events) if event.get("service_task") == str(task.id)]
        return bool(begun) and any(event.get("state") == "failed" for event in events[begun[-1] :])


class Lines:
    """Puts the parts of a stream together as lines.

    Args:
        stream: The stream's name.
    """

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._rest = b""
        self._execution = 0

    def add(self, part: Part, data: bytes) -> Iterator[LogLine]:
        """Yield the lines that a part completes."""
        if part.execution != self._execution:
            yield from self.rest()
            self._execution = part.execution
        *whole, self._rest = (self._rest + data).split(b"\n")
        for text in whole:
            yield self._line(text)

    def rest(self) -> Iterator[LogLine]:
        """Yield what is there of a line without an end."""
        if self._rest:
            yield self._line(self._rest)
            self._rest = b""

    def _line(self, data: bytes) -> LogLine:
        return LogLine(stream=self._stream, text=data.rstrip(b"\r").decode("utf-8", "replace"))
