"""The clusters that one job run uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wheelrun.emulator.engine.means import Computing
from wheelrun.emulator.engine.records import JobRun


class RunClusters:
    """Makes the clusters of a job run when a task first needs them, and ends them with the run.

    Args:
        compute: Makes them.
        run: The job run.
    """

    def __init__(self, compute: Computing, run: JobRun) -> None:
        self._compute = compute
        self._name = f"job-{run.job_id}-run-{run.run_id}"
        self._specs = {item["job_cluster_key"]: item["new_cluster"] for item in run.settings.get("job_clusters", ())}
        self._environments = {
            item["environment_key"]: item.get("spec", {}) for item in run.settings.get("environments", ())
        }
        self._shared: dict[tuple[str, str], str] = {}

    def of(self, task: Mapping[str, Any]) -> tuple[str, bool]:
        """Return the id of a task's cluster, and whether it is the task's alone and has to be released with it.

        Raises:
            ApiError: it cannot be made.
        """
        if "existing_cluster_id" in task:
            return task["existing_cluster_id"], False
        if "new_cluster" in task:
            return self._compute.job_cluster(task["new_cluster"], name=f"{self._name}-{task['task_key']}"), True
        if "job_cluster_key" in task:
            return self._once("job", task["job_cluster_key"]), False
        return self._once("environment", task["environment_key"]), False

    def release(self) -> None:
        """End those that tasks shared."""
        while self._shared:
            self._compute.release(self._shared.popitem()[1])

    def _once(self, kind: str, key: str) -> str:
        if (kind, key) not in self._shared:
            name = f"{self._name}-{key}"
            self._shared[kind, key] = (
                self._compute.job_cluster(self._specs[key], name=name)
                if kind == "job"
                else self._compute.serverless(self._environments[key], name=name)
            )
        return self._shared[kind, key]
