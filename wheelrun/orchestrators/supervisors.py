"""The supervisors of this machine's runs: started, waited for, and taken note of when they end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from wheelrun.errors import ClusterError, UploadError
from wheelrun.runtime.alive import RunLock, is_held
from wheelrun.runtime.bootstrap import python_command
from wheelrun.runtime.launch import Launch, pid_path
from wheelrun.runtime.layout import RunPaths

_SUPERVISORS: list[subprocess.Popen[bytes]] = []
"""Those that this process started and that had not ended when last looked at."""


def supervisor_of(paths: RunPaths) -> int | None:
    """Return the pid of a run's supervisor, None if it has not said it; it means something while the lock is held."""
    try:
        return int(pid_path(paths.path).read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return None


def spawn(
    python: str, module: str, launch: Launch, output: tuple[Path, Path], lock: RunLock, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a supervisor in a session of its own.

    Args:
        python: The Python that runs it.
        module: The supervisor's module.
        launch: What it is given, on its standard input.
        output: The files that take what its processes write: stdout and stderr.
        lock: The run's lock, which it inherits.
        environ: Its environment.

    Raises:
        ClusterError: that Python cannot be started.
        UploadError: the files cannot be written.
    """
    with contextlib.ExitStack() as files:
        with writing(output[0].parent):
            output[0].parent.mkdir(parents=True, exist_ok=True)
            stdout, stderr = (files.enter_context(_appending(path)) for path in output)
        try:
            process = subprocess.Popen(
                python_command(module, str(lock.descriptor), python=python),
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                env=dict(environ),
                start_new_session=True,
                pass_fds=(lock.descriptor,),
            )
        except OSError as error:
            raise ClusterError(
                f"{python} cannot be started: {error.strerror}", hint="set the target's python"
            ) from error
    assert process.stdin is not None
    with process.stdin as stream:
        stream.write(launch.to_json().encode())
    _SUPERVISORS.append(process)
    return process


def let_go(lock: Path, *, within: float) -> bool:
    """Wait until a run's lock is let go: a run's end is told just before its last process ends."""
    limit = time.monotonic() + within
    while is_held(lock):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def reap() -> None:
    """Take note of the ends of supervisors that this process started, so that none stays as a zombie."""
    _SUPERVISORS[:] = [process for process in _SUPERVISORS if process.poll() is None]


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an OSError of the block, which writes below the artifact root, into the error that tells what to do."""
    try:
        yield
    except OSError as error:
        raise UploadError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}",
            hint="free some space, or set artifact_root",
        ) from error


@contextlib.contextmanager
def _appending(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
