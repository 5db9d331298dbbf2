"""The paths that tasks know, `/Workspace`, `/Volumes` and `/dbfs`, and the folders behind them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from wheelrun.emulator.state import State

_WORD = re.compile(r"(?:dbfs:)?/(?:Workspace|Volumes|dbfs)/[^\s'\"]*|dbfs:/[^\s'\"]*")


def folders(state: State) -> dict[str, Path]:
    """Return the folder behind each path."""
    return {"/Workspace": state.workspace, "/Volumes": state.volumes, "/dbfs": state.dbfs}


def located(state: State, path: str) -> Path | None:
    """Return the file behind a path such as "/Workspace/a" or "dbfs:/a", None if it is none of these."""
    plain = path
    if path.startswith("dbfs:/"):
        inner = "/" + path.removeprefix("dbfs:").lstrip("/")
        plain = inner if inner.startswith("/Volumes/") else f"/dbfs{inner}"
    plain = posixpath.normpath(plain)
    for root, folder in folders(state).items():
        if plain == root or plain.startswith(f"{root}/"):
            return folder / plain.removeprefix(root).lstrip("/")
    return None


def rewritten(state: State, value: Any) -> Any:
    """Return a JSON value in whose texts paths that tasks know are the emulator's own.

    It is what is left to do where nothing can be mounted.
    """

    def replaced(found: re.Match[str]) -> str:
        return str(located(state, found[0]) or found[0])

    if isinstance(value, str):
        return _WORD.sub(replaced, value)
    if isinstance(value, list):
        return [rewritten(state, item) for item in value]
    if isinstance(value, dict):
        return {name: rewritten(state, item) for name, item in value.items()}
    return value


def shown(state: State, text: str) -> str:
    """Return a text in which the emulator's folders have the names that tasks know."""
    for root, folder in folders(state).items():
        text = text.replace(str(folder), root)
    return text


def named(state: State, file: Path) -> str:
    """Return the path by which tasks know a file in one of the emulator's folders."""
    return shown(state, str(file))
