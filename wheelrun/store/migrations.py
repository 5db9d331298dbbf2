"""The run store's database file: how it is opened, how its schema came to be, and what its failures mean.

A change of the schema is a new `Migration` at the end of `MIGRATIONS`; one that was ever released is never
edited. The `migrations` table in the file is the ledger of those that were applied, so that an older
wheelrun notices that a newer one was here.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wheelrun._version import __version__
from wheelrun.errors import StoreError

APPLICATION_ID = 0x77686C72  # "whlr", in the file's header: tells a run store from any other sqlite file
BUSY_TIMEOUT = 30.0  # seconds that one process waits for another one's write
_WAL_PAUSE = 0.02  # seconds between two attempts to switch a new file to WAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema, applied once and as a whole.

    Attributes:
        version: Its place in the ledger: 1, 2, 3, …
        name: What it does, for a person who reads the ledger.
        statements: SQL statements, run in order in one transaction.
    """

    version: int
    name: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        version=1,
        name="runs, steps and deployments",
        statements=(
            """
            CREATE TABLE runs (
                id TEXT NOT NULL PRIMARY KEY,
                id_reversed TEXT NOT NULL,
                project TEXT NOT NULL,
                name TEXT NOT NULL,
                target TEXT NOT NULL,
                orchestrator TEXT NOT NULL,
                entry TEXT NOT NULL,
                params TEXT NOT NULL,
                argv TEXT NOT NULL,
                wheel TEXT,
                state TEXT NOT NULL,
                error TEXT,
                reason TEXT,
                url TEXT,
                idempotency_key TEXT,
                created_at REAL NOT NULL,
                started_at REAL,
                ended_at REAL,
                artifact_root TEXT NOT NULL,
                stack TEXT NOT NULL,
                metadata TEXT NOT NULL,
                rerun_of TEXT,
                submitter TEXT
            )
            """,
            "CREATE INDEX runs_by_suffix ON runs (id_reversed)",
            "CREATE INDEX runs_by_project ON runs (project, id)",
            "CREATE INDEX runs_by_state ON runs (state, id)",
            "CREATE INDEX runs_by_project_and_state ON runs (project, state, id)",
            """
            CREATE UNIQUE INDEX runs_by_idempotency_key ON runs (idempotency_key)
                WHERE idempotency_key IS NOT NULL AND state NOT IN ('failed', 'cancelled')
            """,
            """
            CREATE TABLE steps (
                run_id TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
                position INTEGER NOT NULL,
                name TEXT NOT NULL,
                state TEXT NOT NULL,
                attempts INTEGER NOT NULL,
                started_at REAL,
                ended_at REAL,
                error TEXT,
                reason TEXT,
                outputs TEXT NOT NULL,
                application_id TEXT,
                PRIMARY KEY (run_id, position)
            ) WITHOUT ROWID
            """,
            """
            CREATE TABLE deployments (
                run_id TEXT NOT NULL PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
                document TEXT NOT NULL
            )
            """,
        ),
    ),
)


