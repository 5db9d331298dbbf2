from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing

import pytest

from wheelrun.errors import StoreError
from wheelrun.store.migrations import MIGRATIONS, Migration, open_database, store_error, transaction

NEXT = Migration(
    version=MIGRATIONS[-1].version + 1,
    name="a note for each run",
    statements=("ALTER TABLE runs ADD COLUMN note TEXT",),
)


def test_a_new_store_has_its_ledger(tmp_path):
    with closing(open_database(tmp_path / "runs.sqlite", clock=lambda: 5.0)) as db:
        ledger = db.execute("SELECT version, name, applied_at FROM migrations").fetchall()
        assert ledger == [(migration.version, migration.name, 5.0) for migration in MIGRATIONS]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA foreign_keys").fetchone() == (1,)


def test_versions_count_up():
    assert [migration.version for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_only_the_owner_reads_it(tmp_path):
    path = tmp_path / "home" / "runs.sqlite"
    with closing(open_database(path)) as db, transaction(db):
        modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in path.parent.iterdir()}
        assert set(modes) == {"runs.sqlite", "runs.sqlite-wal", "runs.sqlite-shm"}
        assert set(modes.values()) == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_folder_that_is_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    open_database(tmp_path / "runs.sqlite").close()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_an_older_store_is_brought_up_to_date(tmp_path):
    path = tmp_path / "runs.sqlite"
    open_database(path).close()
    with closing(open_database(path, migrations=(*MIGRATIONS, NEXT))) as db:
        assert db.execute("SELECT note FROM runs").fetchall() == []
        assert db.execute("SELECT max(version) FROM migrations").fetchone() == (NEXT.version,)


def test_a_migration_that_fails_leaves_the_store_as_it_was(tmp_path):
    path = tmp_path / "runs.sqlite"
    open_database(path).close()
    broken = Migration(version=NEXT.version, name="broken", statements=(*NEXT.statements, "CREATE nonsense"))
    with pytest.raises(StoreError):
        open_database(path, migrations=(*MIGRATIONS, broken))
    with closing(open_database(path, migrations=(*MIGRATIONS, NEXT))) as db:
        assert db.execute("SELECT note FROM runs").fetchall() == []


def test_a_newer_store_is_refused(tmp_path):
    path = tmp_path / "runs.sqlite"
    with closing(open_database(path, migrations=(*MIGRATIONS, NEXT))) as db:
        db.execute("UPDATE migrations SET wheelrun = '99.1' WHERE version = ?", (NEXT.version,))
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"was written by wheelrun 99\.1") as caught:
        open_database(path)
    assert caught.value.exit_code == 3
    assert "Upgrade to wheelrun 99.1" in caught.value.hint
    assert "WHEELRUN_HOME" in caught.value.hint
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_left_alone(tmp_path):
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE migrations (version)")
    with pytest.raises(StoreError, match="another program"):
        open_database(path)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("migrations",)]


def test_an_empty_file_becomes_a_store(tmp_path):
    (tmp_path / "runs.sqlite").touch()
    with closing(open_database(tmp_path / "runs.sqlite")) as db:
        assert db.execute("SELECT * FROM runs").fetchall() == []


def test_a_file_that_is_no_database_is_told(tmp_path):
    path = tmp_path / "runs.sqlite"
    path.write_bytes(b"not a database, whatever it is\n" * 400)
    with pytest.raises(StoreError, match="damaged or not a run store") as caught:
        open_database(path)
    assert "Move the file" in caught.value.hint


@pytest.mark.parametrize("place", ["a file/runs.sqlite", "folder"])
def test_a_place_that_holds_no_file_is_told(tmp_path, place):
    (tmp_path / "a file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot open the run store") as caught:
        open_database(tmp_path / place)
    assert "WHEELRUN_HOME" in caught.value.hint


def test_a_folder_that_may_not_be_written_is_told(tmp_path):
    (tmp_path / "home").mkdir(mode=0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(StoreError, match="Permission denied"):
            open_database(tmp_path / "home" / "runs.sqlite")
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", [":memory:", "a b'c\"%20?mode=ro", "naïve\n.db", os.fsdecode(b"\xff.db")])
def test_any_name_is_a_file(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = type(tmp_path)(name)
    open_database(path).close()
    assert (tmp_path / name).stat().st_size > 0


def test_a_new_file_that_is_locked_is_waited_for(tmp_path):
    path = tmp_path / "runs.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        pauses = []

        def sleep(seconds):
            pauses.append(seconds)
            if len(pauses) == 3:
                other.execute("ROLLBACK")

        with closing(open_database(path, sleep=sleep, timeout=1.5)) as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert db.execute("PRAGMA busy_timeout").fetchone() == (1500,)
    assert len(pauses) == 3


def test_a_lock_that_stays_is_told(tmp_path):
    path = tmp_path / "runs.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked by another process"):
            open_database(path, sleep=lambda _: None, timeout=0.0)


def test_a_transaction_is_undone_by_any_exception(tmp_path):
    with closing(open_database(tmp_path / "runs.sqlite")) as db:

        def interrupted():
            with transaction(db):
                db.execute("DELETE FROM migrations")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert db.execute("SELECT count(*) FROM migrations").fetchone() == (len(MIGRATIONS),)


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("database is locked", "is locked by another process"),
        ("database or disk is full", "the disk is full"),
        ("attempt to write a readonly database", "it is read-only"),
        ("unable to open database file", "cannot be opened"),
        ("database disk image is malformed", "is damaged"),
        ("disk I/O error", "fails"),
        ("Cannot operate on a closed database.", "is closed"),
        ("something new", "failed: something new"),
    ],
)
def test_each_failure_says_what_it_means(tmp_path, said, meaning):
    error = store_error(sqlite3.OperationalError(said), tmp_path)
    assert meaning in str(error)
    assert str(tmp_path) in str(error)
    assert (error.hint is None) == (said == "something new")
