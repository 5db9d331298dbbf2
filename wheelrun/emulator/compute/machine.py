"""A cluster while it runs: its folder, its environment, and the tasks on it."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wheelrun.config.places import cache_dir
from wheelrun.emulator import driver
from wheelrun.emulator.compute import paths, settings
from wheelrun.emulator.compute.environments import Environment, Library
from wheelrun.emulator.compute.preinstalled import Preinstalled
from wheelrun.emulator.compute.processes import Ended, run
from wheelrun.emulator.compute.spark import Spark
from wheelrun.emulator.compute.work import Outcome, Work
from wheelrun.emulator.launch.supervisor import Order
from wheelrun.emulator.secrets import resolved
from wheelrun.emulator.state import State
from wheelrun.errors import ClusterError, LibraryError
from wheelrun.runtime.session import write_conf_dir

DISK = "/local_disk0"
"""Where tasks see the cluster's own disk."""

_GRACE = 8.0  # seconds that a task's processes have after SIGTERM; all are gone within ten
_REWRITTEN = (
    "emulator: nothing can be mounted at /Workspace, /Volumes and /dbfs on this machine, and paths there in the task's "
    "parameters are those of the emulator's folders instead"
)
_UNREADABLE = "Cannot read the python file {}. Please check driver logs for more details."