def open_database(
    path: Path,
    *,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
    timeout: float = BUSY_TIMEOUT,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> sqlite3.Connection:
    """Open the store at `path`, make it where it does not exist, and bring its schema up to date.

    The connection is in autocommit mode: transactions are begun by name. It may be used by several threads,
    one at a time. The file is readable by its owner only, and so is its folder if it is made here.

    Raises:
        StoreError: It cannot be opened or written, is not a run store, or was written by a newer wheelrun.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"cannot open the run store {path}: {error.strerror or error}", hint=_HINT_PLACE) from error
    try:
        # An absolute name, so that ":memory:" and relative names mean a file here and after a chdir.
        db = sqlite3.connect(path.absolute(), timeout=0, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise store_error(error, path) from error
    try:
        _enter_wal(db, sleep=sleep, attempts=max(1, int(timeout / _WAL_PAUSE)))
        db.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
        db.execute("PRAGMA foreign_keys = ON")
        # Each commit is on the disk when it returns: a run must be known before its first remote call.
        db.execute("PRAGMA synchronous = FULL")
        migrate(db, path, clock=clock, migrations=migrations)
    except sqlite3.Error as error:
        db.close()
        raise store_error(error, path) from error
    except BaseException:
        db.close()
        raise
    return db


def _enter_wal(db: sqlite3.Connection, *, sleep: Callable[[float], None], attempts: int) -> None:
    """Switch the file to write-ahead logging. Sqlite does not always wait for a lock here, so this does."""
    for attempt in range(1, attempts + 1):
        try:
            if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or attempt == attempts:
                raise
        sleep(_WAL_PAUSE)


def migrate(
    db: sqlite3.Connection,
    path: Path,
    *,
    clock: Callable[[], float] = time.time,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> None:
    """Apply the migrations that the file's ledger does not name yet, all or none of them.

    Raises:
        StoreError: The file belongs to something else, or a newer wheelrun wrote it.
    """
    newest = migrations[-1].version
    if _version(db, path, newest) == newest:
        return
    with transaction(db):
        # Read again: another process may have been quicker to the write lock.
        version = _version(db, path, newest)
        if version == 0:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(
                "CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                " applied_at REAL NOT NULL, wheelrun TEXT NOT NULL)"
            )
        for migration in migrations:
            if migration.version <= version:
                continue
            for statement in migration.statements:
                db.execute(statement)
            db.execute(
                "INSERT INTO migrations VALUES (?, ?, ?, ?)",
                (migration.version, migration.name, clock(), __version__),
            )


def _version(db: sqlite3.Connection, path: Path, newest: int) -> int:
    """Return the newest migration in the file's ledger, 0 for an empty file."""
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    if "migrations" not in tables or application_id != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program, not a run store", hint=_HINT_PLACE)
    version, writer = db.execute(
        "SELECT version, wheelrun FROM migrations ORDER BY version DESC LIMIT 1"
    ).fetchone() or (0, "")
    if version > newest:
        raise StoreError(
            f"the run store {path} was written by wheelrun {writer} (schema {version});"
            f" this is wheelrun {__version__} (schema {newest})",
            hint=f"Upgrade to wheelrun {writer} or newer, or let WHEELRUN_HOME name another folder.",
        )
    return int(version)


@contextlib.contextmanager
def transaction(db: sqlite3.Connection, *, kind: str = "IMMEDIATE") -> Iterator[None]:
    """Run the block in one transaction: `IMMEDIATE` to write, `DEFERRED` to read one state of the file."""
    db.execute(f"BEGIN {kind}")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        # Sqlite has already rolled back by itself after some failures, such as a full disk.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


_HINT_PLACE = "Let WHEELRUN_HOME name a folder that you can write to."
_HINT_DAMAGED = (
    "Move the file and its -wal and -shm neighbours away; a new store is made at the next call."
    " `sqlite3 FILE .recover` saves what can still be read."
)
_FAILURES = (
    # what sqlite says, what it means, what to do; Python 3.10 does not tell sqlite's error code
    ("locked", "is locked by another process", "Try again; a process that hangs may hold it (see `lsof`)."),
    ("full", "cannot be written: the disk is full", f"Free some space. {_HINT_PLACE}"),
    ("readonly", "cannot be written: it is read-only", _HINT_PLACE),
    ("unable to open", "cannot be opened", _HINT_PLACE),
    ("malformed", "is damaged", _HINT_DAMAGED),
    ("not a database", "is damaged or not a run store at all", _HINT_DAMAGED),
    ("disk I/O", "cannot be read or written: the disk is full, or fails", f"Free some space. {_HINT_PLACE}"),
    ("closed database", "is closed already", "Open it again."),
)


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """Say what a failure of sqlite means for the store at `path`, and what to do about it."""
    said = str(error)
    for words, meaning, hint in _FAILURES:
        if words in said:
            return StoreError(f"the run store {path} {meaning} ({said})", hint=hint)
    return StoreError(f"the run store {path} failed: {said}")
