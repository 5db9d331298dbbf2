"""The clusters that run: started and ended in the background, and found by those who need one."""

from __future__ import annotations

import contextlib
import functools
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wheelrun.emulator.compute import paths, preinstalled
from wheelrun.emulator.compute.clusters import Clusters
from wheelrun.emulator.compute.environments import Library
from wheelrun.emulator.compute.machine import Machine
from wheelrun.emulator.compute.processes import run
from wheelrun.emulator.compute.runtimes import difference, runtime_of
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.launch.supervisor import Order
from wheelrun.emulator.state import State
from wheelrun.errors import LibraryError, WheelrunError

_LOOK = 0.05  # seconds between two looks at whether who waits for a cluster is still to wait
_NOT_DONE = ("cluster_log_conf", "docker_image", "init_scripts")


class Fleet:
    """The machines of the clusters that start, run or end.

    Its lock is never held while the state is used, whose own lock others may hold when they come here.

    What a former emulator left behind is put in order at once: its clusters have ended.

    Args:
        state: What the emulator remembers.
        clusters: What is remembered of clusters.
        master: The master of a standalone cluster; None for a JVM of its own for each cluster.
    """

    def __init__(self, state: State, clusters: Clusters, *, master: str | None) -> None:
        self.closing = threading.Event()
        self._state = state
        self._clusters = clusters
        self._master = master
        self._machines: dict[str, Machine] = {}
        self._threads: set[threading.Thread] = set()
        self._lock = threading.RLock()
        for document in clusters.all():
            if document["state"] != "TERMINATED":
                self._stopped(document["cluster_id"])
        for folder in state.clusters.iterdir():
            shutil.rmtree(folder, ignore_errors=True)
        self._preinstalled = preinstalled.find(state.clusters / "preinstalled")

    @functools.cached_property
    def mounts(self) -> bool:
        """Whether folders can appear at the paths that tasks know; it is tried once."""
        return mounts_work(self._state)

    def machine(self, cluster_id: str) -> Machine | None:
        """Return a cluster that runs, starts or ends; None if it does none of it."""
        with self._lock:
            return self._machines.get(cluster_id)

    def boot(self, cluster_id: str) -> None:
        """Start a cluster in the background, unless it is there or the emulator is being stopped."""
        machine = Machine(
            state=self._state,
            cluster_id=cluster_id,
            spec=self._clusters.get(cluster_id)["spec"],
            folder=self._state.clusters / f"{cluster_id}-{secrets.token_hex(4)}",
            preinstalled=self._preinstalled,
            mounts=self.mounts,
            master=self._master,
        )
        with self._lock:
            if cluster_id in self._machines or self.closing.is_set():
                return
            self._machines[cluster_id] = machine
        self._clusters.change(cluster_id, state="PENDING", state_message="Starting Spark", removed=[])
        self.background(lambda: self._booted(cluster_id, machine))

    def _booted(self, cluster_id: str, machine: Machine) -> None:
        machine.problem = "The cluster could not be started."  # until it is
        try:
            machine.boot()
            self.install(machine, self._clusters.get(cluster_id)["libraries"])
            machine.problem = ""
        except (ApiError, WheelrunError, OSError) as error:
            machine.problem = str(error)
        finally:
            try:
                self._announce(cluster_id, machine)
            finally:
                machine.ready.set()

    def _announce(self, cluster_id: str, machine: Machine) -> None:
        """Remember whether a cluster has started."""
        if machine.problem:
            machine.remove()
            self._clusters.terminated(cluster_id, "INVALID_ARGUMENT", "CLIENT_ERROR", machine.problem)
            self._forget(cluster_id, machine)
        elif not machine.down.is_set():
            self._clusters.change(
                cluster_id,
                state="RUNNING",
                state_message=remarks(machine.spec, mounts=machine.mounts, master=machine.master),
            )

    def install(self, machine: Machine, libraries: Sequence[Library]) -> None:
        """Install libraries, each by itself: what goes wrong is in the list of the cluster's environment."""
        for library in libraries:
            with contextlib.suppress(LibraryError):
                machine.install([library], machine.down.is_set)

    def ready(self, cluster_id: str, stop: Callable[[], bool]) -> Machine | None:
        """Return a cluster once it has started, and start one that stays; None if it is not to wait any longer.

        Raises:
            ApiError: there is none, or it cannot start.
        """

        def waits() -> bool:
            return not stop() and not self.closing.is_set()

        while waits():
            machine = self._found(cluster_id)
            while machine is not None and waits() and not machine.ready.wait(_LOOK):
                pass
            if machine is not None and machine.ready.is_set():
                if machine.problem:
                    raise ApiError("INVALID_STATE", machine.problem)
                if not machine.down.is_set():
                    return machine
            self.closing.wait(_LOOK)
        return None

    def _found(self, cluster_id: str) -> Machine | None:
        machine, document = self.machine(cluster_id), self._clusters.get(cluster_id)
        if machine is not None or document["state"] != "TERMINATED":
            return machine
        if document["source"] == "JOB":
            raise ApiError("INVALID_STATE", document["state_message"] or "The cluster was terminated.")
        self.boot(cluster_id)
        return self.machine(cluster_id)

    def end(self, cluster_id: str) -> None:
        """End a cluster with what runs on it, and return when it has ended."""
        machine = self.machine(cluster_id)
        if machine is not None:
            machine.down.set()
            machine.ready.wait()
            machine.remove()
            self._forget(cluster_id, machine)

    def _forget(self, cluster_id: str, machine: Machine) -> None:
        with self._lock:
            if self._machines.get(cluster_id) is machine:
                del self._machines[cluster_id]

    def close(self) -> None:
        """End all clusters."""
        self.closing.set()
        with self._lock:
            machines = dict(self._machines)
        for machine in machines.values():
            machine.down.set()
        for cluster_id in machines:
            self.end(cluster_id)
            self._stopped(cluster_id)
        for thread in list(self._threads):
            thread.join()

    def _stopped(self, cluster_id: str) -> None:
        self._clusters.terminated(cluster_id, "INTERNAL_ERROR", "SERVICE_FAULT", "The emulator was stopped.")

    def background(self, work: Callable[[], None]) -> None:
        """Do something in the background; `close` waits for it."""

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


def remarks(spec: Mapping[str, Any], *, mounts: bool, master: str | None) -> str:
    """Say what a cluster has that is not as it was asked for, empty if there is nothing."""
    runtime = runtime_of(spec.get("spark_version", ""))
    ignored = [name for name in _NOT_DONE if spec.get(name)]
    found = [
        difference(runtime) if runtime else "",
        f"The emulator does not do anything about {' and '.join(ignored)}" if ignored else "",
        "" if mounts else "Nothing can be mounted here: paths in parameters are rewritten",
        f"Executors on {master} do not see /Workspace, /Volumes and /dbfs" if master else "",
    ]
    return ". ".join(filter(None, found))
