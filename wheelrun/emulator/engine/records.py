"""Job runs and the attempts of their tasks, as they are remembered."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wheelrun.emulator.engine.endings import BLOCKED, PENDING, Ending
from wheelrun.emulator.state import State

IDS = "jobs"
"""The counter of job ids, run ids and repair ids: none of one kind is ever one of another."""

_RUN = "run"
_TASKS = "run-tasks"
_OWNER = "attempt-owner"
_TOKEN = "run-token"  # noqa: S105 - a kind of document
_CHUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One time that a job run ran: at first, or in a repair.

    Attributes:
        repair_id: The repair's id, None the first time.
        start: When it began, in milliseconds since the epoch.
        parameters: The job parameters: each with "name", "default" and "value".
        overriding: The parameters of tasks that were sent with it: "python_params" and its like.
        end: When it ended, 0 while it has not.
        life: The life cycle state.
        ending: How it ended.
        queued: Why it waits, or waited, in the queue.
        left_queue: When it left the queue, 0 if it never was in it.
    """

    repair_id: int | None = None
    start: int
    parameters: Sequence[Mapping[str, Any]] = ()
    overriding: Mapping[str, Any] = field(default_factory=dict)
    end: int = 0
    life: str = PENDING
    ending: Ending | None = None
    queued: str = ""
    left_queue: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """A run of a job, or a one-time run.

    Attributes:
        run_id: Its id.
        job_id: The job's id; that of a one-time run belongs to no job.
        name: The run's name.
        kind: JOB_RUN or SUBMIT_RUN.
        trigger: What started it: ONE_TIME, PERIODIC, RUN_JOB_TASK.
        settings: The job's settings when it was started, without the tasks.
        passes: The times that it ran; the last may be under way.
        caller: The task run that started it.
        only: The keys of the tasks that were asked for; None for all.
        single: Whether it was asked for as the 2.0 version of the interface has it: one task, no list.
    """

    run_id: int
    job_id: int
    name: str
    kind: str
    trigger: str
    settings: Mapping[str, Any]
    passes: Sequence[Pass]
    caller: int | None = None
    only: Sequence[str] | None = None
    single: bool = False

    @property
    def latest(self) -> Pass:
        """The last time that it ran."""
        return self.passes[-1]

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.latest.ending is None

    def changed(self, **values: Any) -> JobRun:
        """Return the run with values of its last pass changed."""
        return dataclasses.replace(self, passes=[*self.passes[:-1], dataclasses.replace(self.latest, **values)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A task run, or the run of one iteration of it.

    Attributes:
        run_id: Its id.
        job_run_id: The job run's id.
        owner: What it is listed under: the job run, or for an iteration the task run of the for-each task.
        key: The task's key.
        number: How many attempts there were before, repairs counted.
        original: The id of the first of them.
        passed: The pass of the job run that it belongs to, from 0.
        task: The task's settings.
        life: The life cycle state.
        ending: How it ended.
        start: When it began, in milliseconds since the epoch; 0 while it has not.
        began: When it began to execute; 0 while it has not.
        end: When it ended; 0 while it has not.
        cluster_id: What it runs on.
        resolved: What it was given, references replaced.
        outcome: Of a condition: "true" or "false".
        child: The job run that it started.
        inputs: How many iterations it has.
        item: The input of an iteration.
        error: The exception's last line.
        trace: The traceback.
    """

    run_id: int
    job_run_id: int
    owner: int
    key: str
    number: int = 0
    original: int
    passed: int = 0
    task: Mapping[str, Any]
    life: str = BLOCKED
    ending: Ending | None = None
    start: int = 0
    began: int = 0
    end: int = 0
    cluster_id: str | None = None
    resolved: Mapping[str, Any] | None = None
    outcome: str | None = None
    child: int | None = None
    inputs: int | None = None
    item: Any = None
    error: str | None = None
    trace: str | None = None

    @property
    def is_iteration(self) -> bool:
        """Whether it is one of the iterations of a for-each task."""
        return self.owner != self.job_run_id


class Records:
    """Remembers job runs and attempts.

    Args:
        state: Where.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def new_id(self) -> int:
        """Return an id for a run, an attempt or a repair."""
        return self._state.next_id(IDS)

    def folder(self, run_id: int) -> Path:
        """Return the folder of a task run's output."""
        return self._state.runs / str(run_id)

    def values(self, run_id: int) -> dict[str, Any]:
        """Return the values that a task run set for those after it."""
        path = self.folder(run_id) / "values.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        return {item["key"]: item["value"] for item in map(json.loads, lines)}

    def add(
        self,
        run: JobRun,
        tasks: Sequence[Mapping[str, Any]],
        attempts: Sequence[Attempt],
        *,
        token: str | None = None,
    ) -> None:
        """Remember a job run, or a new pass of it, with its tasks' settings, their attempts and its token."""
        with self._state.transaction():
            self.save(run)
            self._state.put(_TASKS, run.run_id, {"tasks": list(tasks)})
            self.new_attempts(attempts)
            if token is not None:
                self._state.put(_TOKEN, token, {"run_id": run.run_id})

    def save(self, run: JobRun) -> None:
        """Remember how a job run is now."""
        passes = [_plain(item) for item in run.passes]
        self._state.put(_RUN, run.run_id, _plain(run) | {"passes": passes})

    def tasks(self, run_id: int) -> list[dict[str, Any]]:
        """Return the settings of a job run's tasks."""
        return list((self._state.get(_TASKS, run_id) or {"tasks": []})["tasks"])

    def run(self, run_id: int) -> JobRun | None:
        """Return a job run, None if there is none of that id."""
        document = self._state.get(_RUN, run_id)
        return None if document is None else _run(document)

    def runs(self, *, above: int | None = None, below: int | None = None, newest_first: bool) -> Iterator[JobRun]:
        """Yield the job runs with ids in between."""
        while found := self._state.page(_RUN, limit=_CHUNK, above=above, below=below, newest_first=newest_first):
            for document in found:
                yield _run(document)
            if newest_first:
                below = found[-1]["run_id"]
            else:
                above = found[-1]["run_id"]

    def new_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Remember attempts that were not there."""
        with self._state.transaction():
            for attempt in attempts:
                self._state.put(_OWNER, attempt.run_id, {"owner": attempt.owner})
                self.save_attempt(attempt)

    def save_attempt(self, attempt: Attempt) -> None:
        """Remember how an attempt is now."""
        self._state.put(_attempts(attempt.owner), attempt.run_id, _plain(attempt))

    def attempt(self, run_id: int) -> Attempt | None:
        """Return an attempt, None if there is none of that id."""
        owner = self._state.get(_OWNER, run_id)
        document = None if owner is None else self._state.get(_attempts(owner["owner"]), run_id)
        return None if document is None else _attempt(document)

    def attempts(self, owner: int, *, above: int | None = None, limit: int | None = None) -> list[Attempt]:
        """Return the attempts of a job run, or the iterations of a for-each task's run, in the order of their ids."""
        documents = (
            self._state.all(_attempts(owner))
            if limit is None
            else self._state.page(_attempts(owner), limit=limit, above=above)
        )
        return [_attempt(document) for document in documents]

    def latest(self, run_id: int) -> dict[str, Attempt]:
        """Return the last attempt of each of a job run's tasks."""
        return {attempt.key: attempt for attempt in self.attempts(run_id)}

    def of_token(self, token: str) -> int | None:
        """Return the run that a token stands for, None if it is new."""
        document = self._state.get(_TOKEN, token)
        return None if document is None else int(document["run_id"])

    def end_attempts(self, run_id: int, ending: Ending, now: int) -> None:
        """Remember that all attempts of a job run that had not ended have ended."""
        with self._state.transaction():
            for attempt in self.attempts(run_id):
                for one in (attempt, *self.attempts(attempt.run_id)):
                    if one.ending is None:
                        start = one.start or now
                        self.save_attempt(
                            dataclasses.replace(one, life=ending.life, ending=ending, start=start, end=now)
                        )

    def delete(self, run_id: int) -> None:
        """Forget a job run with all that belongs to it."""
        with self._state.transaction():
            for attempt in self.attempts(run_id):
                for iteration in self.attempts(attempt.run_id):
                    self._forget(iteration)
                self._forget(attempt)
            self._state.delete(_TASKS, run_id)
            self._state.delete(_RUN, run_id)

    def _forget(self, attempt: Attempt) -> None:
        self._state.delete(_attempts(attempt.owner), attempt.run_id)
        self._state.delete(_OWNER, attempt.run_id)
        shutil.rmtree(self.folder(attempt.run_id), ignore_errors=True)


def _attempts(owner: int) -> str:
    return f"attempt/{owner}"


def _plain(value: Any) -> dict[str, Any]:
    plain = {name: getattr(value, name) for name in value.__dataclass_fields__}
    if plain.get("ending") is not None:
        plain["ending"] = _plain(plain["ending"])
    return plain


def _ending(document: Mapping[str, Any]) -> dict[str, Any]:
    return {"ending": None if document["ending"] is None else Ending(**document["ending"])}


def _run(document: Mapping[str, Any]) -> JobRun:
    return JobRun(**{**document, "passes": [Pass(**{**item, **_ending(item)}) for item in document["passes"]]})


def _attempt(document: Mapping[str, Any]) -> Attempt:
    return Attempt(**{**document, **_ending(document)})
