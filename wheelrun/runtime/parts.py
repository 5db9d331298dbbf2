"""Growing files in places that take only whole ones: events and logs as numbered parts, each written once.

Volumes and workspace folders of Databricks are such places: what is mounted there does not append, and a file that was
replaced may still be read as it was. So a process keeps its growing files on its own disk, and what is new of them goes
into the next part. A part's name tells its size: who finds it shorter looks again later.

<run>/tasks/<task>/0001-events-000000-512.part     execution, stream, number, bytes
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

EVENTS, STDOUT, STDERR = "events", "stdout", "stderr"

MOST = 1 << 20
"""The most bytes of a part."""

_NAME = re.compile(r"(\d{4,})-(events|stdout|stderr)-(\d{6,})-(\d+)\.part")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A part of what one execution of a task wrote to one stream.

    Attributes:
        execution: Which execution of the task, from 1.
        stream: "events", "stdout" or "stderr".
        number: Which part of it, from 0.
        bytes: Its size.
    """

    execution: int
    stream: str
    number: int
    bytes: int

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{self.execution:04}-{self.stream}-{self.number:06}-{self.bytes}.part"

    @classmethod
    def parse(cls, name: str) -> Part | None:
        """Return the part that a file's name tells of, None if it is something else."""
        found = _NAME.fullmatch(name)
        return None if found is None else cls(int(found[1]), found[2], int(found[3]), int(found[4]))


def parts(names: Iterable[str], *streams: str) -> list[Part]:
    """Return the parts among the names of a folder, in order; only those of some streams if any are named."""
    found = sorted(part for name in names if (part := Part.parse(name)) is not None)
    return [part for part in found if not streams or part.stream in streams]


def task_key(name: str) -> str:
    """Return a step's name as the key of a task: itself where it is one, else cleaned, with a hash to keep names apart.

    A key has at most 100 letters, digits, dashes and underscores.
    """
    if re.fullmatch(r"[A-Za-z0-9_-]{1,100}", name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9_]+', '-', name).strip('-')[:80]}-{digest}".lstrip("-")


class PartWriter:
    """Copies what is new of a growing file into parts.

    Args:
        source: The growing file.
        folder: The task's folder.
        execution: Which execution of the task writes.
        stream: Which stream it is.
        offset: Where in the file to begin.
    """

    def __init__(self, source: Path, folder: Path, execution: int, stream: str, *, offset: int = 0) -> None:
        self._source = source
        self._folder = folder
        self._execution = execution
        self._stream = stream
        self._offset = offset
        self.written = 0

    def copy(self, *, limit: int | None = None) -> bool:
        """Write the next parts, if there is anything new; return whether there was.

        Args:
            limit: Where in the source to stop, if not at its end.

        Raises:
            OSError: a part cannot be written; the next call tries again.
        """
        new = False
        while data := self._next(limit):
            part = Part(self._execution, self._stream, self.written, len(data))
            (self._folder / part.name).write_bytes(data)
            self.written += 1
            self._offset += len(data)
            new = True
        return new

    def _next(self, limit: int | None) -> bytes:
        most = MOST if limit is None else min(MOST, limit - self._offset)
        try:
            with self._source.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read(max(most, 0))
        except FileNotFoundError:
            return b""
        # a line is not cut where it can be helped: whoever reads an event wants all of it
        return data if len(data) < MOST else data[: data.rfind(b"\n") + 1] or data


class PartReader:
    """Reads the parts of one task's streams, each once and in order.

    Args:
        streams: The streams that are wanted; all if none is named.
    """

    def __init__(self, *streams: str) -> None:
        self._streams = streams
        self._next: dict[tuple[int, str], int] = {}

    @property
    def has_read(self) -> bool:
        """Whether it has read anything."""
        return bool(self._next)

    def due(self, names: Iterable[str]) -> Iterator[Part]:
        """Yield the parts among the names of the task's folder that are to be read next; tell `took` of each."""
        for part in parts(names, *self._streams):
            if part.number == self._next.get((part.execution, part.stream), 0):
                yield part

    def took(self, part: Part) -> None:
        """Note that a part was read whole."""
        self._next[part.execution, part.stream] = part.number + 1
