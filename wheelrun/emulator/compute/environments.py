"""The Python environment of a cluster: made in a moment, and libraries really installed into it."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wheelrun.emulator.compute import paths
from wheelrun.emulator.compute.preinstalled import Preinstalled
from wheelrun.emulator.compute.processes import run
from wheelrun.emulator.launch.supervisor import Order
from wheelrun.emulator.state import State
from wheelrun.errors import ClusterError, LibraryError
from wheelrun.packaging.backend import run_process
from wheelrun.packaging.resolver import find_uv, masked, uv_environment

Library = Mapping[str, Any]
Stop = Callable[[], bool]

_TIMEOUT = 60.0  # seconds in which an empty environment has to be there
_UNSUPPORTED = ("jar", "egg", "maven", "cran")


def identity(library: Library) -> str:
    """Return what tells a library from others: what it is called, not what it holds."""
    return json.dumps(library, sort_keys=True)


def described(library: Library) -> str:
    """Return a library as the service names it in messages: `whl: "/Workspace/a.whl"`."""
    ((kind, value),) = library.items()
    if isinstance(value, str):
        return f'{kind}: "{value}"'
    fields = "".join(f'  {name}: "{text}"\n' for name, text in value.items())
    return masked(f"{kind} {{\n{fields}}}", {})


@dataclass(slots=True, kw_only=True)
class Environment:
    """A cluster's Python environment.

    Attributes:
        state: What the emulator remembers.
        cluster_id: The cluster.
        folder: Where it is made.
        preinstalled: What it has from the beginning.
        installed: The identity of each library that it has, and what went wrong with it, empty if nothing.
    """

    state: State
    cluster_id: str
    folder: Path
    preinstalled: Preinstalled
    installed: dict[str, str] = field(default_factory=dict)
    _lines: list[str] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    def make(self) -> None:
        """Make it.

        Raises:
            ClusterError: it cannot be made.
        """
        words = ["venv", "-q", "--no-project", "--python", sys.executable, str(self.folder)]
        environ = uv_environment(os.environ)
        done = run_process([find_uv(environ), *words], cwd=self.folder.parent, env=environ, timeout=_TIMEOUT)
        if done.returncode != 0:
            raise ClusterError(f"no Python environment can be made: {done.output.strip()}")
        (packages,) = self.folder.glob("lib/python*/site-packages")
        self.preinstalled.add_to(packages)

    def install(self, libraries: Sequence[Library], stop: Stop) -> None:
        """Install libraries, one after the other; one that was there by this name is not looked at again.

        Args:
            libraries: The libraries.
            stop: Whether to give up.

        Raises:
            LibraryError: one cannot be installed; the message is the service's, with uv's words.
        """
        with self._lock:
            for library in libraries:
                key = identity(library)
                if self.installed.get(key) == "":
                    continue
                self.installed[key] = self._install(library, stop)
                if self.installed[key]:
                    raise LibraryError(
                        f"Library installation failed for library due to user error for {described(library)}\n"
                        f" Error messages:\n{self.installed[key]}"
                    )

    def _install(self, library: Library, stop: Stop) -> str:
        """Install one library; return what went wrong, empty if nothing."""
        ((kind, value),) = library.items()
        if kind in _UNSUPPORTED:
            return f"The emulator installs Python libraries only, and {kind!r} is none of them."
        environ: dict[str, str] = {}
        if kind == "pypi":
            words = [value["package"]]
            if value.get("repo"):
                environ["UV_DEFAULT_INDEX"] = value["repo"]
        else:
            file = paths.located(self.state, value)
            if file is None:
                return f"{value} is not a path in /Workspace, /Volumes or DBFS."
            if not file.is_file():
                return f"Library file does not exist: {value}"
            words = [str(file)] if kind == "whl" else ["-r", str(self._local(file))]
        return self._pip(words, environ, stop)

    def install_lines(self, lines: Sequence[str], stop: Stop) -> None:
        """Install what a serverless environment depends on, all at once and once only.

        Args:
            lines: Lines as a requirements file has them; paths may be in the workspace or a volume.
            stop: Whether to give up.

        Raises:
            LibraryError: it cannot be installed; the message has uv's words.
        """
        with self._lock:
            if not lines or self._lines == list(lines):
                return
            file = self.folder / "dependencies.txt"
            file.write_text("".join(f"{paths.rewritten(self.state, line)}\n" for line in lines), encoding="utf-8")
            if problem := self._pip(["-r", str(file)], {}, stop):
                raise LibraryError(f"Failed to install the environment's dependencies. Error messages:\n{problem}")
            self._lines = list(lines)

    def _local(self, file: Path) -> Path:
        """Return a requirements file in which paths that tasks know are those of this machine."""
        text = file.read_text(encoding="utf-8", errors="replace")
        changed = "".join(paths.rewritten(self.state, line) for line in text.splitlines(keepends=True))
        if changed == text:
            return file
        copy = self.folder / f"requirements-{len(self.installed)}.txt"
        copy.write_text(changed, encoding="utf-8")
        return copy

    def _pip(self, words: Sequence[str], more: Mapping[str, str], stop: Stop) -> str:
        """Let uv install something; return what it says if it cannot."""
        environ = {**uv_environment(os.environ), **more}
        with tempfile.TemporaryDirectory(dir=self.folder) as logs:
            order = Order(
                command=[find_uv(os.environ), "pip", "install", "--python", str(self.python), *words],
                environ=environ,
                cwd=str(self.folder.parent),
                logs=logs,
            )
            ended = run(order, stop)
            output = Path(logs, "output").read_text(encoding="utf-8", errors="replace")
        if ended.code == 0:
            return ""
        text = paths.shown(self.state, masked(output, environ))
        words = re.sub(r"(?m)^Using Python .*\n", "", text).strip() or "The installation was stopped."
        return (
            f"Library installation attempted on the driver node of cluster {self.cluster_id} and failed. "
            f"Error code: DRIVER_LIBRARY_INSTALLATION_FAILURE. Error message: {words}"
        )
