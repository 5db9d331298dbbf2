"""A process's output in files of its own, and still where it would have gone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

_CHUNK = 1 << 16


@contextlib.contextmanager
def written_to(stdout: Path, stderr: Path) -> Iterator[Callable[[], None]]:
    """Write what this process and its children print to files while the block runs.

    Yields:
        What passes on what came since the last call to where it would have gone; it is called at the end, too.
    """
    streams = [_Stream("stdout", 1, stdout), _Stream("stderr", 2, stderr)]

    def pass_on() -> None:
        for stream in streams:
            stream.pass_on()

    try:
        yield pass_on
    finally:
        for stream in streams:
            stream.close()


class _Stream:
    """One stream: its descriptor becomes the file, and so does the object in `sys` where it is not the descriptor's.

    A notebook's kernel puts an object in its place that sends what is written to it elsewhere.
    """

    def __init__(self, name: str, number: int, path: Path) -> None:
        self._name = name
        self._number = number
        self._before: Any = getattr(sys, name)
        with contextlib.suppress(Exception):
            self._before.flush()
        self._saved = os.dup(number)
        self._reader = path.open("rb")
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(target, number)
        os.close(target)
        self._own: TextIO | None = None
        if _descriptor(self._before) == number:
            self._before.reconfigure(line_buffering=True, errors="backslashreplace")
        else:
            self._own = open(  # noqa: SIM115 - a descriptor; closed with this
                number, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
            )
            setattr(sys, name, self._own)

    def pass_on(self) -> None:
        while data := self._reader.read(_CHUNK):
            if self._own is None:
                _write(self._saved, data)
            else:
                with contextlib.suppress(Exception):  # a kernel's object may be gone; the file has it all
                    self._before.write(data.decode("utf-8", "replace"))

    def close(self) -> None:
        with contextlib.suppress(Exception):  # the user's code may have closed it
            getattr(sys, self._name).flush()
        self.pass_on()
        os.dup2(self._saved, self._number)
        os.close(self._saved)
        self._reader.close()
        if self._own is not None:
            setattr(sys, self._name, self._before)


def _descriptor(stream: Any) -> int | None:
    try:
        return int(stream.fileno()) if hasattr(stream, "reconfigure") else None
    except (OSError, ValueError, AttributeError):
        return None


def _write(descriptor: int, data: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more
        while data:
            data = data[os.write(descriptor, data) :]
