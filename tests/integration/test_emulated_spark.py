"""Spark in the tasks of an emulated cluster: real, and as the cluster was asked for."""

from __future__ import annotations

import json
import textwrap
import threading

import pytest

from wheelrun.emulator.compute import Compute, Work
from wheelrun.emulator.secrets import Secrets
from wheelrun.emulator.state import State

CODE = """
import json, os, sys
from pathlib import Path
from pyspark.sql import SparkSession
from pyspark.sql.functions import udf

spark = SparkSession.builder.getOrCreate()
spark.range(4).write.parquet("/Volumes/table")
commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
print(json.dumps({
    "parallelism": spark.sparkContext.defaultParallelism,
    "setting": spark.conf.get("spark.sql.shuffle.partitions"),
    "secret": spark.conf.get("spark.mine.password"),
    "on a command line": any(b"hu" + b"sh" in command for command in commands),
    "environment": spark.range(1).select(udf(lambda _: os.environ["GREETING"])("id")).first()[0],
    "rows": spark.read.parquet("/Volumes/table").count(),
    "local": os.listdir("/local_disk0/tmp") != [],
}))
"""


@pytest.mark.spark
def test_what_a_cluster_is_asked_for_takes_effect(tmp_path):
    state = State(folder=tmp_path, host="http://127.0.0.1:9", token="token")
    secrets = Secrets(state)
    secrets.create_scope("s")
    secrets.put("s", "k", b"hush")
    compute = Compute(state)
    try:
        (state.workspace / "task.py").write_text(textwrap.dedent(CODE))
        spec = {
            "spark_version": "15.4.x-scala2.12",
            "node_type_id": "m5d.large",
            "num_workers": 3,
            "spark_conf": {"spark.sql.shuffle.partitions": "7", "spark.mine.password": "{{secrets/s/k}}"},
            "spark_env_vars": {"GREETING": "hello"},
        }
        cluster = compute.job_cluster(spec, name="job")
        task = {"spark_python_task": {"python_file": "/Workspace/task.py"}}
        work = Work(run_id=1, task=task, libraries=(), folder=state.runs / "1", values={})
        outcome = compute.execute(cluster, work, threading.Event())
        assert outcome.result == "SUCCESS", (work.folder / "output").read_text()
        assert json.loads((work.folder / "stdout").read_text()) == {
            "parallelism": 6,
            "setting": "7",
            "secret": "hush",
            "on a command line": False,
            "environment": "hello",
            "rows": 4,
            "local": True,
        }
        assert (state.volumes / "table" / "_SUCCESS").exists()
        compute.release(cluster)
        assert [path.name for path in state.clusters.iterdir()] == ["preinstalled"]
    finally:
        compute.close()
        state.close()
