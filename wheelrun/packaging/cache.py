"""Wheels that were built before, by key, in the user's cache folder; shared by any number of processes."""

from __future__ import annotations

import errno
import shutil
import time
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from wheelrun.errors import BuildError
from wheelrun.packaging.archive import check_name
from wheelrun.packaging.shelf import KINDS, CacheEntry, Shelf, sha256_of
from wheelrun.packaging.wheel import Wheel, read_wheel

__all__ = ["CacheEntry", "WheelCache"]

_GIB = 1024**3
# How often a process tries to keep a wheel while others remove it under its hands.
_TRIES = 5


class WheelCache:
    """The cache below `root`, which is made when something is first put into it.

    Args:
        root: The folder.
        max_bytes: What it may hold; what was not used for longest leaves first. 0 is no limit.
        clock: Tells the time in seconds since the epoch.
    """

    def __init__(self, root: Path, max_bytes: int = 2 * _GIB, *, clock: Callable[[], float] = time.time) -> None:
        self.root = root
        self.max_bytes = max_bytes
        self._clock = clock
        self._shelf = Shelf(root, clock)

    def get(self, key: str) -> Wheel | None:
        """Return the wheel of `key`, None if there is none. A damaged entry is removed."""
        folder = self._shelf.folder("wheels", key)
        try:
            meta = self._shelf.meta(folder)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            meta = {}
        try:
            wheel = _load(folder, meta)
        except (OSError, ValueError, KeyError, TypeError, BuildError):
            # In a cache that cannot be written it stays, and is passed over each time.
            with suppress(OSError):
                self._shelf.remove(folder)
            return None
        self._shelf.touch(folder)
        return wheel

    def get_meta(self, key: str) -> Mapping[str, Any]:
        """Return what was stored beside the wheel of `key`; empty if there is none."""
        try:
            return self._shelf.meta(self._shelf.folder("wheels", key))
        except (OSError, ValueError):
            return {}

    def put(self, key: str, wheel_path: Path, meta: Mapping[str, Any]) -> Wheel:
        """Keep a copy of the wheel at `wheel_path` under `key`.

        Args:
            key: 64 hex digits, which must change with everything that decides the wheel's bytes.
            wheel_path: The wheel; it stays where it is.
            meta: JSON-able facts to keep beside it; "digest", the snapshot's, is asked for.

        Returns:
            The wheel in the cache, which may be another process's that was quicker.

        Raises:
            PackagingError: The cache cannot be written.
        """
        facts = {"digest": meta["digest"], **meta, "wheel": wheel_path.name}
        target = self._shelf.folder("wheels", key)
        with self._shelf.writing():
            for _ in range(_TRIES):
                with self._shelf.new() as folder:
                    copy = folder / wheel_path.name
                    shutil.copyfile(wheel_path, copy)
                    facts |= {
                        "sha256": sha256_of(copy),
                        "size": copy.stat().st_size,
                        "created_at": self._clock(),
                    }
                    self._shelf.publish(folder, target, facts)
                # None: what stood there was damaged, or another process pruned it at this moment.
                if (wheel := self.get(key)) is not None:
                    self._evict(keep=target)
                    return wheel
            raise OSError(errno.EAGAIN, "what is written is gone at once: another process removes it")

    def unpacked(self, wheel: Wheel) -> Path:
        """Return the folder that holds the wheel's content, unpacked once and shared by all who run it.

        Raises:
            PackagingError: A name in the wheel leads out of the folder, or the cache cannot be written.
            BuildError: The wheel is not readable.
        """
        try:
            target = self._shelf.folder("unpacked", sha256_of(wheel.path))
            with zipfile.ZipFile(wheel.path) as archive:
                infos = [info for info in archive.infolist() if not info.is_dir()]
                for info in infos:
                    check_name(info.filename)
                for _ in range(_TRIES):
                    if _is_whole(target / "tree", infos):
                        self._shelf.touch(target)
                        return target / "tree"
                    with self._shelf.writing():
                        self._shelf.remove(target)
                        with self._shelf.new() as folder:
                            _unpack(archive, infos, folder / "tree")
                            size = sum(info.file_size for info in infos)
                            self._shelf.publish(folder, target, {"wheel": wheel.path.name, "size": size})
                        self._evict(keep=target)
        except (zipfile.BadZipFile, OSError) as error:
            raise BuildError(f"{wheel.path} is not a readable wheel: {error}") from error
        raise BuildError(f"{wheel.path.name} cannot be kept unpacked: another process removes it at once")

    def entries(self) -> list[CacheEntry]:
        """Return what the cache holds, the longest unused first."""
        return self._shelf.entries()

    def prune(
        self, *, max_bytes: int | None = None, older_than: float | None = None, everything: bool = False
    ) -> list[CacheEntry]:
        """Remove entries, the longest unused first, and return those that were removed.

        Args:
            max_bytes: Remove until the rest is no larger.
            older_than: Remove what was not used for so many seconds.
            everything: Remove all.

        Raises:
            PackagingError: An entry cannot be removed.
        """
        entries = self.entries()
        total = sum(entry.size for entry in entries)
        now = self._clock()
        removed = []
        with self._shelf.writing():
            for entry in entries:
                too_old = older_than is not None and now - entry.used_at > older_than
                too_much = max_bytes is not None and total > max_bytes
                if everything or too_old or too_much:
                    self._shelf.remove(entry.path)
                    removed.append(entry)
                    total -= entry.size
            self._shelf.sweep()
        return removed

    def _evict(self, *, keep: Path) -> None:
        """Bring the cache below its limit, as far as nothing that may be in use has to go."""
        # A cache that cannot be tidied now still holds what was put into it.
        with suppress(OSError):
            self._shelf.sweep()
            if not self.max_bytes:
                return
            entries = self.entries()
            total = sum(entry.size for entry in entries)
            now = self._clock()
            for entry in entries:
                if total <= self.max_bytes:
                    return
                if entry.path != keep and now - entry.used_at > KINDS[entry.kind]:
                    self._shelf.remove(entry.path)
                    total -= entry.size


def _load(folder: Path, meta: Mapping[str, Any]) -> Wheel:
    path = folder / str(meta["wheel"])
    if path.parent != folder or path.stat().st_size != meta["size"] or sha256_of(path) != meta["sha256"]:
        raise ValueError(f"{path} is not what was stored")
    return read_wheel(path, meta["digest"])


def _unpack(archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo], folder: Path) -> None:
    made = set()
    for info in infos:
        target = folder / info.filename
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        with archive.open(info) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1024 * 1024)
        if (info.external_attr >> 16) & 0o111:
            target.chmod(0o755)


def _is_whole(folder: Path, infos: list[zipfile.ZipInfo]) -> bool:
    """Say whether every file is still there, by size: cleaners of caches remove old files one by one."""
    try:
        return all((folder / info.filename).stat().st_size == info.file_size for info in infos)
    except OSError:
        return False
