"""The jobs, as they are remembered."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wheelrun.emulator.engine.clock import Clock
from wheelrun.emulator.engine.records import IDS
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import USER, State

_KIND = "job"
_CHUNK = 100
_KEYS = {
    "tasks": "task_key",
    "job_clusters": "job_cluster_key",
    "environments": "environment_key",
    "parameters": "name",
}
"""The lists of a job's settings that an update merges, and by what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job.

    Attributes:
        job_id: Its id.
        created_time: When it was made, in milliseconds since the epoch.
        creator_user_name: By whom.
        settings: All that was asked for.
        since: When its schedule was set last, in milliseconds since the epoch: it fires for times after that.
    """

    job_id: int
    created_time: int
    creator_user_name: str
    settings: Mapping[str, Any]
    since: int


class JobBook:
    """Remembers jobs.

    Args:
        state: Where.
        clock: Knows the time.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def create(self, settings: Mapping[str, Any]) -> Job:
        """Make a job."""
        now = self._clock.millis()
        job = Job(
            job_id=self._state.next_id(IDS), created_time=now, creator_user_name=USER, settings=settings, since=now
        )
        self._save(job)
        return job

    def get(self, job_id: int) -> Job:
        """Return a job.

        Raises:
            ApiError: there is none of that id.
        """
        document = self._state.get(_KIND, job_id)
        if document is None:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Job {job_id} does not exist.")
        return Job(**document)

    def change(self, job_id: int, settings: Mapping[str, Any]) -> Job:
        """Give a job other settings.

        Raises:
            ApiError: there is none of that id.
        """
        with self._state.transaction():
            before = self.get(job_id)
            is_same = all(before.settings.get(name) == settings.get(name) for name in ("schedule", "trigger"))
            since = before.since if is_same else self._clock.millis()
            job = dataclasses.replace(before, settings=settings, since=since)
            self._save(job)
        return job

    def fired(self, job_id: int, now: int) -> None:
        """Remember that a job's schedule has fired.

        Raises:
            ApiError: there is none of that id.
        """
        with self._state.transaction():
            self._save(dataclasses.replace(self.get(job_id), since=now))

    def delete(self, job_id: int) -> None:
        """Forget a job.

        Raises:
            ApiError: there is none of that id.
        """
        if not self._state.delete(_KIND, job_id):
            raise ApiError("INVALID_PARAMETER_VALUE", f"Job {job_id} does not exist.")

    def jobs(self, *, above: int | None = None, below: int | None = None, newest_first: bool = True) -> Iterator[Job]:
        """Yield the jobs with ids in between."""
        while found := self._state.page(_KIND, limit=_CHUNK, above=above, below=below, newest_first=newest_first):
            for document in found:
                yield Job(**document)
            if newest_first:
                below = found[-1]["job_id"]
            else:
                above = found[-1]["job_id"]

    def _save(self, job: Job) -> None:
        self._state.put(_KIND, job.job_id, {name: getattr(job, name) for name in Job.__dataclass_fields__})


def updated(settings: Mapping[str, Any], new: Mapping[str, Any], remove: Sequence[str]) -> dict[str, Any]:
    """Return a job's settings after an update.

    Args:
        settings: Those before.
        new: Those that take the place of settings of the same name; lists are merged by the key of their items.
        remove: Names of settings to leave out, and items of lists: "tasks/load".
    """
    left: dict[str, Any] = dict(settings)
    for path in remove:
        name, _, item = path.partition("/")
        if not item:
            left.pop(name, None)
        elif name in _KEYS and name in left:
            left[name] = [one for one in left[name] if one[_KEYS[name]] != item]
    for name, value in new.items():
        if name in _KEYS and name in left:
            merged = {one[_KEYS[name]]: one for one in left[name]} | {one[_KEYS[name]]: one for one in value}
            left[name] = list(merged.values())
        else:
            left[name] = value
    return left
