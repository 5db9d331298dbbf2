"""Where a driver on a cluster finds its run and leaves what comes of it: a folder, or a Hadoop file system."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from wheelrun.errors import UploadError
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.sync import HadoopFolder, Sync, forked, run_beside
from wheelrun.runtime.ticket import Ticket


class Shelf(Protocol):
    """An artifact root as a driver has it.

    Attributes:
        root: Its paths on this machine.
        frames: Its URL for Spark frames; empty where `root` serves.
        processes: Processes that keep it.
    """

    root: ArtifactRoot
    frames: str
    processes: frozenset[int]

    def take(self, driver: Mapping[str, Any]) -> bool:
        """Take the run for a driver; return False if a later start has it, or another driver of this start.

        A driver that the cluster starts again (`supervise`) has its old id and keeps its claim.
        """

    def close(self) -> None:
        """Leave everything where the client looks for it."""


class FolderShelf:
    """A folder that workers and client share."""

    frames = ""
    processes: frozenset[int] = frozenset()

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self.root = ArtifactRoot(Path(ticket.root))

    def take(self, driver: Mapping[str, Any]) -> bool:
        """Make the claim's file, which only one can; see `Shelf.take`."""
        path = self.root.run(self._ticket.run_id).claim(self._ticket.start)
        path.parent.mkdir(parents=True, exist_ok=True)
        if _is_late(self._ticket.start, os.listdir(path.parent)):  # noqa: PTH208 - names are all that is wanted
            return False
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text(encoding="utf-8") == _name_of(driver)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(_name_of(driver))
        return True

    def close(self) -> None:
        """Do nothing: it is there."""


class HadoopShelf:
    """A Hadoop file system, and a folder of this machine that stands for it and is kept in step with it."""

    def __init__(self, ticket: Ticket) -> None:
        self._ticket = ticket
        self._folder = Path(tempfile.mkdtemp(prefix="wheelrun-root-"))
        self.processes: frozenset[int] = frozenset()
        self._stop = -1
        self.root = ArtifactRoot(self._folder)
        self.frames = ticket.root

    def take(self, driver: Mapping[str, Any]) -> bool:
        """Make the claim's file, copy the run here, and begin to keep it in step; see `Shelf.take`.

        Raises:
            UploadError: the file system cannot be read or written.
        """
        status = self._waited(forked(lambda: self._begin(driver)))
        if status == _TAKEN:
            return False
        if status != 0:
            raise UploadError(
                f"{self._ticket.root} cannot be used", hint="the reason is in the driver's log: wheelrun logs"
            )
        reader, self._stop = os.pipe()
        self.processes = frozenset({forked(lambda: self._keep_in_step(reader))})
        os.close(reader)
        return True

    def close(self) -> None:
        """Copy what is left, and remove the folder."""
        if self._stop >= 0:
            os.close(self._stop)
            for pid in self.processes:
                self._waited(pid)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self, driver: Mapping[str, Any]) -> int:
        sync = self._sync()
        claim = sync.paths.claim(self._ticket.start).relative_to(self._folder).as_posix()
        if _is_late(self._ticket.start, sync.folder.names(Path(claim).parent.as_posix())):
            return _TAKEN
        if not sync.folder.create(claim, _name_of(driver)) and not self._is_mine(sync, claim, driver):
            return _TAKEN
        sync.fetch()
        return 0

    def _is_mine(self, sync: Sync, claim: str, driver: Mapping[str, Any]) -> bool:
        copy = self._folder / "claim"
        return sync.folder.pull(claim, copy) and copy.read_text(encoding="utf-8") == _name_of(driver)

    def _keep_in_step(self, reader: int) -> int:
        os.close(self._stop)
        return run_beside(self._sync(), reader)

    def _sync(self) -> Sync:
        return Sync(HadoopFolder(self._ticket.root), self.root, self._ticket.run_id, self._ticket.start)

    @staticmethod
    def _waited(pid: int) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


_TAKEN = 3


def _is_late(start: int, claims: Iterable[str]) -> bool:
    return any(int(name) > start for name in claims if name.isdigit())


def _name_of(driver: Mapping[str, Any]) -> str:
    return str(driver.get("id") or f"{driver['host']}:{driver['pid']}")
