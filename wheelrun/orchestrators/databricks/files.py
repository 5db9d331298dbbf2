"""The files of a workspace: one class for each of the three services that keep them, with the same few operations.

Paths are as a task finds them mounted. What is missing, or is there already, is a `RefusedError` that says so.
"""

from __future__ import annotations

import base64
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from wheelrun.errors import UploadError
from wheelrun.orchestrators.databricks.api import Api, RefusedError
from wheelrun.orchestrators.databricks.places import DBFS, VOLUME, WORKSPACE
from wheelrun.orchestrators.roots import StoredFile

WORKSPACE_FILE = 500 * 2**20
"""The most bytes of a file in a workspace folder."""

_BLOCK = 1 << 20


class Files(ABC):
    """One kind of files.

    Args:
        api: The workspace.
    """

    makes_folders = False
    """Whether a file can be put where its folder is missing."""

    def __init__(self, api: Api) -> None:
        self.api = api

    @abstractmethod
    def list(self, path: str) -> Mapping[str, StoredFile | None]:
        """Return what is in a folder by its name there, None for a folder."""

    @abstractmethod
    def stat(self, path: str) -> StoredFile | None:
        """Return what is known of a file, None if it is not there or is a folder."""

    @abstractmethod
    def put(self, path: str, content: bytes, *, overwrite: bool = True) -> None:
        """Write a file, whole or not at all."""

    @abstractmethod
    def read(self, path: str, start: int, end: int | None) -> bytes:
        """Return a file's bytes from `start` up to `end`."""

    @abstractmethod
    def mkdirs(self, path: str) -> None:
        """Make a folder, and those that it lies in, where they are missing."""

    @abstractmethod
    def remove(self, path: str, *, folder: bool = False) -> None:
        """Remove a file, or a folder that is empty."""


class WorkspaceFiles(Files):
    """Files in workspace folders."""

    def list(self, path: str) -> Mapping[str, StoredFile | None]:
        """Return what is in a folder. One call."""
        found = self.api.get("/api/2.0/workspace/list", {"path": path}).get("objects") or ()
        # the service leaves /Workspace out of paths, and names the file itself where it is none
        names = {each["path"].rpartition("/")[2]: each for each in found if not path.endswith(each["path"])}
        return {name: self._file(name, each) for name, each in names.items()}

    def stat(self, path: str) -> StoredFile | None:
        """Return what is known of a file. One call."""
        return self._file(path, self.api.get("/api/2.0/workspace/get-status", {"path": path}))

    def put(self, path: str, content: bytes, *, overwrite: bool = True) -> None:
        """Write a file. One call.

        Raises:
            UploadError: it is larger than a workspace folder takes.
        """
        if len(content) > WORKSPACE_FILE:
            raise UploadError(
                f"{path} would have {len(content):,} bytes, and a workspace folder takes {WORKSPACE_FILE:,}",
                hint='keep artifacts in a Volume: artifact_root = "/Volumes/catalog/schema/volume/folder"',
            )
        place = quote(path.lstrip("/"), safe="")
        query = {"overwrite": str(overwrite).lower()}
        self.api.call("POST", f"/api/2.0/workspace-files/import-file/{place}", query=query, data=content)

    def read(self, path: str, start: int, end: int | None) -> bytes:
        """Return a file's bytes. One call, for the whole file."""
        query = {"path": path, "format": "AUTO", "direct_download": "true"}
        return self.api.read("/api/2.0/workspace/export", query=query)[start:end]

    def mkdirs(self, path: str) -> None:
        """Make a folder. One call."""
        self.api.post("/api/2.0/workspace/mkdirs", {"path": path})

    def remove(self, path: str, *, folder: bool = False) -> None:
        """Remove a file or a folder. One call."""
        del folder
        self.api.post("/api/2.0/workspace/delete", {"path": path})

    @staticmethod
    def _file(name: str, facts: Mapping[str, Any]) -> StoredFile | None:
        if facts.get("object_type") in ("DIRECTORY", "REPO"):
            return None
        modified = facts.get("modified_at") or facts.get("created_at")
        return StoredFile(
            name=name, bytes=int(facts.get("size") or 0), modified=None if modified is None else modified / 1000
        )


