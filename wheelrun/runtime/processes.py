"""The processes of a session: found and ended as a whole, whatever process groups or sessions they made."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of what this process's children leave behind, so that a daemon is found too.

    Only Linux can; elsewhere a process that leaves the session is on its own.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def of_session(session: int, *, without: Collection[int] = ()) -> list[int]:
    """Return the living processes of a session, and those below its leader that left it.

    Args:
        session: The session's id, which is its leader's pid.
        without: Pids to leave out.
    """
    proc = Path("/proc")
    living = _from_proc(proc) if (proc / "self" / "stat").exists() else _from_ps()
    parents = {pid: parent for pid, parent, _ in living}
    return [
        pid for pid, _, sid in living if pid not in without and (sid == session or _is_below(pid, session, parents))
    ]


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


def _is_below(pid: int, leader: int, parents: Mapping[int, int]) -> bool:
    seen = set()
    while pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
        if pid == leader:
            return True
    return False


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _from_proc(proc: Path) -> list[tuple[int, int, int]]:
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
                found.append((int(name), int(fields[1]), int(fields[3])))
    return found


def _from_ps() -> list[tuple[int, int, int]]:
    listing = subprocess.run(
        ["/bin/ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True, check=False, timeout=10
    ).stdout
    found = []
    for line in listing.splitlines():
        pid, parent, state = line.split(maxsplit=2)
        if not state.startswith("Z"):
            with contextlib.suppress(OSError):
                found.append((int(pid), int(parent), os.getsid(int(pid))))
    return found
