"""A folder that is one of the service's file systems: the workspace, the volumes, DBFS.

Paths are the service's, below the folder's root: "/Users/me/a.whl". None leads out of it, and no link is followed.
What is written appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from wheelrun.emulator.errors import ApiError

_BLOCK = 1 << 20
_ARRIVING = "arriving-"
_LONGEST_NAME = 255  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What lies at a path.

    Attributes:
        path: The path.
        is_directory: Whether it is a directory.
        size: Its bytes.
        modified: When it was last written, in ms since 1970.
        created: When it was made, in ms since 1970.
    """

    path: str
    is_directory: bool
    size: int
    modified: int
    created: int

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


class Refusal(NamedTuple):
    """An error code, the message with "{path}", and the reason; see `ApiError`."""

    code: str
    message: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A file system of the service.

    Attributes:
        root: The folder.
        partial: Where files lie until they are whole; on the same file system, and not below `root`.
        refusals: What this service says to "missing", "exists", "directory" (a file was meant), "file" (a directory
            was meant) and "full" (a directory that is not empty).
    """

    root: Path
    partial: Path
    refusals: Mapping[str, Refusal]

    def locate(self, path: str) -> Path:
        """Return where a path lies, whether or not anything is there.

        Raises:
            ApiError: it is no path, or goes through a link.
        """
        if not path.startswith("/"):
            raise ApiError("INVALID_PARAMETER_VALUE", f"Path ({path}) should start with '/'")
        parts = [part for part in path.split("/") if part]
        if "\0" in path or any(part in {".", ".."} for part in parts):
            raise ApiError("INVALID_PARAMETER_VALUE", f"Path ({path!r}) contains an invalid component")
        place = self.root
        for part in parts:
            if len(os.fsencode(part)) > _LONGEST_NAME:
                raise ApiError(
                    "INVALID_PARAMETER_VALUE", f"Path ({path}) has a component of over {_LONGEST_NAME} bytes"
                )
            place = place / part
            if place.is_symlink():
                raise ApiError("INVALID_PARAMETER_VALUE", f"Path ({path}) goes through a link")
        return place

    def look(self, path: str) -> Entry:
        """Return what lies at a path.

        Raises:
            ApiError: nothing does.
        """
        with self._told(path):
            return _entry(path, self.locate(path).stat(follow_symlinks=False))

    def find(self, path: str) -> Entry | None:
        """Return what lies at a path; None if nothing does."""
        try:
            return _entry(path, self.locate(path).stat(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def children(self, path: str) -> list[Entry]:
        """Return what is in a directory, by name; links are left out.

        Raises:
            ApiError: there is no such directory.
        """
        with self._told(path), os.scandir(self.locate(path)) as found:
            items = [(item.name, item.stat(follow_symlinks=False)) for item in found if not item.is_symlink()]
        return [
            _entry(f"{path.rstrip('/')}/{name}", status) for name, status in sorted(items, key=lambda item: item[0])
        ]

    def make_directory(self, path: str) -> None:
        """Make a directory and those above it; one that is there stays.

        Raises:
            ApiError: there is a file on the way.
        """
        with self._told(path):
            make_private(self.root, self.locate(path))

    @contextlib.contextmanager
    def writing(self, path: str, *, overwrite: bool, parents: bool = False) -> Iterator[BinaryIO]:
        """Write a file; it is there when the block has ended without an error.

        Args:
            path: The path.
            overwrite: Whether a file that is there is replaced.
            parents: Whether directories that are missing above it are made.

        Raises:
            ApiError: it is there, is a directory, or has nothing to lie in.
        """
        self.check(path, overwrite=overwrite, parents=parents)
        with self.arriving() as file:
            with open_private(file) as stream:
                yield stream
            self.adopt(file, path, overwrite=overwrite, parents=parents)

    @contextlib.contextmanager
    def arriving(self) -> Iterator[Path]:
        """Name a file of `partial` to write to; it is gone when the block ends, unless it was adopted."""
        file = self.partial / f"{_ARRIVING}{secrets.token_hex(16)}"
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)

    def adopt(self, file: Path, path: str, *, overwrite: bool, parents: bool = False) -> None:
        """Move a file of `partial` to a path, in one step; see `writing`."""
        self.check(path, overwrite=overwrite, parents=parents)
        place = self.locate(path)
        with self._told(path):
            if parents:
                make_private(self.root, place.parent)
            if overwrite:
                file.replace(place)
            else:
                place.hardlink_to(file)
                file.unlink()

    def remove(self, path: str, *, recursive: bool = False) -> None:
        """Remove a file or a directory.

        Args:
            path: The path.
            recursive: Whether a directory goes with what is in it.

        Raises:
            ApiError: there is none, or it is not empty.
        """
        place = self.locate(path)
        with self._told(path):
            if not stat.S_ISDIR(place.stat(follow_symlinks=False).st_mode):
                place.unlink()
            elif recursive:
                shutil.rmtree(place)
            else:
                place.rmdir()

    def move(self, source: str, destination: str) -> None:
        """Move a file or a directory to where nothing is.

        Raises:
            ApiError: there is none, or something is there.
        """
        self.look(source)
        if self.find(destination) is not None:
            raise self.refusal("exists", destination)
        if f"{destination}/".startswith(f"{source.rstrip('/')}/"):
            raise ApiError("INVALID_PARAMETER_VALUE", f"{source} cannot be moved into itself")
        with self._told(destination):
            self.locate(source).rename(self.locate(destination))

    def refusal(self, kind: str, path: str) -> ApiError:
        """Return what this service says."""
        refusal = self.refusals[kind]
        return ApiError(refusal.code, refusal.message.format(path=path), reason=refusal.reason)

    def check(self, path: str, *, overwrite: bool, parents: bool = False) -> None:
        """Refuse to write a file where that cannot be; see `writing`."""
        there = self.find(path)
        if there is not None and there.is_directory:
            raise self.refusal("directory", path)
        if there is not None and not overwrite:
            raise self.refusal("exists", path)
        above = path.rstrip("/").rpartition("/")[0] or "/"
        parent = self.find(above)
        if parent is None and not parents:
            raise self.refusal("missing", above)
        if parent is not None and not parent.is_directory:
            raise self.refusal("file", above)

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _KINDS:
                raise
            raise self.refusal(_KINDS[error.errno], path) from None


_KINDS = {
    errno.ENOENT: "missing",
    errno.EEXIST: "exists",
    errno.EISDIR: "directory",
    errno.ENOTDIR: "file",
    errno.ENOTEMPTY: "full",
}


def make_private(root: Path, folder: Path) -> None:
    """Make a folder below another one, and those between, so that only their owner can look into them."""
    for part in folder.relative_to(root).parts:
        root = root / part
        root.mkdir(mode=0o700, exist_ok=True)


def open_private(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a file for writing that only its owner can read; it must be there if it is appended to, else not."""
    how = os.O_APPEND if append else os.O_CREAT | os.O_EXCL
    return os.fdopen(os.open(path, os.O_WRONLY | how | os.O_NOFOLLOW, 0o600), "wb")


def sweep(partial: Path) -> None:
    """Remove what was arriving when the emulator was killed."""
    for file in partial.glob(f"{_ARRIVING}*"):
        file.unlink(missing_ok=True)


def copy_into(stream: BinaryIO, source: Path) -> None:
    """Append a file's bytes to a stream."""
    with source.open("rb") as part:
        shutil.copyfileobj(part, stream, _BLOCK)


def _entry(path: str, status: os.stat_result) -> Entry:
    return Entry(
        path=path,
        is_directory=stat.S_ISDIR(status.st_mode),
        size=status.st_size,
        modified=status.st_mtime_ns // 1_000_000,
        created=status.st_ctime_ns // 1_000_000,
    )
