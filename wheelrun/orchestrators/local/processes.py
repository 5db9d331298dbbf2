"""The processes of a session: found and ended as a whole, whatever process groups they made."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection
from pathlib import Path


def of_session(session: int, *, without: Collection[int] = ()) -> list[int]:
    """Return the living processes of a session.

    Args:
        session: The session's id, which is its leader's pid.
        without: Pids to leave out.
    """
    proc = Path("/proc")
    pairs = _from_proc(proc) if (proc / "self" / "stat").exists() else _from_ps()
    return [pid for pid, sid in pairs if sid == session and pid not in without]


def end_session(session: int, *, without: Collection[int] = (), grace: float = 3.0) -> None:
    """End every process of a session: ask first, then kill.

    Args:
        session: The session's id.
        without: Pids to leave alone.
        grace: Seconds between asking and killing.
    """
    _signal_all(of_session(session, without=without), signal.SIGTERM)
    limit = time.monotonic() + grace
    while of_session(session, without=without) and time.monotonic() < limit:
        time.sleep(0.02)
    while left := of_session(session, without=without):
        _signal_all(left, signal.SIGKILL)
        time.sleep(0.02)


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _from_proc(proc: Path) -> list[tuple[int, int]]:
    found = []
    for name in os.listdir(proc):  # noqa: PTH208 - no Path objects for each of many processes
        if name.isdigit():
            try:
                stat = (proc / name / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            # pid (comm) state ppid pgrp session: comm may hold spaces and parentheses
            fields = stat.rpartition(")")[2].split()
            if fields[0] not in ("Z", "X"):
                found.append((int(name), int(fields[3])))
    return found


def _from_ps() -> list[tuple[int, int]]:
    listing = subprocess.run(
        ["/bin/ps", "-axo", "pid=,stat="], capture_output=True, text=True, check=False, timeout=10
    ).stdout
    found = []
    for line in listing.splitlines():
        pid, _, state = line.strip().partition(" ")
        if pid.isdigit() and not state.strip().startswith("Z"):
            with contextlib.suppress(OSError):
                found.append((int(pid), os.getsid(int(pid))))
    return found
