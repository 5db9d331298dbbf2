"""What is known of the Python of targets that run elsewhere: asked once per target, and remembered."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelrun.errors import ConfigurationError
from wheelrun.packaging.project import Project
from wheelrun.runtime.layout import write_atomically


class TargetPythons:
    """The memory: one file per target, in the user's data folder.

    Args:
        folder: Where the files lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> str | None:
        """Return the version of a target's Python, such as "3.11.7", None if it was not asked yet."""
        try:
            return str(self._table(key)["python"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, python: str) -> None:
        """Remember a target's Python; where that cannot be written, it is asked again the next time."""
        table = {"key": key, "python": python, "seen": time.time()}
        with contextlib.suppress(OSError):
            write_atomically(self._path(key), json.dumps(table).encode())

    def _table(self, key: str) -> Mapping[str, Any]:
        table: dict[str, Any] = json.loads(self._path(key).read_text(encoding="utf-8"))
        return table

    def _path(self, key: str) -> Path:
        import hashlib

        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"


def check_python(project: Project, python: str, target: str) -> None:
    """Refuse a project that does not run on a target's Python.

    Raises:
        ConfigurationError: its `requires-python` does not allow it.
    """
    from packaging.specifiers import SpecifierSet

    wanted = project.requires_python
    if wanted and not SpecifierSet(wanted).contains(python, prereleases=True):
        raise ConfigurationError(
            f"target {target!r} runs Python {python}, and {project.name} needs {wanted}",
            hint="set the target's python to another one on the cluster, or widen requires-python",
        )
