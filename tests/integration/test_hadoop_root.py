"""An artifact root that the cluster reaches through Hadoop's file systems, and the client otherwise.

`viewfs` is a file system of Hadoop's own client, so what goes through it goes the way of hdfs, s3a, gs and abfs.
"""

from __future__ import annotations

import json
import textwrap
import time

import pytest

from wheelrun.client import Client
from wheelrun.states import RunState as S

pytestmark = [pytest.mark.spark, pytest.mark.slow]

JOBS = """
    from pathlib import Path
    from pyspark.sql import DataFrame, SparkSession
    from wheelrun import current_run, pipeline, step
    import time

    @step(cache=True)
    def numbers(spark: SparkSession, n: int) -> DataFrame: return spark.range(n)

    @step
    def total(frame: DataFrame, marker: Path):
        if not marker.exists(): raise ValueError("not yet")
        return {"sum": frame.groupBy().sum("id").collect()[0][0], "attempt": current_run().attempt}

    @pipeline
    def summed(n: int, marker: Path): return total(numbers(n=n), marker)

    def wait_for(path: Path):
        while not path.exists(): time.sleep(0.05)
"""


@pytest.fixture
def client(spark_cluster, tmp_path, environ):
    project, root = tmp_path / "project", tmp_path / "root"
    project.mkdir()
    root.mkdir()
    (project / "jobs.py").write_text(textwrap.dedent(JOBS))
    table = {**spark_cluster.targets["cluster"], "artifact_root": str(root), "cluster_root": "viewfs://here/root"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    lines.append(f'conf."spark.hadoop.fs.viewfs.mounttable.here.link./root" = {json.dumps(root.as_uri())}')
    lines.append('conf."spark.cores.max" = "1"')
    (project / "wheelrun.toml").write_text("[targets.c]\n" + "\n".join(lines) + "\n")
    return Client(project, cwd=project, environ={**environ, "WHEELRUN_HOME": str(tmp_path / "home")})


def test_a_run_leaves_everything_there_and_is_resumed_from_there(client, tmp_path):
    marker = tmp_path / "marker"
    run = client.submit("jobs:summed", {"n": 10, "marker": marker}, target="c")
    assert run.wait(timeout=240).state is S.FAILED
    assert [step.state for step in run.record.steps] == [S.SUCCEEDED, S.FAILED]
    assert run.record.error.message.endswith("not yet")
    assert run.record.steps[0].outputs[0]["url"].startswith("viewfs://here/root/runs/")
    marker.touch()
    for sums in (tmp_path / "root").rglob(".*.crc"):
        sums.unlink()  # Hadoop's, of a file system of this machine: they would not be those of what the client writes
    again = client.resume(run.id)
    assert again.wait(timeout=240).state is S.SUCCEEDED, again.record
    assert again.result() == {"sum": 45, "attempt": 1}
    assert again.record.steps[0].attempts == 1

    other = client.submit("jobs:summed", {"n": 10, "marker": marker}, target="c")
    assert other.wait(timeout=240).state is S.SUCCEEDED
    assert [step.state for step in other.record.steps] == [S.CACHED, S.SUCCEEDED]
    assert other.result()["sum"] == 45


def test_a_wish_to_cancel_reaches_the_driver(client, tmp_path):
    run = client.submit("jobs:wait_for", {"path": tmp_path / "never"}, target="c")
    limit = time.monotonic() + 120
    while run.status().steps[0].state is not S.RUNNING:
        assert time.monotonic() < limit
        time.sleep(0.1)
    began = time.monotonic()
    assert run.cancel().state is S.CANCELLED
    assert time.monotonic() - began < 10
