"""Processes that stand on this machine by themselves: what starts them may end, and a lock tells that they live."""

from __future__ import annotations

import os
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from wheelrun.runtime.alive import RunLock

LOCK_TIMEOUT = 5.0
"""Seconds for which a lock is tried: whoever looks whether a process is alive holds it for a moment."""


def stand(
    command: Sequence[str], *, alive: Path, log: Path, directory: Path, environ: Mapping[str, str]
) -> subprocess.Popen[bytes] | None:
    """Start a process in a session of its own, which holds a lock as long as it lives; None if one holds it already.

    Args:
        command: The command.
        alive: The lock file.
        log: The file that takes what it writes.
        directory: Its working directory.
        environ: Its environment.

    Raises:
        OSError: it cannot be started.
    """
    lock = RunLock(alive)
    if not lock.acquire(within=LOCK_TIMEOUT):
        return None
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(
                list(command),
                cwd=directory,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(lock.descriptor,),
            )
        finally:
            os.close(output)
    finally:
        lock.release()


def last_lines(log: Path, count: int = 15) -> str:
    """Return the last lines of a log; nothing if it cannot be read."""
    try:
        with log.open(encoding="utf-8", errors="replace") as stream:
            return "".join(deque(stream, maxlen=count)).rstrip("\n")
    except OSError:
        return ""
