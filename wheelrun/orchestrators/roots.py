"""`Root`: reading and writing below an artifact root, be it a folder of this machine or a URL that fsspec knows.

Names are relative posix text below the root, as `wheelrun.runtime.layout` gives them: "runs/ID/events.jsonl".
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelrun.errors import ClusterError, ConfigurationError, SubmissionError, UploadError
from wheelrun.orchestrators.leases import keep
from wheelrun.runtime.layout import ArtifactRoot

NAMES = ArtifactRoot(Path())
"""The layout's names below any root: `NAMES.run(run_id).events.as_posix()`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file below a root.

    Attributes:
        name: Its name below the root.
        bytes: Its size.
        modified: When it was written, in seconds since the epoch by the storage's clock; None where it does not tell.
    """

    name: str
    bytes: int
    modified: float | None


class Root(ABC):
    """An artifact root.

    What goes wrong when something is written is an `UploadError`, when something is read a `ClusterError`; both say
    what, where and what to do.

    Attributes:
        url: The root as it was given, without credentials.
    """

    url: str

    @classmethod
    def open(cls, url: str, *, options: Mapping[str, Any] | None = None) -> Root:
        """Return the root at `url`; nothing is read or written yet.

        Args:
            url: A folder, or a URL: file://, s3://, gs://, abfs://, hdfs://, memory:// and whatever else fsspec knows;
                databricks:// is a folder of a Databricks workspace.
            options: For fsspec's implementation of that URL. Credentials come from where the cloud's own tools take
                them: environment, profiles, the machine's role.

        Raises:
            ConfigurationError: There is no such kind of URL, a package for it is missing, or an option is unknown.
        """
        if not url:
            raise ConfigurationError(
                "there is no artifact root", hint='set artifact_root to a folder or a URL: "s3://bucket/folder"'
            )
        if url.startswith(("databricks://", "databricks+http://")):
            from wheelrun.orchestrators.databricks.root import WorkspaceRoot

            return WorkspaceRoot(url)
        if "://" in url and not url.startswith("file://"):
            from wheelrun.orchestrators.remote_root import open_remote

            return open_remote(url, options or {})
        if options:
            raise ConfigurationError(f"artifact_root {url!r} is a folder: {', '.join(options)} cannot be honoured")
        from wheelrun.orchestrators.folder_root import FolderRoot

        return FolderRoot(url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine."""
        return False

    @property
    def local(self) -> Path:
        """The folder.

        Raises:
            ConfigurationError: It is not a folder of this machine.
        """
        raise ConfigurationError(
            f"artifact_root {self.url!r} is not a folder of this machine", hint="give a path or a file:// URL"
        )

    def exists(self, name: str) -> bool:
        """Whether a file is there. A folder is there by the files in it only."""
        return self.stat(name) is not None

    def size(self, name: str) -> int | None:
        """Return a file's size in bytes, None if it is not there."""
        found = self.stat(name)
        return None if found is None else found.bytes

    @abstractmethod
    def stat(self, name: str) -> StoredFile | None:
        """Return what is known of a file, None if it is not there."""

    def put(self, source: Path, name: str) -> int:
        """Put a file there whole or not at all, and return the bytes that were sent.

        A file of the same size that is there already stays, and nothing is sent: names are content-addressed. What was
        put is not collected within the next half an hour: what refers to it has to be written by then, or before.
        """
        size = source.stat().st_size
        try:
            if self.keep(name, size=size):
                return 0
        except ClusterError as error:
            raise UploadError(error.message, hint=error.hint) from error
        self._send(source, name)
        return size

    @abstractmethod
    def write(self, name: str, content: bytes) -> None:
        """Write a small file, in place of the one before, so that it is there whole or not at all."""

    @abstractmethod
    def create(self, name: str, content: bytes) -> bool:
        """Write a small file that must not be there; return False, and leave it, if it is."""

    @abstractmethod
    def read(self, name: str, *, start: int = 0, limit: int | None = None) -> bytes:
        """Return the bytes from `start` on, at most `limit`; none where the file is not so long (yet).

        Raises:
            FileNotFoundError: There is no such file.
        """

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted, without hidden ones (marks, temporary files); none if it is missing."""
        return sorted(name for name in self.children(folder) if not name.startswith("."))

    @abstractmethod
    def children(self, folder: str) -> Mapping[str, StoredFile | None]:
        """Return what is directly in a folder by its name there, None for a folder; nothing if it is missing."""

    @abstractmethod
    def files(self, folder: str) -> list[StoredFile]:
        """Return every file below a folder, sorted by name; none if it is missing. Links are passed over."""

    def fetch(self, folder: str, into: Path) -> Path:
        """Copy what is below a folder to `into`, and return that.

        Raises:
            FileNotFoundError: There is nothing.
            ClusterError: A name there would lead out of `into`; then nothing was written.
        """
        files = self.files(folder)
        if not files:
            raise FileNotFoundError(f"{self.place(folder)} is not there")
        start = len(folder) + 1 if folder else 0
        pairs = [(file, into / self._inside(file.name[start:], folder)) for file in files]
        into.mkdir(parents=True, exist_ok=True)
        whole = into.resolve()
        for _, target in pairs:
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_symlink() or not target.parent.resolve().is_relative_to(whole):
                raise ClusterError(f"{target} goes through a link out of {into}", hint="fetch into an empty folder")
        self._download(pairs)
        return into

    @abstractmethod
    def delete(self, name: str, *, before: float | None = None) -> int | None:
        """Remove a folder or a file, if it is there, and return the bytes of what was removed; None if it was left.

        Args:
            name: The folder or file.
            before: Remove it only if all of it was written before that moment (`clock`); else leave all of it.
        """

    def keep(self, name: str, *, size: int | None = None) -> bool:
        """Whether a file is there (with that size); if so, it is not collected soon, as if it had been put."""
        return keep(self, name, size=size)

    @abstractmethod
    def remove(self, names: Collection[str]) -> None:
        """Remove files; those that are not there are passed over."""

    def clock(self) -> float:
        """Return the time by the clock that stamps what is written here, in seconds since the epoch."""
        name = f".clock-{os.urandom(6).hex()}"
        self.write(name, b"")
        try:
            found = self.stat(name)
        finally:
            self.remove([name])
        return time.time() if found is None or found.modified is None else found.modified

    def check(self) -> str | None:
        """Return what keeps wheelrun from writing and reading here; None if nothing does."""
        problem = self.problem()
        return None if problem is None else problem.message

    def problem(self) -> SubmissionError | None:
        """Write, read and remove a file; return the error, with its hint, that came of it, None if all is well."""
        name, content = f".probe-{os.urandom(6).hex()}", b"wheelrun"
        try:
            self.write(name, content)
            came_back = self.read(name)
            self.remove([name])
        except SubmissionError as error:
            return error
        except FileNotFoundError:
            came_back = b""
        if came_back != content:
            return UploadError(f"{self.url} does not give back what was written to it", hint="set artifact_root")
        return None

    def place(self, name: str) -> str:
        """Return where a name is, for messages."""
        return f"{self.url.rstrip('/')}/{name}" if name else self.url

    @abstractmethod
    def _send(self, source: Path, name: str) -> None:
        """Put a file there, in place of one that may be there, whole or not at all."""

    @abstractmethod
    def _download(self, pairs: list[tuple[StoredFile, Path]]) -> None:
        """Copy files here, each to its path, whose folder is there."""

    def _inside(self, relative: str, folder: str) -> Path:
        parts = relative.split("/")
        if "\0" in relative or any(part in ("", ".", "..") for part in parts):
            raise ClusterError(
                f"{self.place(folder)} holds {relative!r}, which would be written elsewhere",
                hint="somebody tampered with the artifact root: look who may write there",
            )
        return Path(*parts)


def checked(name: str, *, whole: bool = True) -> str:
    """Return a name, if it is one below a root.

    Args:
        name: The name.
        whole: Whether it may be empty, which is the root itself.

    Raises:
        ValueError: It is absolute, leads out, or is not in its plain form.
    """
    if not name and whole:
        return name
    if "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError(f"{name!r} is not a name below an artifact root")
    return name


def is_older(file: StoredFile, moment: float) -> bool:
    """Whether a file was written before a moment; where nobody knows, it was not."""
    return file.modified is not None and file.modified < moment
