"""A run's two log streams, as lines: all of them or one step's part, now or as they grow.

Where the bytes come from (files, a worker's web page, an object store) is a `Source`; which bytes belong to a step is
in the events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from wheelrun.orchestrators.contract import LogLine
from wheelrun.runtime.events import Event

CHUNK = 1 << 16
"""The most bytes that are asked for at once."""

Source = Callable[[int], bytes]
"""Returns bytes of a stream from an offset on, at most about `CHUNK`; nothing where it is not so long (yet)."""


def file_source(path: Path) -> Source:
    """Return a source that reads a file of this machine, which may not be there yet."""

    def read(offset: int) -> bytes:
        try:
            with path.open("rb") as stream:
                stream.seek(offset)
                return stream.read(CHUNK)
        except FileNotFoundError:
            return b""

    return read


class Tail:
    """Reads a growing stream by whole lines.

    Args:
        source: Where its bytes come from.
        stream: The stream's name, for the lines.
        offset: Where to begin.
        stop: Where to end, if not at what is there.
    """

    def __init__(self, source: Source, stream: str, *, offset: int = 0, stop: int | None = None) -> None:
        self._source = source
        self._stream = stream
        self._offset = offset
        self._stop = stop
        self._rest = bytearray()

    def read(self) -> Iterator[LogLine]:
        """Yield the whole lines that came since the last call."""
        while data := self._next():
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

    def _next(self) -> bytes:
        if self._stop is None:
            return self._source(self._offset)
        return self._source(self._offset)[: self._stop - self._offset] if self._offset < self._stop else b""

    def _line(self, data: bytes) -> LogLine:
        return LogLine(stream=self._stream, text=data.rstrip(b"\r").decode("utf-8", "replace"))


def read_logs(
    sources: Mapping[str, Source],
    events: Callable[[], Iterable[Event]],
    *,
    step: str | None,
    stream: str | None,
    follow: bool,
    has_ended: Callable[[], bool],
    beside: Sequence[tuple[str, Source]] = (),
    pause: float = 0.1,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[LogLine]:
    """Yield a run's log lines; the contract is that of `BaseOrchestrator.logs`.

    Args:
        sources: The streams by their names.
        events: Returns all events of the run so far.
        step: Only this step's part.
        stream: Only this stream.
        follow: Wait for more until `has_ended`.
        has_ended: Whether the run has ended.
        beside: What belongs to no step: the stream that it counts as, and where it comes from.
        pause: Seconds between two looks.
        sleep: Waits between two looks.
    """
    chosen = {name: source for name, source in sources.items() if stream in (None, name)}
    if step is not None:
        while follow and not (has_ended() or step_has_ended(events(), step)):
            sleep(pause)
        for name, source in chosen.items():
            for start, stop in parts(events(), step, name):
                tail = Tail(source, name, offset=start, stop=stop)
                yield from tail.read()
                yield from tail.rest()
        return
    tails = [Tail(source, name) for name, source in (*beside, *sources.items()) if stream in (None, name)]
    while True:
        ended = not follow or has_ended()
        for tail in tails:
            yield from tail.read()
        if ended:
            break
        sleep(pause)
    for tail in tails:
        yield from tail.rest()


def step_has_ended(events: Iterable[Event], step: str) -> bool:
    """Whether the last attempt of a step has ended."""
    state = ""
    for event in events:
        if event["event"] == "step" and event["step"] == step and "retry_in" not in event:
            state = event["state"]
    return state not in ("", "running", "queued")


def parts(events: Iterable[Event], step: str, stream: str) -> Iterator[tuple[int, int | None]]:
    """Yield the byte ranges of a stream that were written while a step was running, one per attempt."""
    start: int | None = None
    for event in events:
        if event["event"] == "step" and event["step"] == step:
            if event["state"] == "running":
                start = event.get(stream, 0)
            elif start is not None:
                yield start, event.get(stream)
                start = None
    if start is not None:
        yield start, None