@dataclass(slots=True, kw_only=True)
class Machine:
    """A running cluster.

    Attributes:
        state: What the emulator remembers.
        cluster_id: The cluster.
        spec: Its specification.
        folder: Its own folder, which goes with it.
        preinstalled: What its environment has from the beginning.
        mounts: Whether folders can appear at the paths that tasks know.
        master: The master of a standalone cluster; None for Spark in one JVM.
        ready: Set when it has started, or cannot.
        down: Set when it is to end.
        problem: Why it could not start, empty if it could.
    """

    state: State
    cluster_id: str
    spec: Mapping[str, Any]
    folder: Path
    preinstalled: Preinstalled
    mounts: bool
    master: str | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    down: threading.Event = field(default_factory=threading.Event)
    problem: str = ""
    busy: int = 0
    _idle: threading.Condition = field(default_factory=threading.Condition)
    _environ: dict[str, str] = field(default_factory=dict)
    environment: Environment = field(init=False)
    spark: Spark = field(init=False)

    def __post_init__(self) -> None:
        self.spark = Spark(self._spark_order)
        self.environment = Environment(
            state=self.state,
            cluster_id=self.cluster_id,
            folder=self.folder / "python",
            preinstalled=self.preinstalled,
        )

    @property
    def disk(self) -> str:
        """The path of its own disk, as tasks see it; executors elsewhere see nothing that is mounted for a task."""
        return DISK if self.mounts and self.master is None else str(self.folder / "disk")

    def boot(self) -> None:
        """Make what tasks need.

        Raises:
            ApiError: its settings refer to a secret that is not there.
            ClusterError: the environment cannot be made.
        """
        for name in ("root", "disk/tmp", "disk/home", "disk/driver"):
            (self.folder / name).mkdir(parents=True, mode=0o700, exist_ok=True)
        self.environment.make()
        tags = {
            "spark.databricks.clusterUsageTags.clusterId": self.cluster_id,
            "spark.databricks.clusterUsageTags.clusterName": self.spec.get("cluster_name", ""),
        }
        conf = settings.spark_conf(self.spec, tags | self._resolved("spark_conf"), master=self.master, disk=self.disk)
        write_conf_dir(self.folder / "conf", conf, inherited=None)
        self._environ = settings.environment(
            self.spec, self._resolved("spark_env_vars"), inherited=os.environ, cache=cache_dir(os.environ)
        )

    def _resolved(self, name: str) -> dict[str, str]:
        return {key: resolved(self.state, str(value)) for key, value in (self.spec.get(name) or {}).items()}

    def install(self, libraries: Sequence[Library], stop: Callable[[], bool]) -> None:
        """Install libraries.

        Raises:
            LibraryError: one cannot be installed.
        """
        self.environment.install_lines((self.spec.get("environment") or {}).get("dependencies") or [], stop)
        self.environment.install(libraries, stop)

    def execute(self, work: Work, stop: Callable[[], bool]) -> Outcome:
        """Install a task's libraries and run it until it ends."""

        def ends() -> bool:
            return stop() or self.down.is_set()

        with self._idle:
            if self.down.is_set():
                return Outcome(result="INTERNAL_ERROR", code="CLUSTER_ERROR", message="The cluster was terminated.")
            self.busy += 1
        try:
            self.install(work.libraries, ends)
            outcome = self._run(work, ends)
        except LibraryError as error:
            outcome = Outcome(result="INTERNAL_ERROR", code="LIBRARY_INSTALLATION_ERROR", message=error.message)
        except ClusterError as error:
            outcome = Outcome(result="INTERNAL_ERROR", code="CLUSTER_ERROR", message=error.message)
        finally:
            with self._idle:
                self.busy -= 1
                self._idle.notify_all()
        return outcome

    def _run(self, work: Work, stop: Callable[[], bool]) -> Outcome:
        task = work.task if self.mounts else paths.rewritten(self.state, dict(work.task))
        file = work.task.get("spark_python_task", {}).get("python_file")
        if file is not None:
            real = paths.located(self.state, file)
            if real is None or not real.is_file():
                message = _UNREADABLE.format(file)
                return Outcome(result="FAILED", code="RUN_EXECUTION_ERROR", message=message, error=message)
            seen = paths.named(self.state, real) if self.mounts else str(real)
            task = {"spark_python_task": {**task["spark_python_task"], "python_file": seen}}
        work.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.mounts:
            self._tell(work, _REWRITTEN)
        with self.spark.lent(str(work.run_id)) as lease:
            outcome = ended(run(self._order(work, task), stop, lease.theirs))
        trouble = lease.trouble
        if outcome.result != "FAILED" or trouble is None:
            return outcome
        self._tell(work, f"{trouble.message} Its last words:\n{trouble.words}")
        return replace(outcome, result="INTERNAL_ERROR", code=trouble.code, message=trouble.message)

    def _tell(self, work: Work, text: str) -> None:
        for name in ("stderr", "output"):
            with (work.folder / name).open("a", encoding="utf-8") as stream:
                stream.write(f"{text}\n")

    def _order(self, work: Work, task: Mapping[str, Any]) -> Order:
        payload = {
            "task": task,
            "folder": str(work.folder),
            "host": self.state.host,
            "token": self.state.token,
            "roots": {path: path if self.mounts else folder for path, folder in self._folders().items()},
        }
        return self._here("dbruntime.main", work.folder, work.values, json.dumps(payload))

    def _spark_order(self) -> Order:
        logs = self.state.drivers / self.cluster_id
        logs.mkdir(mode=0o700, exist_ok=True)
        return self._here("dbruntime.cluster", logs, {})

    def _here(self, module: str, logs: Path, values: Mapping[str, str], payload: str | None = None) -> Order:
        """Return the order to run a module of the driver, with the cluster's files where tasks see them."""
        return Order(
            command=[str(self.environment.python), "-m", module],
            environ=self._environment(values),
            cwd=f"{self.disk}/driver",
            logs=str(logs),
            payload=payload,
            mounts={**self._folders(), DISK: str(self.folder / "disk")} if self.mounts else {},
            base=str(self.folder / "root"),
            grace=_GRACE,
        )

    def _folders(self) -> dict[str, str]:
        return {path: str(folder) for path, folder in paths.folders(self.state).items()}

    def _environment(self, values: Mapping[str, str]) -> dict[str, str]:
        python = str(self.environment.python)
        on_path = [str(Path(driver.__file__).parent), self._environ.get("PYTHONPATH", "")]
        return {
            "PYSPARK_PYTHON": python,
            "PYSPARK_DRIVER_PYTHON": python,
            "HOME": str(Path(self.disk, "home")),
            "TMPDIR": str(Path(self.disk, "tmp")),
            "SPARK_LOCAL_DIRS": str(Path(self.disk, "tmp")),
            **self._environ,
            **values,
            "PATH": f"{Path(python).parent}{os.pathsep}{self._environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, on_path)),
            "SPARK_CONF_DIR": str(self.folder / "conf"),
        }

    def remove(self) -> None:
        """End the tasks on it and remove its folder."""
        with self._idle:
            self.down.set()
            self._idle.wait_for(lambda: self.busy == 0)
        self.spark.end()
        shutil.rmtree(self.folder, ignore_errors=True)


def ended(process: Ended) -> Outcome:
    """Return how a task ended whose process ended so."""
    report = json.loads(process.report) if process.report else {}
    if process.stopped:
        return Outcome(result="CANCELED", code="CANCELED", message="Run cancelled.")
    if process.code == 0:
        return Outcome(result="SUCCESS", code="SUCCESS")
    killed = f"signal {-process.code}" if process.code < 0 else f"exit code {process.code}"
    return Outcome(
        result="FAILED",
        code="RUN_EXECUTION_ERROR",
        message="Workload failed, see run output for details",
        error=report.get("error") or f"The Python process exited unexpectedly ({killed}).",
        trace=report.get("trace"),
    )