class VolumeFiles(Files):
    """Files in Volumes."""

    makes_folders = True

    def list(self, path: str) -> Mapping[str, StoredFile | None]:
        """Return what is in a folder. One call for each page."""
        found = self.api.pages(f"/api/2.0/fs/directories{_quoted(path)}", {}, "contents")
        return {each["name"]: None if each.get("is_directory") else _file(each["name"], each) for each in found}

    def stat(self, path: str) -> StoredFile | None:
        """Return what is known of a file. One call."""
        facts = self.api.head(f"/api/2.0/fs/files{_quoted(path)}")
        when = facts.get("last-modified")
        modified = parsedate_to_datetime(when).timestamp() if when else None
        return StoredFile(name=path, bytes=int(facts.get("content-length") or 0), modified=modified)

    def put(self, path: str, content: bytes, *, overwrite: bool = True) -> None:
        """Write a file, and the folders that it lies in. One call."""
        query = {"overwrite": str(overwrite).lower()}
        self.api.call("PUT", f"/api/2.0/fs/files{_quoted(path)}", query=query, data=content)

    def read(self, path: str, start: int, end: int | None) -> bytes:
        """Return a file's bytes. One call, for the range."""
        return self.api.read(f"/api/2.0/fs/files{_quoted(path)}", start=start, end=end)

    def mkdirs(self, path: str) -> None:
        """Make a folder. One call."""
        self.api.call("PUT", f"/api/2.0/fs/directories{_quoted(path)}")

    def remove(self, path: str, *, folder: bool = False) -> None:
        """Remove a file, or an empty folder. One call."""
        self.api.call("DELETE", f"/api/2.0/fs/{'directories' if folder else 'files'}{_quoted(path)}")


class DbfsFiles(Files):
    """Files on DBFS, by its own path: without /dbfs."""

    makes_folders = True

    def list(self, path: str) -> Mapping[str, StoredFile | None]:
        """Return what is in a folder. One call."""
        place = _dbfs(path)
        found = self.api.get("/api/2.0/dbfs/list", {"path": place}).get("files") or ()
        names = {each["path"].rpartition("/")[2]: each for each in found if each["path"] != place}
        return {name: None if each.get("is_dir") else _file(name, each) for name, each in names.items()}

    def stat(self, path: str) -> StoredFile | None:
        """Return what is known of a file. One call."""
        facts = self.api.get("/api/2.0/dbfs/get-status", {"path": _dbfs(path)})
        return None if facts.get("is_dir") else _file(path, facts)

    def put(self, path: str, content: bytes, *, overwrite: bool = True) -> None:
        """Write a file. One call up to a mebibyte, else one for each."""
        if len(content) <= _BLOCK:
            text = base64.b64encode(content).decode()
            self.api.post("/api/2.0/dbfs/put", {"path": _dbfs(path), "contents": text, "overwrite": overwrite})
            return
        # what is not whole has another name; a move does not replace
        temporary = f"{path}.part"
        handle = self.api.post("/api/2.0/dbfs/create", {"path": _dbfs(temporary), "overwrite": True})["handle"]
        for start in range(0, len(content), _BLOCK):
            text = base64.b64encode(content[start : start + _BLOCK]).decode()
            self.api.post("/api/2.0/dbfs/add-block", {"handle": handle, "data": text}, once=True)
        self.api.post("/api/2.0/dbfs/close", {"handle": handle}, once=True)
        if overwrite:
            with contextlib.suppress(RefusedError):
                self.remove(path)
        self.api.post("/api/2.0/dbfs/move", {"source_path": _dbfs(temporary), "destination_path": _dbfs(path)})

    def read(self, path: str, start: int, end: int | None) -> bytes:
        """Return a file's bytes. One call for each mebibyte."""
        found = bytearray()
        while end is None or start + len(found) < end:
            offset = start + len(found)
            length = _BLOCK if end is None else min(_BLOCK, end - offset)
            query = {"path": _dbfs(path), "offset": offset, "length": length}
            answer = self.api.get("/api/2.0/dbfs/read", query)
            if not answer.get("bytes_read"):
                break
            found += base64.b64decode(answer["data"])
        return bytes(found)

    def mkdirs(self, path: str) -> None:
        """Make a folder. One call."""
        self.api.post("/api/2.0/dbfs/mkdirs", {"path": _dbfs(path)})

    def remove(self, path: str, *, folder: bool = False) -> None:
        """Remove a file or a folder. One call."""
        del folder
        self.api.post("/api/2.0/dbfs/delete", {"path": _dbfs(path), "recursive": False})


KINDS: Mapping[str, type[Files]] = {WORKSPACE: WorkspaceFiles, VOLUME: VolumeFiles, DBFS: DbfsFiles}
"""The kinds of places, and the files in them."""


def _quoted(path: str) -> str:
    return quote(path, safe="/")


def _dbfs(path: str) -> str:
    return path.removeprefix("/dbfs")


def _file(name: str, facts: Mapping[str, Any]) -> StoredFile:
    modified = facts.get("last_modified") or facts.get("modification_time")
    return StoredFile(
        name=name, bytes=int(facts.get("file_size") or 0), modified=None if modified is None else modified / 1000
    )
