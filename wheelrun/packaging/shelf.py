"""Folders that many processes share: each appears whole and leaves whole.

    <root>/<kind>/<key[:2]>/<key>/{meta.json, ...}
    <root>/tmp/...      what is not finished yet, or no longer wanted

A folder is filled in `tmp` and renamed to its place; whoever comes second takes what the first one made. It
leaves the same way. Its time of last use is its mtime. No locks are needed for that; the kernel lets go of the one
that spares costly work twice when its holder ends, so a killed process holds nothing up.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelrun.errors import PackagingError

#: The kinds of folders, and for how many seconds after its last use one stays, however full the shelf is: a
#: wheel or a bundle may be on its way to a cluster, and a local run imports from an unpacked one until it ends.
KINDS: Mapping[str, float] = {"wheels": 3600.0, "unpacked": 24 * 3600.0, "bundles": 24 * 3600.0}
# What a killed process left in `tmp` is certainly left after so many seconds.
_ABANDONED = 24 * 3600.0
_OCCUPIED = {errno.EEXIST, errno.ENOTEMPTY}


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """Something that the cache holds.

    Attributes:
        key: What it is found by.
        kind: One of `KINDS`.
        path: Its folder.
        size: Bytes of its content.
        used_at: Seconds since the epoch of its last use.
        meta: What was stored beside it; empty if it is damaged.
    """

    key: str
    kind: str
    path: Path
    size: int
    used_at: float
    meta: Mapping[str, Any]

    @property
    def file(self) -> str | None:
        """The name of the wheel or the bundle; None if the entry is damaged."""
        file = self.meta.get("wheel") or self.meta.get("bundle")
        return None if file is None else str(file)


class Shelf:
    """The folders below `root`, which is made when something is first put there.

    Args:
        root: The folder of all.
        clock: Tells the time in seconds since the epoch.
    """

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self.root = root
        self._clock = clock

    def folder(self, kind: str, key: str) -> Path:
        """Return the place of `key`, whether something is there or not."""
        return self.root / kind / key[:2] / key

    def meta(self, folder: Path) -> dict[str, Any]:
        """Return what stands in the folder's meta.json.

        Raises:
            FileNotFoundError: The folder is not there.
            ValueError: It is damaged.
        """
        try:
            meta = json.loads((folder / "meta.json").read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            folder.stat()
            raise ValueError(f"{folder} has no meta.json") from None
        if not isinstance(meta, dict) or not isinstance(meta.get("size"), int):
            raise ValueError(f"{folder}/meta.json is not what was stored")  # noqa: TRY004 - damage, no type
        return meta

    @contextmanager
    def new(self) -> Iterator[Path]:
        """Make a folder in `tmp`; what is still there when the `with` block ends is removed."""
        folder = Path(tempfile.mkdtemp(dir=self._place()))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def alone(self, key: str) -> Iterator[None]:
        """Let other processes wait that want to make the same `key`, until the `with` block ends.

        Where the file system has no locks nobody waits: each makes its own, and the first one stays.
        """
        path = self._place() / f"{key}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            # Those who wait have this very file open; whoever comes later finds what was made.
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def _place(self) -> Path:
        if not self.root.is_dir():
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = self.root / "tmp"
        place.mkdir(exist_ok=True)
        return place

    def publish(self, folder: Path, target: Path, meta: Mapping[str, Any]) -> None:
        """Rename a filled folder to its place with `meta`, unless another process's is there already."""
        target.parent.mkdir(parents=True, exist_ok=True)
        (folder / "meta.json").write_text(json.dumps(meta, sort_keys=True), encoding="utf-8")
        self.touch(folder)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise

    def remove(self, folder: Path) -> None:
        """Take a folder out of its place in one step, then remove it."""
        with self.new() as grave, suppress(FileNotFoundError):
            folder.rename(grave / folder.name)

    def touch(self, folder: Path) -> None:
        """Note a use. Who may only read the shelf never removes anything either."""
        now = self._clock()
        with suppress(OSError):
            os.utime(folder, (now, now))

    def entries(self) -> list[CacheEntry]:
        """Return what is there, the longest unused first."""
        found = []
        for kind in KINDS:
            for folder in (self.root / kind).glob("*/*"):
                # Another process may remove it at any moment.
                with suppress(FileNotFoundError):
                    found.append(self._entry(kind, folder))
        return sorted(found, key=lambda entry: (entry.used_at, entry.key))

    def _entry(self, kind: str, folder: Path) -> CacheEntry:
        used_at = folder.stat().st_mtime
        try:
            meta = self.meta(folder)
            size = meta["size"]
        except ValueError:
            meta, size = {}, sum(_sizes(folder))
        return CacheEntry(key=folder.name, kind=kind, path=folder, size=size, used_at=used_at, meta=meta)

    def sweep(self) -> None:
        """Remove what killed processes left unfinished."""
        now = self._clock()
        for left in (self.root / "tmp").glob("*"):
            with suppress(FileNotFoundError):
                if now - left.stat().st_mtime <= _ABANDONED:
                    continue
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an OSError of the block into the error that tells what to do."""
        try:
            yield
        except OSError as error:
            raise PackagingError(
                f"the wheel cache in {self.root} cannot be written: {error.strerror or error}",
                hint="Free some space, make the folder writable, or set WHEELRUN_CACHE_DIR to another one.",
            ) from error


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while data := stream.read(1024 * 1024):
            digest.update(data)
    return digest.hexdigest()


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            yield path.lstat().st_size
