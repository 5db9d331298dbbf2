"""Spark in the tasks of an emulated cluster: real, and as the cluster was asked for."""

from __future__ import annotations

import json
import textwrap
import threading
import zipfile

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


ON_A_CLUSTER = """
from pyspark.sql import SparkSession
from pyspark.sql.functions import udf

spark = SparkSession.builder.getOrCreate()
named = spark.range(20).select(udf(lambda _: __import__("hello").name)("id")).distinct().collect()
print(spark.sparkContext.master, [row[0] for row in named], spark.conf.get("spark.cores.max"))
"""


@pytest.mark.spark
@pytest.mark.slow
def test_tasks_on_a_standalone_cluster(tmp_path, spark_cluster):
    master = spark_cluster.targets["cluster"]["master"]
    state = State(folder=tmp_path, host="http://127.0.0.1:9", token="token")
    compute = Compute(state, spark_master=master)
    try:
        (state.workspace / "task.py").write_text(ON_A_CLUSTER)
        write_wheel(state.workspace / "hello-1.0-py3-none-any.whl")
        spec = {"spark_version": "15.4.x-scala2.12", "node_type_id": "m5d.large", "num_workers": 1}
        cluster = compute.job_cluster(spec, name="job")
        task = {"spark_python_task": {"python_file": "/Workspace/task.py"}}
        wheel = {"whl": "/Workspace/hello-1.0-py3-none-any.whl"}
        work = Work(run_id=1, task=task, libraries=[wheel], folder=state.runs / "1", values={})
        outcome = compute.execute(cluster, work, threading.Event())
        assert outcome.result == "SUCCESS", (work.folder / "output").read_text()
        assert (work.folder / "stdout").read_text() == f"{master} ['hello'] 2\n"
    finally:
        compute.close()
        state.close()


def write_wheel(path):
    files = {
        "hello.py": "name = 'hello'\n",
        "hello-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: hello\nVersion: 1.0\n",
        "hello-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "hello-1.0.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
