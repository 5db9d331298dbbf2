"""How submissions and collectors of different machines keep out of each other's way below one root.

A submission that finds its wheel there relies on it before anything refers to it; a collector that finds no reference
removes it. There is no lock that all storages have, so each of them leaves a mark beside the file, then looks for the
other's mark:

- The submission writes USED, which makes the file count as written now, then looks: while a collector's mark is there
  it waits, and then looks whether the file still is.
- The collector writes GOING-…, then looks: if anything beside it was written within `KEPT` seconds it leaves all of it,
  else it removes what it saw, its own mark last.

Whoever writes second sees the other's mark, so either the submission waits and sees what is left, or the collector
leaves the file. The mark of a collector that died is removed after a while, long after one that lives would have given
up. What was put or found is safe for half of `KEPT` at least, within which a reference to it has to be written; by as
much the clocks of this machine and of the storage may differ.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from wheelrun.errors import UploadError

if TYPE_CHECKING:
    from wheelrun.orchestrators.roots import Root, StoredFile

KEPT = 3600.0
"""Seconds since a file was written, or marked as used, after which it may be collected."""

USED = ".used"
"""A mark beside a file: it was found to be there, and counts as written when the mark was."""

GOING = ".going-"
"""How the name of a collector's mark begins."""

# What is younger is as good as new: half of its time is left.
_FRESH = KEPT / 2
# Seconds after which a collector gives up what it marked, and a submission no longer believes in a collector.
_GIVEN_UP = 30.0
_DEAD = 300.0
_POLL = 0.2


def keep(
    root: Root, name: str, *, size: int | None = None, sleep: Callable[[float], None] = time.sleep, dead: float = _DEAD
) -> bool:
    """Whether a file is there (with that size); if so, it is safe for the next half an hour at least.

    Args:
        root: The root.
        name: The file.
        size: Its size in bytes, where known.
        sleep: Waits while a collector is at work.
        dead: Seconds after which the mark of a collector is taken for that of one that died.
    """
    folder, _, last = name.rpartition("/")
    return keep_all(root, folder, {last: size}, sleep=sleep, dead=dead)


def keep_all(
    root: Root,
    folder: str,
    files: Mapping[str, int | None],
    *,
    sleep: Callable[[float], None] = time.sleep,
    dead: float = _DEAD,
) -> bool:
    """Whether files of one folder are all there (each with its size, where that is known); else as `keep`."""
    found = _settled(root, folder, sleep, dead)
    if not _are_there(found, files):
        return False
    now = time.time()
    if any(_is_fresh(found.get(each), now) for each in (*files, USED)):
        return True
    with contextlib.suppress(UploadError):  # who may not write beside another's file relies on the other's references
        root.write(f"{folder}/{USED}".lstrip("/"), b"")
    return _are_there(_settled(root, folder, sleep, dead), files)


def take(root: Root, folder: str, *, before: float) -> int | None:
    """Remove the files of a folder, and return their bytes; None if anything in it was written since, and all stays.

    Args:
        root: The root.
        folder: The folder, in which there are no others.
        before: The moment, by the root's clock.

    Raises:
        UploadError: It cannot be removed.
    """
    from wheelrun.orchestrators.roots import is_older

    mark = f"{folder}/{GOING}{os.urandom(6).hex()}"
    start = time.monotonic()
    root.write(mark, b"")
    try:
        files = [file for file in root.files(folder) if file.name != mark]
        in_use = not all(is_older(file, before) for file in files)
        if in_use or not files or time.monotonic() - start > _GIVEN_UP:
            return None
        root.remove([file.name for file in files])
    finally:
        root.remove([mark])
    return sum(file.bytes for file in files)


def _settled(root: Root, folder: str, sleep: Callable[[float], None], dead: float) -> Mapping[str, StoredFile | None]:
    """Return what is in a folder once no collector is at work on it."""
    limit = time.monotonic() + dead
    while True:
        found = root.children(folder)
        going = [f"{folder}/{name}" for name in found if name.startswith(GOING)]
        if not going:
            return found
        if time.monotonic() > limit:
            root.remove(going)
        else:
            sleep(_POLL)


def _are_there(found: Mapping[str, StoredFile | None], files: Mapping[str, int | None]) -> bool:
    there = {name: found.get(name) for name in files}
    return all(file is not None and files[name] in (None, file.bytes) for name, file in there.items())


def _is_fresh(file: StoredFile | None, now: float) -> bool:
    return file is not None and file.modified is not None and abs(now - file.modified) < _FRESH
