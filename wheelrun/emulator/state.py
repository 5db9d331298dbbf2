"""Everything that the emulator remembers: a sqlite file and folders beside it, so that it survives a restart."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wheelrun.errors import ClusterError

USER = "emulator@wheelrun.local"
"""Who the holder of the token is."""

WORKSPACE_ID = "1"
"""The id of the workspace."""

_LAST = 2**63 - 1
_PAGE = "SELECT document FROM objects WHERE kind = ? AND number > ? AND number < ? ORDER BY number LIMIT ?"
_PAGE_BACKWARDS = _PAGE.replace("BY number", "BY number DESC")


@dataclass(slots=True)
class State:
    """What the emulator remembers.

    Objects are JSON documents in one table, found by kind and id: `put("job", "1", {...})`. Ids are given out by kind.
    All methods can be called from any thread.

    Attributes:
        folder: The folder, made with mode 0700.
        host: The address under which the emulator is reached, such as "http://127.0.0.1:8090".
        token: What a client has to show.
    """

    folder: Path
    host: str
    token: str = field(repr=False)
    _connection: sqlite3.Connection = field(init=False, repr=False)
    _lock: threading.RLock = field(init=False, repr=False, default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / "state.db"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise ClusterError(
                f"{path} cannot be read: {error}", hint="wheelrun emulator up --fresh begins anew"
            ) from error

    def _open(self) -> None:
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS objects "
            "(kind TEXT, id TEXT, number INTEGER, document TEXT NOT NULL, PRIMARY KEY (kind, id))"
        )
        self._connection.execute("CREATE INDEX IF NOT EXISTS by_number ON objects (kind, number)")
        self._connection.execute("CREATE TABLE IF NOT EXISTS counters (kind TEXT PRIMARY KEY, last INTEGER NOT NULL)")

    @property
    def workspace(self) -> Path:
        """The folder that is `/Workspace` for tasks."""
        return self._made("files/Workspace")

    @property
    def volumes(self) -> Path:
        """The folder that is `/Volumes` for tasks."""
        return self._made("files/Volumes")

    @property
    def dbfs(self) -> Path:
        """The folder that is `/dbfs` for tasks."""
        return self._made("files/dbfs")

    @property
    def partial(self) -> Path:
        """The folder of what has not wholly arrived; on the file system of the three above."""
        return self._made("files/partial")

    @property
    def clusters(self) -> Path:
        """The folder of the clusters' environments."""
        return self._made("clusters")

    @property
    def runs(self) -> Path:
        """The folder of the runs' logs."""
        return self._made("runs")

    @property
    def drivers(self) -> Path:
        """The folder of what the clusters' Spark has logged."""
        return self._made("drivers")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one change, for other threads and after a crash."""
        with self._lock:
            nested = self._connection.in_transaction
            if not nested:
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if not nested:
                    self._connection.execute("ROLLBACK")
                raise
            if not nested:
                self._connection.execute("COMMIT")

    def next_id(self, kind: str) -> int:
        """Return an id of a kind that was never given out before, from 1."""
        with self._lock:
            row = self._connection.execute(
                "INSERT INTO counters VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET last = last + 1 RETURNING last",
                (kind,),
            ).fetchone()
        return int(row[0])

    def put(self, kind: str, identity: str | int, document: dict[str, Any]) -> None:
        """Keep a document, in place of the one before."""
        number = identity if isinstance(identity, int) else None
        with self._lock:
            self._connection.execute(
                "INSERT INTO objects VALUES (?, ?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET document = excluded.document",
                (kind, str(identity), number, json.dumps(document)),
            )

    def get(self, kind: str, identity: str | int) -> dict[str, Any] | None:
        """Return a document, None if there is none."""
        with self._lock:
            row = self._connection.execute(
                "SELECT document FROM objects WHERE kind = ? AND id = ?", (kind, str(identity))
            ).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return all documents of a kind: those with a number by that, the others by their id."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT document FROM objects WHERE kind = ? ORDER BY number, id", (kind,)
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def page(
        self, kind: str, *, limit: int, above: int | None = None, below: int | None = None, newest_first: bool = False
    ) -> list[dict[str, Any]]:
        """Return at most `limit` documents of a kind by their number, of those between `above` and `below`."""
        with self._lock:
            rows = self._connection.execute(
                _PAGE_BACKWARDS if newest_first else _PAGE,
                (kind, -1 if above is None else above, _LAST if below is None else below, limit),
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def delete(self, kind: str, identity: str | int) -> bool:
        """Forget a document; return whether it was there."""
        with self._lock:
            found = self._connection.execute(
                "DELETE FROM objects WHERE kind = ? AND id = ?", (kind, str(identity))
            ).rowcount
        return found > 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _made(self, name: str) -> Path:
        path = self.folder
        for part in name.split("/"):
            path = path / part
            path.mkdir(exist_ok=True, mode=0o700)
        return path
