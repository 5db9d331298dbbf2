"""Starting a part, and finding and ending whatever belongs to the cluster.

A process belongs to the cluster if its environment says so, which drivers and executors inherit from their worker, or
if it is in the session of one whose environment says so. Neither can be true of a stranger, whoever had its pid before.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from wheelrun.cluster.conf import CLUSTER_VARIABLE, PART_VARIABLE
from wheelrun.cluster.folder import Folder
from wheelrun.errors import ClusterError
from wheelrun.runtime.standing import stand

GRACE = 10.0
"""Seconds between asking processes to end and killing them."""

_HELPERS = 0.5  # seconds that a process has which came when the others had been asked to end
_STUBBORN = 10.0  # seconds in which what was killed has to be gone
_CHILDREN: list[subprocess.Popen[bytes]] = []


def start(part: str, folder: Folder, command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Start a part in a session of its own and return its pid. It holds its lock as long as it lives.

    Args:
        part: Its name.
        folder: The cluster's folder.
        command: The command; it becomes the part's process.
        environ: The environment.

    Raises:
        ClusterError: It cannot be started.
    """
    work, log = folder.work(part), folder.log(part)
    try:
        for path in (folder.lock(part).parent, log.parent, work):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        process = stand(command, alive=folder.lock(part), log=log, directory=work, environ=environ)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise ClusterError(f"the {part} cannot be started: {where}{error.strerror or error}") from error
    if process is None:
        raise ClusterError(f"the {part} is already there", hint="`wheelrun cluster down` ends it")
    _CHILDREN.append(process)
    return process.pid


def belonging(folder: Folder, parts: Collection[str] | None = None) -> list[int]:
    """Return the processes that belong to a cluster.

    Args:
        folder: The cluster's folder.
        parts: Only what these parts are, or started; None for all.
    """
    _reap()
    wanted = f"{CLUSTER_VARIABLE}={folder.mark}".encode()
    names = [b""] if parts is None else [f"{PART_VARIABLE}={part}".encode() for part in parts]
    marked, others = set(), []
    for pid, text, between in _from_proc() if Path("/proc/self/environ").exists() else _from_ps():
        if _says(text, wanted, between) and any(not name or _says(text, name, between) for name in names):
            marked.add(pid)
        else:
            others.append(pid)
    sessions = {session for pid in marked if (session := _session(pid)) is not None}
    return sorted(marked | {pid for pid in others if sessions and _session(pid) in sessions})


def end(folder: Folder, parts: Collection[str] | None = None, *, grace: float = GRACE) -> int:
    """End the processes that belong to a cluster: ask first, then kill. Return how many there were.

    Args:
        folder: The cluster's folder.
        parts: Only what these parts are, or started; None for all.
        grace: Seconds between asking and killing.

    Raises:
        ClusterError: One does not end.
    """
    asked: set[int] = set()
    began = time.monotonic()
    came: dict[int, float] = {}
    while (found := belonging(folder, parts)) or _held(folder, parts):
        now = time.monotonic()
        late = now - began > grace
        if now - began > grace + _STUBBORN:
            raise ClusterError(
                f"not all processes of the cluster in {folder.path} end: {', '.join(map(str, found)) or 'one hides'}"
            )
        # one that came later may be removing files for another that ends
        known_since = now if came else began - _HELPERS
        for pid in found:
            came.setdefault(pid, known_since)
            if late or (pid not in asked and now - came[pid] >= _HELPERS):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
                asked.add(pid)
        time.sleep(0.02)
    _reap()
    return len(asked)


def _held(folder: Folder, parts: Collection[str] | None) -> bool:
    """Whether a part is alive: one that was forked and has not yet its own environment is known by its lock only."""
    if parts is None:
        parts = [path.stem for path in folder.lock("any").parent.glob("*.lock")]
    return any(folder.is_alive(part) for part in parts)


def _says(text: bytes, entry: bytes, between: bytes) -> bool:
    return between + entry + between in text


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _reap() -> None:
    """Take note of the ends of processes that this one started, so that none stays as a zombie."""
    _CHILDREN[:] = [process for process in _CHILDREN if process.poll() is None]


def _from_proc() -> Iterator[tuple[int, bytes, bytes]]:
    """Yield pid, environment and what stands between its entries, of this user's processes. A zombie has none."""
    for name in os.listdir("/proc"):  # noqa: PTH208 - no Path objects for each of many processes
        if name.isdigit() and int(name) != os.getpid():
            with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as stream:  # noqa: PTH123 - likewise
                yield int(name), b"\0" + stream.read() + b"\0", b"\0"


def _from_ps() -> Iterator[tuple[int, bytes, bytes]]:
    with_environment = "-axEww" if sys.platform == "darwin" else "axeww"
    listing = subprocess.run(
        ["/bin/ps", with_environment, "-o", "pid=,command="], capture_output=True, check=False, timeout=10
    ).stdout
    for line in listing.splitlines():
        pid, _, text = line.strip().partition(b" ")
        if pid.isdigit() and int(pid) != os.getpid():
            yield int(pid), b" " + text + b" ", b" "
