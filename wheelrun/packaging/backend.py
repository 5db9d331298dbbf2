"""Runs a project's own build backend: through `build`, in its own process group, within a time limit.

The backend runs in child processes only: this process changes neither its folder nor its environment, and a
build that hangs is ended with everything that it started.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from wheelrun.errors import BuildError, PackagingError

# 1980-01-01, the earliest time that a zip file can hold.
_EPOCH = "315532800"
#: What `build` takes a folder for a project by.
_BUILDABLE = ("pyproject.toml", "setup.py")
_SCM_DISTRIBUTION = re.compile(rb"setuptools[-_.]scm|use_scm_version")
# How much of a build's output an error shows; a build may print without end.
_TAIL = 64 * 1024
#: Where the tools that read a version from tags look first, since no repository is there when they run.
_SCM_VARIABLES = (
    "SETUPTOOLS_SCM_PRETEND_VERSION",  # setuptools-scm, hatch-vcs
    "PDM_BUILD_SCM_VERSION",
    "PBR_VERSION",
    "UV_DYNAMIC_VERSIONING_BYPASS",
    "POETRY_DYNAMIC_VERSIONING_BYPASS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """A process that ended.

    Attributes:
        returncode: Its exit code; negative for a signal.
        output: The end of what it wrote to stdout and stderr.
        timed_out: Whether it was ended because its time was up.
    """

    returncode: int
    output: str
    timed_out: bool = False


class Runner(Protocol):
    """Runs a program to its end, or to the end of its time."""

    def __call__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> Completed:
        """Run `argv` in the folder `cwd` with the environment `env` for at most `timeout` seconds."""


def build_with_backend(
    source: Path,
    out: Path,
    *,
    timeout: float,
    isolated: bool,
    scm_version: str | None = None,
    environ: Mapping[str, str] = os.environ,
    runner: Runner | None = None,
) -> Path:
    """Build the wheel of the project at `source` with its own backend.

    Args:
        source: The private copy of the project; the backend may write into it.
        out: An empty folder for the wheel; made if it is not there.
        timeout: Seconds for the whole build, the making of an isolated environment included; 0 is no limit.
        isolated: Whether the backend gets its own environment, made from an index; otherwise it must be
            installed beside wheelrun, and nothing is fetched.
        scm_version: The version for backends that would read it from the repository's tags.
        environ: The environment to start from.
        runner: Runs the build.

    Returns:
        The wheel as the backend made it.

    Raises:
        BuildError: The build failed, took too long, or left no wheel; `detail` is the end of its output.
    """
    argv = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out)]
    if not isolated:
        argv.append("--no-isolation")
    elif _has_uv():
        argv += ["--installer", "uv"]
    out.mkdir(parents=True, exist_ok=True)
    _complete(source)
    # The folder that the child works in: a build.py of the user's must not shadow `build`. What the child
    # leaves in its temporary folder when it is ended goes with it.
    with tempfile.TemporaryDirectory(prefix="wheelrun-build-", ignore_cleanup_errors=True) as work:
        env = _environment(environ, work, scm_version, source)
        run = runner or run_process
        completed = run([*argv, str(source)], cwd=Path(work), env=env, timeout=timeout)
    _check(completed, source, timeout, isolated=isolated)
    wheels = sorted(out.glob("*.whl"))
    if len(wheels) != 1:
        raise BuildError(
            f"the build backend of {source.name} left {len(wheels)} wheels; one was expected",
            detail=completed.output,
        )
    if not zipfile.is_zipfile(wheels[0]):
        raise BuildError(f"the build backend of {source.name} left no valid wheel", detail=completed.output)
    return wheels[0].resolve()


def tagged_version(
    root: Path, *, runner: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run
) -> str | None:
    """Return the version of the nearest tag at or above the checked-out commit of the repository at `root`.

    It does not count the commits since the tag: the same tree keeps the same version, and the content's
    digest tells trees apart. None if there is no git, no repository, or no tag that holds a version.
    """
    from packaging.version import InvalidVersion, Version

    argv = ["git", "-C", str(root), "describe", "--tags", "--abbrev=0", "--match", "*[0-9]*"]
    try:
        done = runner(argv, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(?:^|[^0-9a-zA-Z])[vV]?(\d[^/]*)$", done.stdout.strip())
    if done.returncode != 0 or match is None:
        return None
    try:
        return str(Version(match[1]))
    except InvalidVersion:
        return None


def in_repository(root: Path) -> bool:
    """Tell whether a git repository holds `root`."""
    return any((folder / ".git").exists() for folder in (root, *root.parents))


def list_for_setuptools_scm(source: Path) -> None:
    """Let setuptools-scm find the package data in a copy, where it cannot ask git for the files.

    In what looks like an unpacked `git archive` it takes every file for one of git's. Those that git ignores are
    not in the copy.

    Raises:
        PackagingError: The copy cannot be written.
    """
    if not any(_SCM_DISTRIBUTION.search(_bytes_of(source / name)) for name in (*_BUILDABLE, "setup.cfg")):
        return
    path = source / ".git_archival.txt"
    try:
        path.write_text(f"node: {'0' * 40}\n", encoding="utf-8")
    except OSError as error:
        raise PackagingError(f"{path} cannot be written: {error.strerror}") from error


def _bytes_of(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def run_process(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> Completed:
    """Run a program in a process group of its own; what is left of the group is killed in any case.

    Raises:
        PackagingError: The program cannot be started.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise PackagingError(f"{argv[0]} cannot be started: {error.strerror or error}") from error
    assert process.stdout is not None
    tail = bytearray()
    # A thread of its own: a grandchild that keeps the pipe open must not outlast the time limit.
    reader = threading.Thread(target=_drain, args=(process.stdout, tail), daemon=True)
    reader.start()
    timed_out = False
    try:
        process.wait(timeout or None)
    except subprocess.TimeoutExpired:
        timed_out = True
    finally:
        _kill_group(process.pid)
        process.wait()
        reader.join(2)
    output = bytes(tail).decode("utf-8", "replace")
    return Completed(returncode=process.returncode, output=output, timed_out=timed_out)


