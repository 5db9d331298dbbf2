"""Compute: clusters that are made, started, used and ended."""

from __future__ import annotations

import contextlib
import functools
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wheelrun.emulator.compute import checks, paths, preinstalled
from wheelrun.emulator.compute.clusters import Clusters
from wheelrun.emulator.compute.machine import Machine
from wheelrun.emulator.compute.processes import run
from wheelrun.emulator.compute.runtimes import difference, runtime_of
from wheelrun.emulator.compute.work import Outcome, Work
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.launch.supervisor import Order
from wheelrun.emulator.state import USER, State
from wheelrun.errors import LibraryError, WheelrunError

_LOOK = 0.05  # seconds between two looks at whether a task that waits for its cluster is to stop
_KEPT = 150
"""How many ended clusters of jobs are remembered, as on the service."""


class Compute:
    """The clusters of an emulator and what runs on them.

    What a former emulator left behind is put in order at once: its clusters have ended.

    Args:
        state: What the emulator remembers.
        spark_master: The master of a standalone cluster; None for Spark in each task's own process.
    """

    def __init__(self, state: State, *, spark_master: str | None = None) -> None:
        self.state = state
        self.clusters = Clusters(state)
        self._master = spark_master
        self._machines: dict[str, Machine] = {}
        self._threads: set[threading.Thread] = set()
        self._lock = threading.RLock()
        self._closing = threading.Event()
        for document in self.clusters.all():
            if document["state"] != "TERMINATED":
                self.clusters.terminated(
                    document["cluster_id"], "INTERNAL_ERROR", "SERVICE_FAULT", "The emulator was stopped."
                )
        for folder in state.clusters.iterdir():
            shutil.rmtree(folder, ignore_errors=True)
        self.preinstalled = preinstalled.find(state.clusters / "preinstalled")

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
            machine = self._ready(cluster_id, stop.is_set)
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
        self._end(cluster_id)
        self.clusters.terminated(cluster_id, "JOB_FINISHED", "SUCCESS")
        ended = [item for item in self.clusters.all() if item["source"] == "JOB" and item["state"] == "TERMINATED"]
        for document in sorted(ended, key=lambda item: item["terminated_time"])[:-_KEPT]:
            self.clusters.forget(document["cluster_id"])

    def close(self) -> None:
        """End every process; nothing is left behind."""
        self._closing.set()
        with self._lock:
            names = list(self._machines)
        for machine in list(self._machines.values()):
            machine.down.set()
        for name in names:
            self._end(name)
            self.clusters.terminated(name, "INTERNAL_ERROR", "SERVICE_FAULT", "The emulator was stopped.")
        for thread in list(self._threads):
            thread.join()

    # what the services of clusters and libraries call

    def create(self, spec: Mapping[str, Any]) -> str:
        """Make a cluster that stays, and return its id; it starts in the background.

        Raises:
            ApiError: it cannot be honoured.
        """
        return self._new(checks.resolved_spec(self.state, spec), source="API")

    def start(self, cluster_id: str) -> None:
        """Start a cluster that has ended; it starts in the background.

        Raises:
            ApiError: there is none.
        """
        with self._lock:
            self.clusters.get(cluster_id)
            if cluster_id not in self._machines:
                self.clusters.change(
                    cluster_id, state="PENDING", state_message="Starting Spark", termination_reason=None
                )
                self._boot(cluster_id)

    def terminate(self, cluster_id: str) -> None:
        """End a cluster in the background; it can be started again, with nothing but its own libraries on it.

        Raises:
            ApiError: there is none.
        """
        document = self.clusters.get(cluster_id)
        if document["state"] in ("TERMINATED", "TERMINATING"):
            return
        self.clusters.change(cluster_id, state="TERMINATING", state_message="Terminating")
        message = f"Cluster was terminated. Reason: USER_REQUEST (SUCCESS). Parameters: username:{USER}."
        self._background(lambda: self._ended_by_user(cluster_id, message))

    def restart(self, cluster_id: str) -> None:
        """End a cluster that runs and start it again, in the background.

        Raises:
            ApiError: there is none, or it does not run.
        """
        document = self.clusters.get(cluster_id)
        if document["state"] != "RUNNING":
            raise ApiError("INVALID_STATE", f"Cluster {cluster_id} is in unexpected state {document['state'].title()}.")
        self.clusters.change(cluster_id, state="RESTARTING", state_message="Restarting")

        def again() -> None:
            self._end(cluster_id)
            if not self._closing.is_set():
                with self._lock:
                    self._boot(cluster_id)

        self._background(again)

    def forget(self, cluster_id: str) -> None:
        """End a cluster and forget it, at once.

        Raises:
            ApiError: there is none.
        """
        self.clusters.get(cluster_id)
        self._end(cluster_id)
        self.clusters.forget(cluster_id)

    def machine(self, cluster_id: str) -> Machine | None:
        """Return a cluster that runs or starts; None if it does not."""
        with self._lock:
            return self._machines.get(cluster_id)

    def install_soon(self, cluster_id: str, libraries: Sequence[Mapping[str, Any]]) -> None:
        """Install libraries on a cluster in the background, once it runs; what goes wrong is its libraries' state."""
        machine = self.machine(cluster_id)
        if machine is not None:

            def install() -> None:
                machine.ready.wait()
                if not machine.problem:
                    self._install(machine, libraries)

            self._background(install)

    # how it is done

    def _new(self, spec: Mapping[str, Any], *, source: str, serverless: bool = False) -> str:
        if self._closing.is_set():
            raise ApiError("TEMPORARILY_UNAVAILABLE", "The emulator is being stopped")
        cluster_id = self.clusters.add(spec, source=source, serverless=serverless)
        with self._lock:
            self._boot(cluster_id)
        return cluster_id

    def _boot(self, cluster_id: str) -> None:
        spec = self.clusters.get(cluster_id)["spec"]
        machine = Machine(
            state=self.state,
            cluster_id=cluster_id,
            spec=spec,
            folder=Path(tempfile.mkdtemp(prefix=f"{cluster_id}-", dir=self.state.clusters)),
            preinstalled=self.preinstalled,
            mounts=self.mounts,
            master=self._master,
        )
        self._machines[cluster_id] = machine
        self._background(lambda: self._booted(cluster_id, machine))

    def _booted(self, cluster_id: str, machine: Machine) -> None:
        document = self.clusters.get(cluster_id)
        try:
            machine.boot()
            if "environment" in machine.spec:
                machine.environment.install_lines(
                    machine.spec["environment"].get("dependencies") or [], machine.down.is_set
                )
            self._install(machine, document["libraries"])
        except (ApiError, WheelrunError) as error:
            machine.problem = error.message
        with self._lock:
            if machine.problem:
                self._machines.pop(cluster_id, None)
                self.clusters.terminated(cluster_id, "INVALID_ARGUMENT", "CLIENT_ERROR", machine.problem)
            elif not machine.down.is_set():
                runtime = runtime_of(machine.spec.get("spark_version", ""))
                message = difference(runtime) if runtime else ""
                self.clusters.change(cluster_id, state="RUNNING", state_message=message)
        machine.ready.set()
        if machine.problem:
            machine.remove()

    def _install(self, machine: Machine, libraries: Sequence[Mapping[str, Any]]) -> None:
        """Install a cluster's own libraries, each by itself: what goes wrong is in its environment's list."""
        for library in libraries:
            with contextlib.suppress(LibraryError):
                machine.install([library], machine.down.is_set)

    def _ready(self, cluster_id: str, stop: Callable[[], bool]) -> Machine | None:
        """Return a cluster once it has started; None if it is not to wait any longer.

        Raises:
            ApiError: there is none, or it cannot start.
        """
        while not stop() and not self._closing.is_set():
            with self._lock:
                machine = self._machines.get(cluster_id)
                document = self.clusters.get(cluster_id)
                if machine is None and document["state"] == "TERMINATED":
                    if document["source"] == "JOB":
                        raise ApiError("INVALID_STATE", document["state_message"] or "The cluster was terminated.")
                    self.start(cluster_id)
                    machine = self._machines[cluster_id]
            if machine is not None and machine.ready.wait(_LOOK):
                if machine.problem:
                    raise ApiError("INVALID_STATE", machine.problem)
                if not machine.down.is_set():
                    return machine
            if machine is None or machine.down.is_set():
                self._closing.wait(_LOOK)
        return None

    def _end(self, cluster_id: str) -> None:
        machine = self.machine(cluster_id)
        if machine is not None:
            machine.down.set()
            machine.ready.wait()
            machine.remove()
            with self._lock:
                self._machines.pop(cluster_id, None)

    def _ended_by_user(self, cluster_id: str, message: str) -> None:
        self._end(cluster_id)
        self.clusters.terminated(cluster_id, "USER_REQUEST", "SUCCESS", message, username=USER)

    def _background(self, work: Callable[[], None]) -> None:
        def working() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=working, name="compute")
        with self._lock:
            self._threads.add(thread)
        thread.start()

    @functools.cached_property
    def mounts(self) -> bool:
        """Whether folders can appear at the paths that tasks know; it is tried once."""
        return mounts_work(self.state)


def mounts_work(state: State) -> bool:
    """Whether the kernel lets this user have folders at the paths that tasks know."""
    with tempfile.TemporaryDirectory(dir=state.clusters) as folder:
        base = Path(folder, "root")
        base.mkdir()
        order = Order(
            command=["/bin/sh", "-c", 'test -d "$0"', "/Workspace"],
            environ={},
            cwd="/",
            logs=folder,
            mounts={path: str(real) for path, real in paths.folders(state).items()},
            base=str(base),
        )
        try:
            return run(order, lambda: False).code == 0
        except WheelrunError:
            return False
