"""The workspace: files, directories and notebooks.

Files and directories are what lies below `state.workspace`, whoever wrote it. A notebook is a file there too, and a
document of the kind "notebook" says that it is one, and in which language.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import USER, State
from wheelrun.emulator.storage import Entry, Refusal, Storage, open_private

MAX_IMPORT = 10 * 2**20
"""The most bytes of a file that comes, or goes, in one JSON document."""
MAX_FILE = 500 * 2**20
"""The most bytes of a file."""
FILE, DIRECTORY, NOTEBOOK = "FILE", "DIRECTORY", "NOTEBOOK"

_HEADERS = {
    "PYTHON": b"# Databricks notebook source",
    "R": b"# Databricks notebook source",
    "SCALA": b"// Databricks notebook source",
    "SQL": b"-- Databricks notebook source",
}
_LANGUAGES = {".py": "PYTHON", ".r": "R", ".R": "R", ".scala": "SCALA", ".sql": "SQL"}
_PROTECTED = ("/", "/Users", "/Shared", f"/Users/{USER}")

_REFUSALS = {
    "missing": Refusal("RESOURCE_DOES_NOT_EXIST", "Path ({path}) doesn't exist."),
    "exists": Refusal("RESOURCE_ALREADY_EXISTS", "Path ({path}) already exists."),
    "directory": Refusal("INVALID_PARAMETER_VALUE", "Path ({path}) is a directory."),
    "file": Refusal("INVALID_PARAMETER_VALUE", "Path ({path}) is not a directory."),
    "full": Refusal("DIRECTORY_NOT_EMPTY", "Folder ({path}) is not empty."),
}


def normal(path: str) -> str:
    """Return a path without what may stand before and after it: "/Workspace/Users/me/" is "/Users/me"."""
    path = path.rstrip("/")
    if path == "/Workspace" or path.startswith("/Workspace/"):
        path = path[len("/Workspace") :]
    return path or "/"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The workspace.

    Attributes:
        state: What the emulator remembers.
        storage: Its files.
    """

    state: State
    storage: Storage

    @classmethod
    def of(cls, state: State) -> Workspace:
        """Return the workspace of a state, with the folders that are always there."""
        storage = Storage(root=state.workspace, partial=state.partial, refusals=_REFUSALS)
        for path in _PROTECTED[1:]:
            storage.make_directory(path)
        return cls(state, storage)

    def object(self, path: str) -> dict[str, Any]:
        """Return what the service says of the object at a path.

        Raises:
            ApiError: there is none.
        """
        return self._described(self.storage.look(normal(path)))

    def children(self, path: str) -> list[dict[str, Any]]:
        """Return the objects in a directory; of another object itself."""
        entry = self.storage.look(normal(path))
        found = self.storage.children(entry.path) if entry.is_directory else [entry]
        return [self._described(item) for item in found]

    def language(self, path: str) -> str | None:
        """Return the language of a notebook; None if the path is none."""
        document = self.state.get("notebook", normal(path))
        return None if document is None else document["language"]

    def placed(self, path: str, kind: str, head: bytes) -> tuple[str, str | None]:
        """Return where an object goes, and its language if it is a notebook.

        Args:
            path: The path that was asked for.
            kind: The format: "RAW", "AUTO" or "SOURCE".
            head: How its content begins.
        """
        path = normal(path)
        stem, dot, extension = path.rpartition(".")
        language = _LANGUAGES.get(dot + extension) if "/" not in extension else None
        if kind == "AUTO" and dot + extension == ".ipynb":
            raise ApiError("INVALID_PARAMETER_VALUE", f"{path}: the emulator does not know notebooks of Jupyter")
        if kind == "AUTO" and language is not None and head.startswith(_HEADERS[language]):
            return stem, language
        return path, None

    def check(self, path: str, kind: str, *, overwrite: bool) -> None:
        """Refuse to put an object where it cannot be.

        Raises:
            ApiError: one is there and is not to be replaced, or is of another type; its folder is not there.
        """
        there = self.storage.find(path)
        actual = None if there is None else self._described(there)["object_type"]
        if overwrite and actual not in {None, kind}:
            raise ApiError(
                "INVALID_PARAMETER_VALUE",
                f"Cannot overwrite the asset at {path} due to type mismatch (asked: {kind}, actual: {actual})",
            )
        self.storage.check(path, overwrite=overwrite)

    def keep(self, path: str, content: bytes, *, language: str | None, overwrite: bool) -> None:
        """Write a file, or a notebook of a language.

        Raises:
            ApiError: as `check` does.
        """
        path = normal(path)
        if language is not None and not content.startswith(_HEADERS[language]):
            content = _HEADERS[language] + b"\n" + content
        with self.storage.arriving() as file:
            with open_private(file) as stream:
                stream.write(content)
            self.adopt(file, path, language=language, overwrite=overwrite)

    def adopt(self, file: Path, path: str, *, language: str | None, overwrite: bool) -> None:
        """Make a file that has arrived an object; see `keep`."""
        self.check(path, FILE if language is None else NOTEBOOK, overwrite=overwrite)
        self.storage.adopt(file, path, overwrite=overwrite)
        if language is None:
            self.state.delete("notebook", path)
        else:
            self.state.put("notebook", path, {"path": path, "language": language})

    def remove(self, path: str, *, recursive: bool) -> None:
        """Remove an object.

        Raises:
            ApiError: there is none, it is always there, or it is a directory that is not empty.
        """
        path = normal(path)
        if path in _PROTECTED:
            raise ApiError("DIRECTORY_PROTECTED", f"Folder {path} is protected.")
        self.storage.remove(path, recursive=recursive)
        for document in self.state.all("notebook"):
            if f"{document['path']}/".startswith(f"{path}/"):
                self.state.delete("notebook", document["path"])

    def _described(self, entry: Entry) -> dict[str, Any]:
        identity = object_id(entry.path)
        common = {"path": entry.path, "object_id": identity, "resource_id": str(identity)}
        if entry.is_directory:
            return {"object_type": DIRECTORY, **common}
        times = {"created_at": entry.created, "modified_at": entry.modified}
        language = self.language(entry.path)
        if language is not None:
            return {"object_type": NOTEBOOK, "language": language, **common, **times}
        return {"object_type": FILE, "size": entry.size, **common, **times}


def object_id(path: str) -> int:
    """Return the id of the object at a path."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=6).digest(), "big")
