"""The emulator that stands on this machine: up, status, down."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict

from wheelrun.config import data_dir
from wheelrun.emulator.folder import Folder, Order, Standing, folder_of
from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.runtime.alive import RunLock, exclusively
from wheelrun.runtime.bootstrap import python_command
from wheelrun.runtime.processes import end_session
from wheelrun.runtime.standing import LOCK_TIMEOUT, last_lines, stand

TIMEOUT = 60.0
"""Seconds until it has to serve."""
GRACE = 20.0
"""Seconds that it has to end what runs on it."""

INSTALL = "pip install 'wheelrun[emulator]'"
"""How what it needs is installed."""

_NEEDED = ("croniter", "databricks.sdk", "jinja2", "python_multipart", "starlette", "uvicorn")
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}  # by pid, to be reaped if they end while this process goes on


def up(environ: Mapping[str, str], order: Order, *, fresh: bool = False) -> Standing:
    """Start it, if it is not up, and return when it serves. It stays when its starter has ended.

    Args:
        environ: Says where wheelrun keeps its data; the server, and the jobs that it runs, inherit it.
        order: How it is to be served.
        fresh: Whether it forgets what it remembers, and its token.

    Raises:
        ConfigurationError: what it needs is not installed, or one is up that is not as ordered.
        ClusterError: it ended before it served; `detail` is the end of its log.
    """
    folder = _folder(environ)
    with exclusively(folder.operation):
        standing = _prepared(folder, order, fresh=fresh)
        return standing or _started(folder, order, environ)


def foreground(
    environ: Mapping[str, str], order: Order, *, fresh: bool = False, on_ready: Callable[[Standing], None]
) -> None:
    """Serve in this process until SIGTERM or Ctrl-C.

    Args:
        environ: Says where wheelrun keeps its data.
        order: How it is to be served.
        fresh: Whether it forgets what it remembers, and its token.
        on_ready: Called when it serves.

    Raises:
        ConfigurationError: what it needs is not installed, or one is up.
        ClusterError: the port is taken.
    """
    folder = _folder(environ)
    with exclusively(folder.operation):
        if _prepared(folder, order, fresh=fresh) is not None:
            raise ConfigurationError("the emulator is up already", hint="`wheelrun emulator down` first")
        lock = RunLock(folder.alive)
        if not lock.acquire(within=LOCK_TIMEOUT):
            raise _there()
    from wheelrun.emulator.serve import serve

    try:
        serve(folder, order, on_ready=on_ready)
    finally:
        lock.release()


def status(environ: Mapping[str, str]) -> Standing | None:
    """Return the emulator that is up; None if none is."""
    folder = folder_of(environ)
    return folder.read() if folder.is_alive else None


def down(environ: Mapping[str, str]) -> bool:
    """End it with all that runs on it, and return whether it was up. What it remembers stays.

    Raises:
        ClusterError: it does not end.
    """
    folder = folder_of(environ)
    if not folder.path.is_dir():
        return False
    with exclusively(folder.operation):
        standing = folder.read()
        if not folder.is_alive:
            return False
        if standing is None:
            raise ClusterError(f"{folder.path} does not say which process the emulator is")
        os.kill(standing.pid, signal.SIGTERM)
        if not _ended(folder, GRACE):
            end_session(standing.pid, grace=0)
            if not _ended(folder, GRACE):
                raise ClusterError(f"the emulator's process {standing.pid} does not end")
        if standing.pid in _CHILDREN:
            _CHILDREN.pop(standing.pid).wait()
        return True


def missing() -> list[str]:
    """Return what it needs and is not installed."""
    return [name for name in _NEEDED if _is_missing(name)]


def _folder(environ: Mapping[str, str]) -> Folder:
    if names := missing():
        raise ConfigurationError(f"the emulator needs what is not installed: {', '.join(names)}", hint=INSTALL)
    data_dir(environ)
    folder = folder_of(environ)
    folder.path.mkdir(mode=0o700, exist_ok=True)
    return folder


def _is_missing(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError:
        return True


def _prepared(folder: Folder, order: Order, *, fresh: bool) -> Standing | None:
    """Return the emulator that is up, if it is as ordered; else None, and all is ready to start one."""
    if not folder.is_alive:
        for pid in [pid for pid, process in _CHILDREN.items() if process.poll() is not None]:
            del _CHILDREN[pid]
        if fresh:
            folder.clear()
        return None
    standing = folder.read()
    if fresh or standing is None or not _is_as_ordered(standing, order):
        told = f": on {standing.address}, port {standing.port}" if standing is not None else ""
        told += f", with {standing.spark_master}" if standing is not None and standing.spark_master else ""
        raise ConfigurationError(
            f"the emulator is up, not as asked for{told}", hint="`wheelrun emulator down` first; jobs on it end"
        )
    return standing


def _is_as_ordered(standing: Standing, order: Order) -> bool:
    there = (standing.address, standing.spark_master)
    return (order.address, order.spark_master) == there and order.port in {None, standing.port}


def _started(folder: Folder, order: Order, environ: Mapping[str, str]) -> Standing:
    process = stand(
        python_command("wheelrun.emulator.serve", str(folder.path), json.dumps(asdict(order))),
        alive=folder.alive,
        log=folder.log,
        directory=folder.path,
        environ=environ,
    )
    if process is None:
        raise _there()
    try:
        return _served(folder, process)
    except BaseException:
        end_session(process.pid, grace=0)
        process.wait()
        raise
    finally:
        _CHILDREN[process.pid] = process


def _served(folder: Folder, process: subprocess.Popen[bytes]) -> Standing:
    """Wait until it serves: it writes its pid when it does."""
    limit = time.monotonic() + TIMEOUT
    while (standing := folder.read()) is None or standing.pid != process.pid:
        ended = process.poll() is not None
        if ended or time.monotonic() > limit:
            raise ClusterError(
                "the emulator ended before it served" if ended else f"the emulator did not serve in {TIMEOUT:g} s",
                hint=f"the whole log is {folder.log}",
                detail=last_lines(folder.log),
            )
        time.sleep(0.02)
    return standing


def _ended(folder: Folder, seconds: float) -> bool:
    """Wait for its end, and return whether it came."""
    limit = time.monotonic() + seconds
    while folder.is_alive:
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def _there() -> ClusterError:
    return ClusterError("the emulator is there already", hint="`wheelrun emulator down` ends it")
