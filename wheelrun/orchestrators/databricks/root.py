"""`WorkspaceRoot`: an artifact root in a Databricks workspace, through the official client."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wheelrun.errors import ClusterError, SubmissionError, UploadError
from wheelrun.orchestrators.databricks.api import RefusedError, connect_to
from wheelrun.orchestrators.databricks.files import KINDS, Files
from wheelrun.orchestrators.databricks.places import Place
from wheelrun.orchestrators.roots import Root, StoredFile, checked, is_older

# The service refuses more than ten requests for files at once.
_AT_ONCE = 5


class WorkspaceRoot(Root):
    """An artifact root in a workspace.

    `put` costs one call where the file is and was written or used a moment ago; a file that is written where its folder
    may be missing costs one call more, except in a Volume, which makes folders itself.

    Args:
        url: Its URL; see `wheelrun.orchestrators.databricks.places`.

    Raises:
        ConfigurationError: The URL names no folder of a workspace.
    """

    def __init__(self, url: str) -> None:
        self._where = Place.parse(url)
        self.url = url
        self._made: set[str] = set()

    @functools.cached_property
    def _files(self) -> Files:
        return KINDS[self._where.kind](connect_to(self._where.host, self._where.profile))

    def stat(self, name: str) -> StoredFile | None:
        """Return what is known of a file, None if it is not there. One call."""
        with self._reading(name):
            try:
                found = self._files.stat(self._path(name))
            except RefusedError as error:
                if not error.is_missing:
                    raise
                return None
        return None if found is None else dataclasses.replace(found, name=name)

    def write(self, name: str, content: bytes) -> None:
        """Write a small file; see `Root.write`."""
        with self._writing(name):
            self._put(name, content, overwrite=True)

    def create(self, name: str, content: bytes) -> bool:
        """Write a small file that must not be there; see `Root.create`."""
        with self._writing(name):
            try:
                self._put(name, content, overwrite=False)
            except RefusedError as error:
                if not error.is_taken:
                    raise
                return False
        return True

    def read(self, name: str, *, start: int = 0, limit: int | None = None) -> bytes:
        """Return the bytes from `start` on, at most `limit`; see `Root.read`. One call."""
        if limit == 0:
            return b""
        with self._reading(name):
            try:
                return self._files.read(self._path(name), start, None if limit is None else start + limit)
            except RefusedError as error:
                if error.is_missing:
                    raise FileNotFoundError(f"{self.place(name)} is not there") from error
                if start and start >= (self.size(name) or 0):
                    return b""
                raise

    def children(self, folder: str) -> Mapping[str, StoredFile | None]:
        """Return what is directly in a folder; see `Root.children`. One call for each page."""
        before = f"{folder}/" if folder else ""
        with self._reading(folder):
            try:
                found = self._files.list(self._path(folder))
            except RefusedError as error:
                if not error.is_missing:
                    raise
                return {}
        return {
            name: None if file is None else dataclasses.replace(file, name=f"{before}{name}")
            for name, file in found.items()
        }

    def files(self, folder: str) -> list[StoredFile]:
        """Return every file below a folder; see `Root.files`. One call for each folder."""
        found, folders = self._walk(folder)
        del folders
        return sorted(found, key=lambda file: file.name)

    def delete(self, name: str, *, before: float | None = None) -> int | None:
        """Remove a folder or a file; see `Root.delete`. One call for each file and folder, and one to list each."""
        single = self.stat(checked(name, whole=False))
        files, folders = ([single], []) if single is not None else self._walk(name)
        if before is not None and not all(is_older(file, before) for file in files):
            return None
        self.remove([file.name for file in files])
        for folder in reversed(folders):
            with self._writing(folder, "removed"), self._missing_is_fine():
                self._files.remove(self._path(folder), folder=True)
        return sum(file.bytes for file in files)

    def remove(self, names: Collection[str]) -> None:
        """Remove files; see `Root.remove`. One call for each."""

        def one(name: str) -> None:
            with self._writing(name, "removed"), self._missing_is_fine():
                self._files.remove(self._path(name))

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="remove") as pool:
            list(pool.map(one, names))

    def _walk(self, folder: str) -> tuple[list[StoredFile], list[str]]:
        """Return the files below a folder, and the folders, each before those in it."""
        files: list[StoredFile] = []
        folders = [folder]
        for here in folders:
            for name, file in self.children(here).items():
                if file is None:
                    folders.append(f"{here}/{name}".lstrip("/"))
                else:
                    files.append(file)
        return files, [each for each in folders if each]

    def _send(self, source: Path, name: str) -> None:
        with self._writing(name):
            self._put(name, source.read_bytes(), overwrite=True)

    def _download(self, pairs: list[tuple[StoredFile, Path]]) -> None:
        def get(pair: tuple[StoredFile, Path]) -> None:
            file, target = pair
            target.write_bytes(self.read(file.name))

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch") as pool:
            list(pool.map(get, pairs))

    def _put(self, name: str, content: bytes, *, overwrite: bool) -> None:
        path = self._path(name, whole=False)
        folder = path.rpartition("/")[0]
        if not self._files.makes_folders and folder not in self._made:
            self._files.mkdirs(folder)
            self._made.add(folder)
        self._files.put(path, content, overwrite=overwrite)

    def _path(self, name: str, *, whole: bool = True) -> str:
        return f"{self._where.path}/{checked(name, whole=whole)}".rstrip("/")

    def _reading(self, name: str) -> contextlib.AbstractContextManager[None]:
        return self._doing(ClusterError, name, "read")

    def _writing(self, name: str, done: str = "written") -> contextlib.AbstractContextManager[None]:
        return self._doing(UploadError, name, done)

    @contextlib.contextmanager
    def _missing_is_fine(self) -> Iterator[None]:
        try:
            yield
        except RefusedError as error:
            if not error.is_missing:
                raise

    @contextlib.contextmanager
    def _doing(self, kind: type[SubmissionError], name: str, done: str) -> Iterator[None]:
        """Turn what the workspace refuses into `kind`."""
        try:
            yield
        except RefusedError as error:
            hint = error.hint or "is artifact_root what it should be?"
            if error.is_taken:
                hint = "something else is in its place (a notebook?): set artifact_root to another folder"
            raise kind(f"{self._path(name)} cannot be {done}: {error.message}", hint=hint) from error
