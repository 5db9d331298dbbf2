"""Collecting what no run refers to below an artifact root.

Several machines may share a root, each with a store of its own, and submit at the same time. So that nothing that a run
refers to is ever removed:

- References are read in both places: in this machine's store, and in the runs/ID/deployment.json below the root, of
  whoever's run it is. What looks like a digest there counts, wherever in the document it stands. One that cannot be
  read ends the collection.
- Only what has the form of wheelrun's own names is looked at, and of that only what the storage says was written, or
  found in use by a submission, more than an hour ago by its own clock. A submission's wheels are younger than that from
  when it puts or finds them until its deployment.json is there; `wheelrun.orchestrators.leases` tells how.
- Folders of runs go only when that is asked for, and the run has ended and is unknown to this machine's store.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from wheelrun.errors import ClusterError
from wheelrun.orchestrators.leases import KEPT, take
from wheelrun.orchestrators.roots import NAMES, Root, StoredFile, is_older
from wheelrun.runtime.events import fold, parse

_SHELVES = ("wheels", "bundles")
_SHELVED = re.compile(r"((?:wheels/(?!\.)[^/]+|bundles)/([0-9a-f]{16,128}))/.")
_DIGEST = re.compile(rb"[0-9a-f]{16,128}")
# The last such part of a path: where the root lies on the cluster is not known here.
_OUTPUT = re.compile(r"(?:.*/)?(runs/([^/]+)/outputs/.+)")
_AT_ONCE = 16

Given = TypeVar("Given")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that no run refers to.

    Attributes:
        name: The name of the folder or file below the root.
        bytes: Its size.
    """

    name: str
    bytes: int


def unreferenced(
    root: Root,
    *,
    wheels_in_use: Collection[str],
    runs_in_use: Collection[str],
    runs_older_than: float | None = None,
    now: float | None = None,
) -> list[Item]:
    """Return what may be removed, in the order in which it is to be: who refers to something goes before it.

    Args:
        root: The artifact root.
        wheels_in_use: Digests, of wheels and bundles, that recorded runs refer to.
        runs_in_use: The ids of the recorded runs.
        runs_older_than: Also the folders of ended runs that are not recorded and were not written to for so many
            seconds (at least an hour); None for no runs.
        now: The time by the root's clock; by default by this machine's.

    Raises:
        ClusterError: The root, or a run's deployment, cannot be read.
    """
    moment = time.time() if now is None else now
    before = moment - KEPT
    runs = _forgotten(root, moment, runs_in_use, runs_older_than)
    gone = {run_id for run_id, _ in runs}
    return [
        *_stale_steps(root, before, gone),
        *(item for _, item in runs),
        *_unused(root, before, wheels_in_use, gone),
    ]


def collect(
    root: Root,
    *,
    wheels_in_use: Collection[str],
    runs_in_use: Collection[str],
    runs_older_than: float | None = None,
) -> list[Item]:
    """Remove what `unreferenced` returns, unless it has come into use meanwhile, and return what was removed.

    Raises:
        UploadError: The root cannot be written, or something in it cannot be removed.
        ClusterError: As `unreferenced`.
    """
    now = root.clock()
    before = now - KEPT
    runs = _forgotten(root, now, runs_in_use, runs_older_than)
    removed, gone = [], set()
    for item in _stale_steps(root, before, {run_id for run_id, _ in runs}):
        if root.delete(item.name, before=before) is not None:
            removed.append(item)
    for run_id, item in runs:
        if root.delete(item.name, before=before) is not None:
            removed.append(item)
            gone.add(run_id)
    for item in _unused(root, before, wheels_in_use, gone):
        if take(root, item.name, before=before) is not None:
            removed.append(item)
    return removed


def digests_in(document: bytes) -> set[str]:
    """Return all that looks like a digest in a document."""
    return {found.decode() for found in _DIGEST.findall(document)}


def _unused(root: Root, before: float, in_use: Collection[str], gone: Collection[str]) -> list[Item]:
    """Return the content-addressed folders that no run mentions but those that are gone."""
    found = [(digest, item) for digest, item in _shelved(root, before) if digest not in in_use]
    mentioned: set[str] = set()
    if found:  # read after what may go was looked for: a reference that came meanwhile counts
        left = [run_id for run_id in root.names("runs") if run_id not in gone]
        mentioned.update(*_each(lambda run_id: _mentioned(root, run_id), left))
    return [item for digest, item in found if digest not in mentioned]


def _shelved(root: Root, before: float) -> Iterator[tuple[str, Item]]:
    """Yield the content-addressed folders in which nothing was written after a moment, each with its digest."""
    found = [(match, file) for shelf in _SHELVES for file in root.files(shelf) if (match := _SHELVED.match(file.name))]
    for (name, digest), group in groupby(found, key=lambda pair: pair[0].groups()):
        files = [file for _, file in group]
        if all(is_older(file, before) for file in files):
            yield digest, Item(name=name, bytes=_bytes(files))


def _mentioned(root: Root, run_id: str) -> set[str]:
    """Return the digests that a run's deployment mentions; none where it has not been written yet."""
    try:
        return digests_in(root.read(NAMES.run(run_id).deployment.as_posix()))
    except FileNotFoundError:
        return set()
    except ClusterError as error:
        raise ClusterError(
            f"what run {run_id} refers to cannot be told, so nothing is removed: {error.message}", hint=error.hint
        ) from error


def _forgotten(root: Root, now: float, in_use: Collection[str], older_than: float | None) -> list[tuple[str, Item]]:
    """Return the runs that have ended and were not written to for long, each with its folder."""
    if older_than is None:
        return []
    before = now - max(older_than, KEPT)

    def forgotten(run_id: str) -> Item | None:
        name = NAMES.run(run_id).path.as_posix()
        files = root.files(name)
        if not files or not all(is_older(file, before) for file in files):
            return None
        with contextlib.suppress(FileNotFoundError):  # without events it was never started
            if not fold((), parse(root.read(NAMES.run(run_id).events.as_posix()))).state.is_terminal:
                return None
        return Item(name=name, bytes=_bytes(files))

    unknown = [run_id for run_id in root.names("runs") if run_id not in in_use]
    return [(run_id, item) for run_id, item in zip(unknown, _each(forgotten, unknown), strict=True) if item]


def _stale_steps(root: Root, before: float, gone: Collection[str]) -> list[Item]:
    """Return the entries of the step cache whose outputs are not there, or go with their runs."""
    run_ids = set(root.names("runs")).difference(gone)

    def is_stale(file: StoredFile) -> bool:
        try:
            outputs = json.loads(root.read(file.name))["outputs"].values()
            places = [found for output in outputs if (found := _OUTPUT.fullmatch(output.rstrip("/")))]
            return any(found[2] not in run_ids or not root.exists(f"{found[1]}/meta.json") for found in places)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return False  # of another form: not ours to judge

    files = [file for file in root.files("steps") if file.name.endswith(".json") and is_older(file, before)]
    judged = zip(files, _each(is_stale, files), strict=True)
    return [Item(name=file.name, bytes=file.bytes) for file, stale in judged if stale]


def _each(function: Callable[[Given], Made], items: Iterable[Given]) -> list[Made]:
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="collect") as pool:
        return list(pool.map(function, items))


def _bytes(files: list[StoredFile]) -> int:
    return sum(file.bytes for file in files)
