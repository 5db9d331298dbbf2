"""A run's two log files, as lines: all of them or one step's part, now or as they grow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from wheelrun.orchestrators.contract import LogLine
from wheelrun.runtime.events import EventReader
from wheelrun.runtime.layout import RunPaths

_CHUNK = 1 << 16


class Tail:
    """Reads a growing file by whole lines.

    Args:
        path: The file; it may not be there yet.
        stream: The stream's name, for the lines.
    """

    def __init__(self, path: Path, stream: str) -> None:
        self._path = path
        self._stream = stream
        self._offset = 0
        self._rest = bytearray()

    def read(self) -> Iterator[LogLine]:
        """Yield the whole lines that came since the last call."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(self._offset)
            while data := file.read(_CHUNK):
                self._offset += len(data)
                self._rest += data
                if b"\n" not in data:  # a line that goes on and on is put together once, not for each piece of it
                    continue
                *lines, rest = bytes(self._rest).split(b"\n")
                self._rest = bytearray(rest)
                for line in lines:
                    yield self._line(line)

    def rest(self) -> Iterator[LogLine]:
        """Yield what is there of a line without an end."""
        if self._rest:
            yield self._line(bytes(self._rest))
            self._rest = bytearray()

    def _line(self, data: bytes) -> LogLine:
        return LogLine(stream=self._stream, text=data.rstrip(b"\r").decode("utf-8", "replace"))


def read_logs(
    paths: RunPaths,
    *,
    step: str | None,
    stream: str | None,
    follow: bool,
    has_ended: Callable[[], bool],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:
    """Yield a run's log lines; the contract is that of `BaseOrchestrator.logs`.

    Args:
        paths: The run's paths.
        step: Only this step's part.
        stream: Only this stream.
        follow: Wait for more until `has_ended`.
        has_ended: Whether the run has ended.
        sleep: Waits between two looks.
    """
    files = {"stdout": paths.stdout, "stderr": paths.stderr}
    chosen = {name: path for name, path in files.items() if stream in (None, name)}
    if step is not None:
        while follow and not (has_ended() or _step_has_ended(paths, step)):
            sleep(0.1)
        for name, path in chosen.items():
            for start, stop in _parts(paths, step, name):
                yield from _slice(path, name, start, stop)
        return
    tails = [Tail(path, name) for name, path in chosen.items()]
    while True:
        ended = not follow or has_ended()
        for tail in tails:
            yield from tail.read()
        if ended:
            break
        sleep(0.1)
    for tail in tails:
        yield from tail.rest()


def _step_has_ended(paths: RunPaths, step: str) -> bool:
    state = ""
    for event in EventReader(paths.events).read():
        if event["event"] == "step" and event["step"] == step and "retry_in" not in event:
            state = event["state"]
    return state not in ("", "running", "queued")


def _parts(paths: RunPaths, step: str, stream: str) -> Iterator[tuple[int, int | None]]:
    """Yield the byte ranges of a file that were written while a step was running, one per attempt."""
    start: int | None = None
    for event in EventReader(paths.events).read():
        if event["event"] == "step" and event["step"] == step:
            if event["state"] == "running":
                start = event.get(stream, 0)
            elif start is not None:
                yield start, event.get(stream)
                start = None
    if start is not None:
        yield start, None


def _slice(path: Path, stream: str, start: int, stop: int | None) -> Iterator[LogLine]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        while stop is None or file.tell() < stop:
            line = file.readline()
            if not line:
                return
            yield LogLine(stream=stream, text=line.rstrip(b"\r\n").decode("utf-8", "replace"))
