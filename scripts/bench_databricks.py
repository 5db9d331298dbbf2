"""The benchmarks of Databricks targets, on the emulator of this machine; a group of scripts/bench.py."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

NEW = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
JOBS = """
import time
from wheelrun import pipeline, step

def one(n: int = 1): return n

@step
def part(n: int): return n

@pipeline
def wide():
    for number in range(100): part.with_options(name=f"part{number}")(number)

def sleep(seconds: float): time.sleep(seconds)
"""

Limit = tuple[str, str, float, float]
"""What is measured, in what, how much it is, and how much it may be."""


def measured(work: Path, wheelrun: str, env: Mapping[str, str]) -> Iterator[Limit]:
    """Yield the figures.

    Args:
        work: A folder to work in.
        wheelrun: The command.
        env: Its environment.
    """
    env = {**env, "WHEELRUN_HOME": str(work / "home-databricks")}

    def call(*words: str) -> Any:
        done = subprocess.run(
            [wheelrun, *words, "-o", "json"], cwd=work, env=env, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout) if done.stdout.strip() else None

    up = call("emulator", "up")
    try:
        env |= {"DATABRICKS_HOST": up["host"], "DATABRICKS_TOKEN": up["token"]}
        yield from _counted(work, up, call)
    finally:
        call("emulator", "down")


def _counted(work: Path, up: Mapping[str, Any], call: Callable[..., Any]) -> Iterator[Limit]:
    import requests
    from databricks.sdk import WorkspaceClient

    client = WorkspaceClient(host=up["host"], token=up["token"])
    cluster = client.clusters.create(cluster_name="bench", autotermination_minutes=60, **NEW).response.cluster_id
    (work / "jobs.py").write_text(JOBS)
    (work / "wheelrun.toml").write_text(
        f'[targets.prod]\norchestrator = "databricks"\nexisting_cluster_id = "{cluster}"\n'
    )
    headers = {"Authorization": f"Bearer {up['token']}"}

    def calls() -> Sequence[str]:
        found = requests.get(f"{up['host']}/emulator/requests", headers=headers, timeout=60).json()["requests"]
        requests.delete(f"{up['host']}/emulator/requests", headers=headers, timeout=60)
        return [each["path"].rpartition("/")[2] for each in found if "well-known" not in each["path"]]

    call("submit", "jobs:one", "-t", "prod", "--wait")
    calls()
    again = call("submit", "jobs:one", "-t", "prod", "--no-wait")
    before = calls()
    yield "unchanged, submitted again", "calls", len(before[: before.index("submit") + 1]), 4
    yield "unchanged, submitted again", "bytes of code", _sent(work, again["run_id"]), 0
    wide = call("submit", "jobs:wide", "-t", "prod", "--no-wait")
    made = Counter(calls())
    yield "100 tasks", "creates and resets", made["create"] + made["reset"], 1
    yield "100 tasks", "run-nows", made["run-now"], 1
    call("status", wide["run_id"])
    yield "a look at 100 tasks", "calls of runs/get", Counter(calls())["get"], 1
    call("cancel", wide["run_id"])


def _sent(work: Path, run_id: str) -> int:
    from wheelrun.store import RunStore

    store = RunStore(work / "home-databricks" / "data" / "runs.sqlite")
    try:
        return int(store.get(run_id).metadata["bytes_sent"])
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit("run scripts/bench.py --only databricks")
