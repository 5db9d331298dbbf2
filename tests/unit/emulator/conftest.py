from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import waiting
from databricks.sdk import WorkspaceClient

from wheelrun.emulator.compute import Compute, Outcome, Work
from wheelrun.emulator.engine import Engine
from wheelrun.emulator.engine.orders import Order
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.server import running
from wheelrun.emulator.state import State


@pytest.fixture
def emulator(tmp_path):
    """A running emulator's state: its `host`, its `token`, what it remembers."""
    with running(tmp_path / "emulator") as state:
        yield state


@pytest.fixture
def workspace(emulator):
    """The official client of it."""
    return WorkspaceClient(host=emulator.host, token=emulator.token)


CLUSTER = "0000-000000-standin"


class Scripts(Compute):
    """Compute without clusters: runs the text that a task has for the path of its file, in a process of Python."""

    def __init__(self, state, *, spark_master=None):
        super().__init__(state, spark_master=spark_master)
        self.made: list[str] = []
        self.released: list[str] = []
        self.most = self._now = 0
        self._counting = threading.Lock()

    def check_existing(self, cluster_id):
        if cluster_id != CLUSTER:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Cluster {cluster_id} does not exist")

    def job_cluster(self, spec, *, name):
        self.made.append(name)
        return name

    def serverless(self, environment, *, name):
        self.made.append(name)
        return name

    def release(self, cluster_id):
        self.released.append(cluster_id)

    def execute(self, cluster_id: str, work: Work, stop: threading.Event) -> Outcome:
        with self._counting:
            self._now += 1
            self.most = max(self.most, self._now)
        try:
            return self._run(work, stop)
        finally:
            with self._counting:
                self._now -= 1

    def _run(self, work: Work, stop: threading.Event) -> Outcome:
        (task,) = work.task.values()
        code = task.get("python_file") or task["entry_point"]
        words = task.get("parameters") or [
            f"--{name}={value}" for name, value in task.get("named_parameters", {}).items()
        ]
        with (work.folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-S", "-E", "-c", code, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=work.folder,
                env=dict(work.values),
            )
            while process.poll() is None:
                if stop.wait(0.005):
                    process.kill()
                    process.wait()
                    return Outcome(result="CANCELED", code="CANCELED", message="Run cancelled.")
        if process.returncode:
            trace = (work.folder / "output").read_text()
            return Outcome(
                result="FAILED", code="RUN_EXECUTION_ERROR", error=trace.strip().splitlines()[-1], trace=trace
            )
        return Outcome(result="SUCCESS", code="SUCCESS")


def _script(key: str, code: str = "", *parameters: str, **settings) -> dict:
    """Return a task that runs a line of Python."""
    depends = [{"task_key": one} for one in settings.pop("after", ())]
    return {
        "task_key": key,
        "spark_python_task": {"python_file": code or "pass", "parameters": list(parameters)},
        "existing_cluster_id": CLUSTER,
        **({"depends_on": depends} if depends else {}),
        **settings,
    }


@pytest.fixture
def script():
    """Makes a task that runs a line of Python: `script(key, code, *parameters, after=[...], **settings)`."""
    return _script


@pytest.fixture
def until():
    """Waits until a condition holds."""
    return waiting.until


@pytest.fixture
def stand_in():
    """The class of a compute that runs lines of Python."""
    return Scripts


@pytest.fixture
def scripted(tmp_path):
    """A running emulator whose tasks are lines of Python: the official client of it."""
    with running(tmp_path / "emulator", compute_class=Scripts) as state:
        yield WorkspaceClient(host=state.host, token=state.token)


class Bench:
    """An engine without a server.

    Attributes:
        engine: The engine.
        compute: What runs its tasks.
    """

    def __init__(self, folder, **settings):
        self.state = State(folder=folder, host="http://host", token="t")
        self.compute = Scripts(self.state)
        self.engine = Engine(self.state, self.compute, **settings)

    def job(self, *tasks, **settings):
        """Make a job, return its id."""
        return self.engine.jobs.create({"tasks": list(tasks), **settings}).job_id

    def now(self, job_id, **fields):
        """Start a job, return its run's id."""
        return self.engine.start(Order.of_job(self.engine.jobs.get(job_id), fields))

    def once(self, *tasks, **fields):
        """Start tasks, return their run's id."""
        return self.engine.start(Order.once({"tasks": list(tasks), **fields}, single=False))

    def done(self, run_id):
        """Wait for the end of a run, return it."""
        return waiting.until(lambda: (run := self.engine.records.run(run_id)) and not run.active and run)

    def results(self, run_id):
        """Wait for the end of a run, return the result of each of its tasks."""
        self.done(run_id)
        return {key: one.ending.result for key, one in self.engine.records.latest(run_id).items()}

    def output(self, run_id, key):
        """Return what the last attempt of a task wrote."""
        attempt = self.engine.records.latest(run_id)[key]
        return (self.engine.records.folder(attempt.run_id) / "output").read_text().strip()

    def close(self):
        """End it."""
        self.engine.close()
        self.compute.close()
        self.state.close()


@pytest.fixture
def bench(tmp_path):
    """An engine without a server."""
    made = Bench(tmp_path / "bench")
    yield made
    made.close()


@pytest.fixture
def benches(tmp_path):
    """Makes engines of one state, one after the other."""
    made = []

    def make(**settings):
        if made:
            made.pop().close()
        made.append(Bench(tmp_path / "bench", **settings))
        return made[0]

    yield make
    for one in made:
        one.close()