def _drain(stream: IO[bytes], tail: bytearray) -> None:
    with stream:
        while piece := os.read(stream.fileno(), _TAIL):
            tail += piece
            del tail[:-_TAIL]


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # The group is gone; macOS reports a group of nothing but zombies as one that may not be signalled.
        return


def _complete(source: Path) -> None:
    """Give a project that has only a setup.cfg the setup.py that `build` asks for."""
    if (source / "setup.cfg").is_file() and not any((source / name).is_file() for name in _BUILDABLE):
        try:
            (source / "setup.py").write_text("from setuptools import setup\n\nsetup()\n", encoding="utf-8")
        except OSError as error:
            raise PackagingError(f"{source / 'setup.py'} cannot be written: {error.strerror}") from error


def _environment(environ: Mapping[str, str], work: str, version: str | None, source: Path) -> dict[str, str]:
    # Debug information names the folder that was compiled in, which is another one each time. Not through CFLAGS:
    # those replace Python's own.
    mapped = shlex.quote(f"-fdebug-prefix-map={source.resolve()}=.")
    env = {
        **environ,
        "CPPFLAGS": f"{environ.get('CPPFLAGS', '')} {mapped}".strip(),
        "SOURCE_DATE_EPOCH": _EPOCH,
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "NO_COLOR": "1",
        "TMPDIR": work,
    }
    env.pop("FORCE_COLOR", None)
    if version:
        for name in _SCM_VARIABLES:
            env.setdefault(name, version)
    return env


def _has_uv() -> bool:
    from importlib.util import find_spec

    return shutil.which("uv") is not None or find_spec("uv") is not None


def _check(completed: Completed, source: Path, timeout: float, *, isolated: bool) -> None:
    if completed.timed_out:
        raise BuildError(
            f"the build of {source.name} took longer than {timeout:g} seconds and was ended",
            hint="Raise build_timeout in [tool.wheelrun.package], or see in its output what it waits for.",
            detail=completed.output,
        )
    if completed.returncode != 0:
        likely = (
            "its build requirements could not be fetched from an index"
            if isolated
            else "its build requirements are not installed beside wheelrun"
        )
        raise BuildError(
            f"the build backend of {source.name} failed (exit code {completed.returncode})",
            hint=f"Read its output: the project's own build is broken, or {likely}.",
            detail=completed.output,
        )
