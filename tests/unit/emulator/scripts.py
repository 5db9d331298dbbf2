"""Compute without clusters: each task is a line of Python, run in a process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from wheelrun.emulator.compute import Compute, Outcome, Work
from wheelrun.emulator.errors import ApiError

CLUSTER = "0000-000000-standin"


class Scripts(Compute):
    """Runs the text that a task has for the path of its file."""

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


def script(key: str, code: str = "", *parameters: str, **settings) -> dict:
    """Return a task that runs a line of Python."""
    depends = [{"task_key": one} for one in settings.pop("after", ())]
    return {
        "task_key": key,
        "spark_python_task": {"python_file": code or "pass", "parameters": list(parameters)},
        "existing_cluster_id": CLUSTER,
        **({"depends_on": depends} if depends else {}),
        **settings,
    }


def until(condition, *, seconds: float = 30.0):
    """Wait until a condition holds, and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)
    return found
