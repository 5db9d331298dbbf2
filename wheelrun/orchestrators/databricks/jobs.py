"""The calls about jobs and runs, each made so that it has its effect once, whatever becomes of its answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from wheelrun.errors import ClusterError
from wheelrun.orchestrators.databricks.api import Api, LostAnswerError, RefusedError
from wheelrun.orchestrators.databricks.config import OWN_TAG
from wheelrun.orchestrators.databricks.state import NativeRun

_JOBS = "/api/2.2/jobs"
_NEWEST = 25
"""The most runs that the service lists at once."""

_TRIES = 5


class Jobs:
    """The jobs and runs of a workspace.

    Args:
        api: The workspace.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def submit(self, body: Mapping[str, Any]) -> int:
        """Submit a run without a job; the same idempotency token gives the same run. Returns the service's id."""
        return int(self._api.post(f"{_JOBS}/runs/submit", body)["run_id"])

    def run_now(self, body: Mapping[str, Any]) -> int:
        """Run a job; the same idempotency token gives the same run. Returns the service's id."""
        return int(self._api.post(f"{_JOBS}/run-now", body)["run_id"])

    def find(self, name: str) -> dict[str, Any] | None:
        """Return wheelrun's job of a name, the oldest if there are several, None if there is none. One call."""
        found = self._api.pages(f"{_JOBS}/list", {"name": name, "expand_tasks": "true", "limit": 100}, "jobs")
        own = [job for job in found if OWN_TAG in (job["settings"].get("tags") or {})]
        return min(own, key=lambda job: int(job["job_id"]), default=None)

    def own(self, purpose: str) -> Iterator[dict[str, Any]]:
        """Yield wheelrun's jobs that are for something."""
        for job in self._api.pages(f"{_JOBS}/list", {"limit": 100}, "jobs"):
            if (job["settings"].get("tags") or {}).get(OWN_TAG) == purpose:
                yield job

    def settle(self, settings: Mapping[str, Any]) -> tuple[int, str]:
        """Make sure that there is a job with these settings, one of its name.

        Returns:
            Its id, and what was done: "created", "reset" or "unchanged".

        Raises:
            ClusterError: its creation is not answered, and it does not come to be.
        """
        for _ in range(_TRIES):
            found = self.find(str(settings["name"]))
            if found is None:
                with contextlib.suppress(LostAnswerError):  # it may be there all the same
                    return self._only(int(self._api.post(f"{_JOBS}/create", settings, once=True)["job_id"]), settings)
                continue
            job_id = int(found["job_id"])
            if found.get("has_more") or not covers(found["settings"], settings):
                found = self._whole(job_id)
            if covers(found["settings"], settings):
                return job_id, "unchanged"
            self._api.post(f"{_JOBS}/reset", {"job_id": job_id, "new_settings": settings})
            return job_id, "reset"
        raise ClusterError(f"job {settings['name']!r} cannot be made: the workspace does not answer", hint="try again")

    def start(
        self, settings: Mapping[str, Any], request: Callable[[int], Mapping[str, Any]]
    ) -> Iterator[Mapping[str, object]]:
        """Run a job that has these settings; yield what is known of the job, and then of the run.

        Another client that made a job of its name at the same time may take this one away: then its own is run.

        Args:
            settings: What the job has to be.
            request: Returns the body of `run-now` for a job's id.
        """
        for left in reversed(range(_TRIES)):
            job_id, done = self.settle(settings)
            yield {"job": job_id, "job_was": done}
            try:
                run = self.run_now(request(job_id))
            except RefusedError as error:
                if left and (error.is_missing or "does not exist" in error.message):
                    continue
                raise
            yield {"service_run": run}
            return

    def update(self, job_id: int, settings: Mapping[str, Any]) -> None:
        """Change some settings of a job."""
        self._api.post(f"{_JOBS}/update", {"job_id": job_id, "new_settings": settings})

    def delete(self, job_id: int) -> None:
        """Delete a job; one that is gone is fine."""
        try:
            self._api.post(f"{_JOBS}/delete", {"job_id": job_id})
        except RefusedError as error:
            if not (error.is_missing or "does not exist" in error.message):
                raise

    def run(self, run_id: int, *, history: bool = False) -> NativeRun:
        """Return a run with all its tasks. One call for each 100 tasks.

        Raises:
            RefusedError: there is none (any more).
        """
        query: dict[str, Any] = {"run_id": run_id, **({"include_history": "true"} if history else {})}
        first = page = self._api.get(f"{_JOBS}/runs/get", query)
        tasks = list(first.get("tasks") or ())
        while token := page.get("next_page_token"):
            page = self._api.get(f"{_JOBS}/runs/get", {**query, "page_token": token})
            tasks += page.get("tasks") or ()
        return NativeRun.of(first, tasks)

    def look_for(self, name: str, run_id: str, since: float, *, job_id: int | None = None) -> int | None:
        """Return the service's id of a run whose submission was not answered, None if it has not arrived.

        Args:
            name: What a run without a job is called.
            run_id: Our id of it, which is a parameter of a run of a job.
            since: When it was submitted at the earliest, in seconds since the epoch.
            job_id: The job that it is a run of, if any.
        """
        query: dict[str, Any] = {"limit": _NEWEST - 1, "start_time_from": int(since * 1000)}
        query |= {"run_type": "SUBMIT_RUN"} if job_id is None else {"job_id": job_id, "expand_tasks": "true"}
        for run in self._api.pages(f"{_JOBS}/runs/list", query, "runs"):
            given = {each.get("name"): each.get("value") for each in run.get("job_parameters") or ()}
            given |= (run.get("overriding_parameters") or {}).get("job_parameters") or {}
            if run.get("run_name") == name if job_id is None else given.get("run_id") == run_id:
                return int(run["run_id"])
        return None

    def cancel(self, run_id: int) -> None:
        """Ask the service to end a run."""
        self._api.post(f"{_JOBS}/runs/cancel", {"run_id": run_id})

    def repair(self, body: Mapping[str, Any]) -> int:
        """Run tasks of a run again, once; return the repair's id.

        Raises:
            ClusterError: it is not answered, and does not come to be.
        """
        for _ in range(_TRIES):
            with contextlib.suppress(LostAnswerError):
                return int(self._api.post(f"{_JOBS}/runs/repair", body, once=True)["repair_id"])
            repairs = self.run(int(body["run_id"]), history=True).repairs  # it may be there now
            if repairs and repairs[-1] != body.get("latest_repair_id"):
                return repairs[-1]
        raise ClusterError(f"run {body['run_id']} cannot be repaired: the workspace does not answer", hint="try again")

    def output(self, task_run: int) -> dict[str, Any]:
        """Return what the service has of a task's output: its last five megabytes, and its error."""
        return self._api.get(f"{_JOBS}/runs/get-output", {"run_id": task_run})

    def _only(self, made: int, settings: Mapping[str, Any]) -> tuple[int, str]:
        """Return the job that was made, unless another client made one of its name at the same time, and before."""
        found = self.find(str(settings["name"]))
        if found is None or int(found["job_id"]) == made:
            return made, "created"
        if not self._api.get(f"{_JOBS}/runs/list", {"job_id": made, "limit": 1}).get("runs"):
            self.delete(made)
        return self.settle(settings)

    def _whole(self, job_id: int) -> dict[str, Any]:
        """Return a job with all its tasks. One call for each 100."""
        first = page = self._api.get(f"{_JOBS}/get", {"job_id": job_id})
        while token := page.get("next_page_token"):
            page = self._api.get(f"{_JOBS}/get", {"job_id": job_id, "page_token": token})
            for name in ("tasks", "job_clusters", "environments", "parameters"):
                more = (page.get("settings") or {}).get(name) or []
                first["settings"][name] = [*first["settings"].get(name, []), *more]
        return first


def covers(found: Any, wanted: Any) -> bool:
    """Whether what the service has is what is wanted; what it adds by itself does not matter, further parts do."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(covers(found.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, Sequence) and not isinstance(wanted, str):
        if not isinstance(found, Sequence) or len(found) != len(wanted):
            return False
        key = next(
            (name for name in ("task_key", "job_cluster_key", "environment_key", "name") if _has(wanted, name)), None
        )
        if key is None:
            return all(map(covers, found, wanted))
        by_key = {each.get(key): each for each in found}
        return all(covers(by_key.get(each[key]), each) for each in wanted)
    return bool(found == wanted)


def _has(wanted: Sequence[Any], name: str) -> bool:
    return bool(wanted) and all(isinstance(each, Mapping) and name in each for each in wanted)
