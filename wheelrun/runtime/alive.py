"""Whether anyone still works on a run: a lock on a file of the run, held by open descriptors.

The lock goes from the client to the supervisor with the inherited descriptor, so there is no moment without a holder,
and the kernel lets it go when the last holder ends, however it ends. No pid can be reused under it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path


class RunLock:
    """An exclusive lock on a run.

    Args:
        path: The lock file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = -1

    def acquire(self, *, within: float = 0.0) -> bool:
        """Take the lock; return False if another process holds it.

        Args:
            within: Seconds that it is tried for.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        limit = time.monotonic() + within
        while not _taken(descriptor):
            if time.monotonic() >= limit:
                os.close(descriptor)
                return False
            time.sleep(0.01)
        self.descriptor = descriptor
        return True

    def release(self) -> None:
        """Close this process's descriptor; the lock goes when no other process has one."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def exclusively(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock while the block runs; a process that holds it is waited for.

    Args:
        path: The lock file.
        on_wait: Called before waiting.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _taken(descriptor):
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
