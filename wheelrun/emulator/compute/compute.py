"""Compute: clusters that are made, started, used and ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from wheelrun.emulator.compute import checks, policies
from wheelrun.emulator.compute.clusters import Clusters, now, unexpected
from wheelrun.emulator.compute.environments import Library, identity
from wheelrun.emulator.compute.fleet import Fleet
from wheelrun.emulator.compute.machine import Machine
from wheelrun.emulator.compute.work import Outcome, Work
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import USER, State

_KEPT = 150
"""How many ended clusters of jobs are remembered, as on the service."""


class Compute:
    """The clusters of an emulator and what runs on them.

    What a former emulator left behind is put in order at once: its clusters have ended.

    Args:
        state: What the emulator remembers.
        spark_master: The master of a standalone cluster; None for a JVM of its own for each cluster.
    """

    def __init__(self, state: State, *, spark_master: str | None = None) -> None:
        self.state = state
        self.clusters = Clusters(state)
        self._fleet = Fleet(state, self.clusters, master=spark_master)

    # what the engine of jobs calls

    def check_cluster_spec(self, spec: Mapping[str, Any]) -> None:
        """Refuse a `new_cluster` that cannot be honoured.

        Raises:
            ApiError: it cannot.
        """
        checks.resolved_spec(self.state, spec, job=True)

    def check_existing(self, cluster_id: str) -> None:
        """Refuse a cluster that there is not.

        Raises:
            ApiError: there is none.
        """
        self.clusters.get(cluster_id)

    def job_cluster(self, spec: Mapping[str, Any], *, name: str) -> str:
        """Make a cluster for one run of a job and return its id; it starts in the background.

        Args:
            spec: Its specification.
            name: Its name.

        Raises:
            ApiError: it cannot be honoured.
        """
        resolved = checks.resolved_spec(self.state, spec, job=True)
        return self._new({**resolved, "cluster_name": name}, source="JOB")

    def serverless(self, environment: Mapping[str, Any], *, name: str) -> str:
        """Make what runs the tasks of a serverless environment in one run, and return its id.

        Args:
            environment: The environment's spec: `environment_version` or `client`, and `dependencies`.
            name: Its name.
        """
        return self._new({"cluster_name": name, "environment": dict(environment)}, source="JOB", serverless=True)

    def execute(self, cluster_id: str, work: Work, stop: threading.Event) -> Outcome:
        """Run a task on a cluster until it ends, starting the cluster if need be.

        Args:
            cluster_id: The cluster.
            work: The task.
            stop: Once it is set, the task's processes end within ten seconds.
        """
        try:
            machine = self._fleet.ready(cluster_id, stop.is_set)
        except ApiError as error:
            return Outcome(result="INTERNAL_ERROR", code="CLUSTER_ERROR", message=error.message)
        outcome = None if machine is None else machine.execute(work, stop.is_set)
        if stop.is_set() and (outcome is None or outcome.result != "SUCCESS"):
            return Outcome(result="CANCELED", code="CANCELED", message="Run cancelled.")
        if outcome is None or (machine is not None and machine.down.is_set() and outcome.result != "SUCCESS"):
            message = (self.clusters.find(cluster_id) or {}).get("state_message") or "The cluster was terminated."
            return Outcome(result="INTERNAL_ERROR", code="CLUSTER_ERROR", message=message)
        return outcome

    def release(self, cluster_id: str) -> None:
        """End the cluster of a job run, and remove its environment."""
        self._fleet.end(cluster_id)
        if self.clusters.get(cluster_id)["state"] != "TERMINATED":
            self.clusters.terminated(cluster_id, "JOB_FINISHED", "SUCCESS")
        ended = [item for item in self.clusters.all() if item["source"] == "JOB" and item["state"] == "TERMINATED"]
        for document in sorted(ended, key=lambda item: item["terminated_time"])[:-_KEPT]:
            self.clusters.forget(document["cluster_id"])

    def close(self) -> None:
        """End every process; nothing is left behind."""
        self._fleet.close()

    # what the services of clusters and libraries call

    def create(self, spec: Mapping[str, Any]) -> str:
        """Make a cluster that stays, and return its id; it starts in the background.

        Raises:
            ApiError: it cannot be honoured.
        """
        return self._new(checks.resolved_spec(self.state, spec), source="API")

    def start(self, cluster_id: str) -> None:
        """Start a cluster that has ended, in the background.

        Raises:
            ApiError: there is none, or it has not ended.
        """
        document = self.clusters.get(cluster_id)
        if document["state"] != "TERMINATED":
            raise unexpected(document)
        self._fleet.boot(cluster_id)

    def terminate(self, cluster_id: str) -> None:
        """End a cluster in the background; it can be started again, with nothing but its own libraries on it.

        Raises:
            ApiError: there is none.
        """
        document = self.clusters.get(cluster_id)
        if document["state"] in ("TERMINATED", "TERMINATING"):
            return
        self.clusters.change(cluster_id, state="TERMINATING", state_message="Terminating")

        def end() -> None:
            self._fleet.end(cluster_id)
            message = f"Cluster was terminated. Reason: USER_REQUEST (SUCCESS). Parameters: username:{USER}."
            self.clusters.terminated(cluster_id, "USER_REQUEST", "SUCCESS", message, username=USER)

        self._fleet.background(end)

    def restart(self, cluster_id: str) -> None:
        """End a cluster that runs and start it again, in the background.

        Raises:
            ApiError: there is none, or it does not run.
        """
        document = self.clusters.get(cluster_id)
        if document["state"] != "RUNNING":
            raise unexpected(document)
        self.clusters.change(cluster_id, state="RESTARTING", state_message="Restarting")

        def again() -> None:
            self._fleet.end(cluster_id)
            self.clusters.change(cluster_id, last_restarted_time=now())
            self._fleet.boot(cluster_id)

        self._fleet.background(again)

    def forget(self, cluster_id: str) -> None:
        """End a cluster and forget it, at once.

        Raises:
            ApiError: there is none.
        """
        self.clusters.get(cluster_id)
        self._fleet.end(cluster_id)
        self.clusters.forget(cluster_id)

    def edit(self, cluster_id: str, spec: Mapping[str, Any]) -> None:
        """Give a cluster another specification; one that runs is started again.

        Raises:
            ApiError: there is none, it starts or ends, or the specification cannot be honoured.
        """
        document = self.clusters.get(cluster_id)
        if document["source"] == "JOB":
            raise ApiError("INVALID_PARAMETER_VALUE", f"Cluster {cluster_id} is a job cluster, and cannot be edited.")
        if document["state"] not in ("RUNNING", "TERMINATED"):
            raise unexpected(document)
        self.clusters.change(cluster_id, spec=checks.resolved_spec(self.state, spec))
        self.clusters.note(cluster_id, "EDITED", {"user": USER})
        if document["state"] == "RUNNING":
            self.restart(cluster_id)

    def machine(self, cluster_id: str) -> Machine | None:
        """Return a cluster that runs or starts; None if it does not."""
        return self._fleet.machine(cluster_id)

    def add_libraries(self, cluster_id: str, libraries: Sequence[Library]) -> None:
        """Install libraries on a cluster, in the background, whenever it starts and now if it runs.

        Raises:
            ApiError: there is no such cluster.
        """
        with self.state.transaction():
            document = self.clusters.get(cluster_id)
            known = {identity(library) for library in document["libraries"]}
            new = [library for library in libraries if identity(library) not in known]
            removed = [library for library in document.get("removed", []) if library not in new]
            self.clusters.change(cluster_id, libraries=[*document["libraries"], *new], removed=removed)
        machine = self.machine(cluster_id)
        if machine is not None:

            def install() -> None:
                machine.ready.wait()
                if not machine.problem:
                    self._fleet.install(machine, libraries)

            self._fleet.background(install)

    def remove_libraries(self, cluster_id: str, libraries: Sequence[Library]) -> None:
        """Take libraries from a cluster, once it starts the next time.

        Raises:
            ApiError: there is no such cluster.
        """
        runs = self.machine(cluster_id) is not None
        with self.state.transaction():
            document = self.clusters.get(cluster_id)
            gone = [library for library in document["libraries"] if library in libraries]
            kept = [library for library in document["libraries"] if library not in libraries]
            removed = [*document.get("removed", []), *gone] if runs else []
            self.clusters.change(cluster_id, libraries=kept, removed=removed)

    def _new(self, spec: Mapping[str, Any], *, source: str, serverless: bool = False) -> str:
        if self._fleet.closing.is_set():
            raise ApiError("TEMPORARILY_UNAVAILABLE", "The emulator is being stopped")
        policy = policies.get(self.state, spec["policy_id"]) if spec.get("policy_id") else {}
        libraries = policy.get("libraries") or []
        cluster_id = self.clusters.add(spec, source=source, serverless=serverless, libraries=libraries)
        self._fleet.boot(cluster_id)
        return cluster_id
