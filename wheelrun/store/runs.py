"""`RunStore`: the runs of all projects in one sqlite file.

Many processes write to it at once: each method is one transaction, and what it returned is on the disk.
"""

# ruff: noqa: S608 - what is put into statements are the names of this module's own columns, never a value

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from wheelrun.errors import StoreError, nearest
from wheelrun.states import RunState, RunStatus, StepStatus
from wheelrun.store.migrations import open_database, store_error, transaction
from wheelrun.store.record import RunRecord, edited, merged, new_run_id, refuse_other, reopened, reported
from wheelrun.store.rows import RUN_COLUMNS, STEP_COLUMNS, to_column, to_run, to_step, to_text

LAST = "last"  # the reference to the latest run

_SELECT = f"SELECT {', '.join(RUN_COLUMNS)} FROM runs"
_UNFINISHED = tuple(state for state in RunState if not state.is_terminal)
_SHOWN = 10  # ids named in the message about an ambiguous reference
_NEAR = 200  # latest runs among which the nearest id is looked for
_CHUNK = 500  # values in one statement; sqlite takes 999 or more
_BEYOND = "\U0010ffff"  # sorts behind every character of an id


class RunStore:
    """The runs in one file.

    It may be shared by threads, and is one object per process: it does not live across a fork.

    Args:
        path: The sqlite file; it and its folder are made, readable by their owner only, where missing.
        clock: Seconds since the epoch.

    Raises:
        StoreError: By every method, when the file cannot be read or written, is damaged, is not a run store,
            or was written by a newer wheelrun.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.RLock()
        self._db = open_database(path, clock=clock)

    def __enter__(self) -> RunStore:  # noqa: PYI034 - Python 3.10 has no Self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. A closed store raises `StoreError`."""
        with self._lock:
            self._db.close()

    def create(self, record: RunRecord) -> tuple[RunRecord, bool]:
        """Record a new run, and return it with True.

        A record without an id gets one that sorts behind all that are there, whichever process made them.
        When a run that neither failed nor was cancelled has the record's idempotency key, that run is
        returned, with False.

        Raises:
            StoreError: The id is taken, or the run with this key was asked to do something else.
        """
        with self._transaction():
            holder = self._holder(record)
            if holder is not None:
                refuse_other(holder, record)
                return holder, False
            now = self._clock()
            new = replace(
                record,
                id=record.id or new_run_id(now, after=self._newest_id()),
                idempotency_key=record.idempotency_key or None,
                created_at=now if record.created_at is None else record.created_at,
            )
            if self._row(new.id) is not None:
                raise StoreError(f"run {new.id} exists already in {self.path}")
            row = {"id_reversed": to_column("id", new.id[::-1])}
            row.update((name, to_column(name, getattr(new, name))) for name in RUN_COLUMNS)
            self._db.execute(
                f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                tuple(row.values()),
            )
            self._write_steps(new.id, (), new.steps)
        return new, True

    def get(self, ref: str, *, project: str | None = None) -> RunRecord:
        """Return the run that `ref` means: an id, the start or the end of one, or `"last"`.

        Args:
            ref: The reference; a part of an id must fit one run only.
            project: The project whose latest run `"last"` means; None for the latest of all.

        Raises:
            StoreError: No run is meant, or several are.
        """
        with self._snapshot():
            if ref == LAST:
                latest = self.latest(project)
                if latest is None:
                    raise StoreError(
                        "there are no runs yet" + (f" of {project}" if project else ""),
                        hint="Start one with `wheelrun submit ENTRY`.",
                    )
                return latest
            record = self._row(ref)
            if record is None:
                record = self._row(self._resolve(ref))
            assert record is not None
            return self._with_steps((record,))[0]

    def latest(self, project: str | None = None) -> RunRecord | None:
        """Return the newest run, of `project` where given; None if there is none."""
        found = self.list(project, limit=1, with_steps=True)
        return found[0] if found else None

    def list(
        self,
        project: str | None = None,
        states: Sequence[RunState] = (),
        limit: int | None = 50,
        before: str | None = None,
        *,
        with_steps: bool = False,
    ) -> tuple[RunRecord, ...]:
        """Return runs, newest first.

        Args:
            project: Only those of this project.
            states: Only those in one of these states; empty for all.
            limit: At most so many; None for no limit.
            before: Only those older than the run of this id: the last id of a page asks for the next page.
            with_steps: Read the steps too; without, each record has none.
        """
        where: dict[str, Any] = {}
        if project is not None:
            where["project = ?"] = to_column("project", project)
        if before is not None:
            where["id < ?"] = to_column("id", before)
        count = -1 if limit is None else limit
        # One look into the index for each state, of which no one reads further than the page is long.
        queries, values = [], []
        for state in dict.fromkeys(states) or (None,):
            terms = {**where, "state = ?": state.value} if state is not None else where
            condition = f" WHERE {' AND '.join(terms)}" if terms else ""
            queries.append(f"SELECT * FROM ({_SELECT}{condition} ORDER BY id DESC LIMIT ?)")
            values.extend([*terms.values(), count])
        query = f"{' UNION ALL '.join(queries)} ORDER BY id DESC LIMIT ?"
        with self._snapshot():
            records = tuple(to_run(row) for row in self._db.execute(query, (*values, count)))
            return self._with_steps(records) if with_steps else records

    def unfinished(self) -> tuple[RunRecord, ...]:
        """Return all runs that have not ended, as far as the store knows, newest first, with their steps."""
        return self.list(states=_UNFINISHED, limit=None, with_steps=True)

    def update(self, run_id: str, **changes: Any) -> RunRecord:
        """Change fields of a run, and return it as it is then.

        A run that has ended does not go back to a state that is not terminal: such a change of `state` is
        left out. A first `running` stamps `started_at`, an end stamps `ended_at`, unless they are given.

        Raises:
            TypeError: A field is unknown, or fixed (`id`, `created_at`).
        """
        return self._change(run_id, lambda old: edited(old, changes, self._clock()))

    def add_metadata(self, run_id: str, metadata: Mapping[str, Any]) -> RunRecord:
        """Merge the handles that an orchestrator has yielded into the run's metadata."""
        return self._change(run_id, lambda old: replace(old, metadata=merged(old.metadata, metadata)))

    def set_status(self, run_id: str, status: RunStatus) -> RunRecord:
        """Record an orchestrator's report, run and steps at once, and return what the run is then.

        A report that comes late changes nothing after the end, and the first reported end stays. What a
        report is silent about stays as it was; its steps replace those of the same name.
        """
        return self._change(run_id, lambda old: reported(old, status, self._clock()))

    def reopen(self, run_id: str, **changes: Any) -> RunRecord:
        """Make an ended run wait again, with `changes`: what `resume` begins with.

        Raises:
            StoreError: It has not ended, or another run has taken its idempotency key.
        """
        return self._change(run_id, lambda old: reopened(old, changes, self._clock()))

    def delete(self, run_id: str) -> None:
        """Forget a run, its steps and its deployment."""
        with self._transaction():
            if not self._db.execute("DELETE FROM runs WHERE id = ?", (to_column("id", run_id),)).rowcount:
                raise self._unknown(run_id)

    def save_deployment(self, run_id: str, document: str) -> None:
        """Keep the run's deployment, as JSON text, in place of the one before."""
        with self._transaction():
            if self._row(run_id) is None:
                raise self._unknown(run_id)
            self._db.execute(
                "INSERT OR REPLACE INTO deployments VALUES (?, ?)",
                (to_column("id", run_id), to_column("document", document)),
            )

    def load_deployment(self, run_id: str) -> str | None:
        """Return the run's deployment, as JSON text; None if it has none."""
        with self._snapshot():
            row = self._db.execute(
                "SELECT document FROM deployments WHERE run_id = ?", (to_column("id", run_id),)
            ).fetchone()
            if row is None and self._row(run_id) is None:
                raise self._unknown(run_id)
        return None if row is None else to_text(row[0])

    def deployments(self) -> tuple[str, ...]:
        """Return the deployments of all runs, as JSON texts."""
        with self._snapshot():
            return tuple(str(to_text(row[0])) for row in self._db.execute("SELECT document FROM deployments"))

    # --- one transaction each ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        with self._lock:
            try:
                if self._db.in_transaction:  # a method that calls another is still one transaction
                    yield
                    return
                with transaction(self._db, kind=kind):
                    yield
            except sqlite3.Error as error:
                raise store_error(error, self.path) from error

    def _snapshot(self) -> contextlib.AbstractContextManager[None]:
        return self._transaction("DEFERRED")

    def _change(self, run_id: str, edit: Callable[[RunRecord], RunRecord]) -> RunRecord:
        """Read a run, edit it and write what became different, without anyone in between."""
        with self._transaction():
            row = self._row(run_id)
            if row is None:
                raise self._unknown(run_id)
            old = self._with_steps((row,))[0]
            new = edit(old)
            if new.holds_key and (not old.holds_key or new.idempotency_key != old.idempotency_key):
                holder = self._holder(new)
                if holder is not None:
                    raise StoreError(
                        f"the idempotency key {new.idempotency_key!r} of run {run_id} went to {holder.id}",
                        hint=f"Go on with run {holder.id}, or submit under another key.",
                    )
            changed = [name for name in RUN_COLUMNS if getattr(new, name) != getattr(old, name)]
            if changed:
                self._db.execute(
                    f"UPDATE runs SET {', '.join(f'{name} = ?' for name in changed)} WHERE id = ?",
                    (*(to_column(name, getattr(new, name)) for name in changed), to_column("id", run_id)),
                )
            self._write_steps(run_id, old.steps, new.steps)
        return new

    # --- inside a transaction ---------------------------------------------------------------------------

    def _write_steps(self, run_id: str, old: Sequence[StepStatus], new: Sequence[StepStatus]) -> None:
        key = to_column("id", run_id)
        if len(new) < len(old):
            self._db.execute("DELETE FROM steps WHERE run_id = ? AND position >= ?", (key, len(new)))
        self._db.executemany(
            f"INSERT OR REPLACE INTO steps (run_id, position, {', '.join(STEP_COLUMNS)})"
            f" VALUES (?, ?, {', '.join('?' * len(STEP_COLUMNS))})",
            (
                (key, position, *(to_column(name, getattr(step, name)) for name in STEP_COLUMNS))
                for position, step in enumerate(new)
                if position >= len(old) or step != old[position]
            ),
        )

    def _with_steps(self, records: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
        steps: dict[str, list[StepStatus]] = {}
        ids = [to_column("id", record.id) for record in records]
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            query = (
                f"SELECT run_id, {', '.join(STEP_COLUMNS)} FROM steps"
                f" WHERE run_id IN ({', '.join('?' * len(chunk))}) ORDER BY run_id, position"
            )
            for run_id, *row in self._db.execute(query, chunk):
                steps.setdefault(to_text(run_id), []).append(to_step(row))
        return tuple(
            replace(record, steps=tuple(steps[record.id])) if record.id in steps else record for record in records
        )

    def _row(self, run_id: str) -> RunRecord | None:
        row = self._db.execute(f"{_SELECT} WHERE id = ?", (to_column("id", run_id),)).fetchone()
        return None if row is None else to_run(row)

    def _newest_id(self) -> str | None:
        newest: str | None = to_text(self._db.execute("SELECT max(id) FROM runs").fetchone()[0])
        return newest

    def _holder(self, record: RunRecord) -> RunRecord | None:
        """Return the run, other than `record`, that holds its idempotency key."""
        if not record.idempotency_key:
            return None
        # The terms of the partial index, word by word, so that sqlite takes it.
        row = self._db.execute(
            f"{_SELECT} WHERE idempotency_key = ? AND idempotency_key IS NOT NULL"
            " AND state NOT IN ('failed', 'cancelled') AND id != ?",
            (to_column("idempotency_key", record.idempotency_key), to_column("id", record.id)),
        ).fetchone()
        return None if row is None else self._with_steps((to_run(row),))[0]

    def _resolve(self, part: str) -> str:
        """Return the id of the one run whose id starts or ends with `part`."""
        found: set[str] = set()
        for column, text in (("id", part), ("id_reversed", part[::-1])):
            rows = self._db.execute(
                f"SELECT id FROM runs WHERE {column} >= ? AND {column} < ? ORDER BY {column} DESC LIMIT ?",
                (to_column("id", text), to_column("id", text + _BEYOND), _SHOWN + 1),
            )
            found.update(str(to_text(value)) for (value,) in rows)
        if not part or not found:
            raise self._unknown(part)
        if len(found) > 1:
            names = sorted(found, reverse=True)
            more = ", …" if len(names) > _SHOWN else ""
            raise StoreError(
                f"{part!r} fits several runs: {', '.join(names[:_SHOWN])}{more}",
                hint="Give more of the id.",
            )
        return found.pop()

    def _unknown(self, ref: str) -> StoreError:
        with self._snapshot():
            recent = self._db.execute("SELECT id FROM runs ORDER BY id DESC LIMIT ?", (_NEAR,)).fetchall()
        near = nearest(ref, [str(to_text(value)) for (value,) in recent])
        known = f"Did you mean {near}? " if near else ""
        return StoreError(f"no run {ref!r} in {self.path}", hint=f"{known}`wheelrun runs` lists the runs there are.")
