"""Local runs on a real Spark."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from pathlib import Path

import pytest
from waiting import until

from wheelrun.client import Client
from wheelrun.runtime import processes
from wheelrun.states import RunState as S

pytestmark = pytest.mark.spark

FILES = {
    "shop/__init__.py": "",
    "shop/rules.py": "def price(cents): return cents / 100\n",
    "shop/flows.py": """
        from __future__ import annotations
        import os, signal, time
        from pathlib import Path
        from pyspark.sql import DataFrame, SparkSession
        from pyspark.sql import functions as F
        from shop.rules import price
        from wheelrun import current_run, pipeline, step

        @step
        def orders(spark: SparkSession, n: int) -> DataFrame:
            return spark.range(n).withColumn("cents", F.col("id") * 150)

        @step
        def priced(frame: DataFrame) -> DataFrame:
            to_price = F.udf(price, "double")
            return frame.repartition(2).withColumn("price", to_price("cents"))

        @step
        def summed(spark: SparkSession, frame: DataFrame) -> dict:
            row = frame.agg(F.sum("price").alias("total"), F.count("*").alias("n")).first()
            return {"total": row["total"], "n": row["n"], "app": spark.sparkContext.applicationId}

        @step
        def as_pandas(frame: DataFrame):
            return frame.limit(3).toPandas()

        @pipeline
        def revenue(n: int = 100):
            frame = priced(orders(n))
            return {"sum": summed(frame), "head": as_pandas(frame)}

        def jvm(spark: SparkSession):
            runtime = spark._jvm.java.lang.Runtime.getRuntime()
            return {
                "heap_mb": runtime.maxMemory() // 2**20,
                "shuffle": spark.conf.get("spark.sql.shuffle.partitions"),
                "secret": spark.conf.get("spark.hadoop.fs.s3a.secret.key", None),
                "pid": spark._jvm.java.lang.ProcessHandle.current().pid(),
                "command": Path(f"/proc/{spark._jvm.java.lang.ProcessHandle.current().pid()}/cmdline").read_text(),
                "host": spark.conf.get("spark.driver.host"),
                "ui": spark.sparkContext.uiWebUrl,
            }

        @step
        def loses_its_jvm(spark: SparkSession):
            if current_run().attempt == 1:
                os.kill(spark._jvm.java.lang.ProcessHandle.current().pid(), signal.SIGKILL)
                time.sleep(0.5)
            return spark.range(3).count()

        @step
        def counts(spark: SparkSession, given): return spark.range(given).count()

        @pipeline
        def recovers(): return counts(loses_its_jvm.with_options(retries=1, retry_delay=0)())

        @pipeline
        def does_not_recover(): return counts(loses_its_jvm())

        @step(timeout=20)
        def busy(spark: SparkSession, go: Path):
            go.touch()
            slow = F.udf(lambda value: time.sleep(600) or value, "long")
            return spark.range(4).select(slow("id")).count() + len(spark.range(4).select(slow("id")).collect())

        @step(run_if="always")
        def still_works(spark: SparkSession, given): return spark.range(5).count()

        @pipeline
        def hangs(go: Path): return still_works(busy(go))
        """,
    "script.py": """
        import sys
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.appName("script").getOrCreate()
        print("rows", spark.range(int(sys.argv[1])).count())
        spark.stop()
        """,
}


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    (root / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\n[tool.wheelrun.targets.local]\nmaster = "local[2]"\n'
        '[tool.wheelrun.targets.local.conf]\n"spark.sql.shuffle.partitions" = 2\n'
    )
    return root


@pytest.fixture
def client(project):
    client = Client(project, cwd=project)
    yield client
    for run in client.runs():
        if not run.state.is_terminal:
            run.cancel()


def test_one_session_serves_all_steps_and_udfs_find_the_wheels_modules(client):
    run = client.submit("shop.flows:revenue", {"n": 100})
    record = run.wait(timeout=180)
    assert record.state is S.SUCCEEDED, record.error
    by_name = {step.name: step for step in record.steps}
    assert len({step.application_id for step in record.steps}) == 1
    frame = by_name["priced"].outputs[0]
    assert (frame["format"], frame["rows"]) == ("parquet", 100)
    assert frame["bytes"] > 0
    result = run.result()
    assert result["sum"]["n"] == 100
    assert result["sum"]["total"] == sum(index * 1.5 for index in range(100))
    assert result["sum"]["app"] == by_name["orders"].application_id
    assert len(result["head"]) == 3
    supervisor = record.metadata["pid"]
    until(lambda: not processes.of_session(supervisor), within=10)


def test_configuration_reaches_the_jvm_and_secrets_no_command_line(client):
    run = client.submit(
        "shop.flows:jvm",
        conf={
            "spark.driver.memory": "700m",
            "spark.hadoop.fs.s3a.secret.key": "s3cr3t",
            "spark.app.name": "a name with = and : and ünicode",
        },
    )
    run.wait(timeout=120)
    found = run.result()
    assert 600 < found["heap_mb"] <= 700
    assert found["shuffle"] == "2"
    assert found["secret"] == "s3cr3t"
    assert "s3cr3t" not in found["command"]
    assert found["host"] == "127.0.0.1"
    assert found["ui"] is None


def test_a_script_makes_its_own_session(client):
    run = client.submit("script.py", argv=["7"])
    record = run.wait(timeout=120)
    assert record.state is S.SUCCEEDED, record.error
    assert [line.text for line in run.logs(stream="stdout")] == ["rows 7"]


def test_code_that_starts_spark_without_showing_it_gets_the_same_configuration(client, project):
    (project / "late.py").write_text(
        "def main():\n"
        "    import importlib\n"
        "    session = importlib.import_module('pyspark.sql').SparkSession.builder.getOrCreate()\n"
        "    return [session.conf.get('spark.sql.shuffle.partitions'), session.conf.get('spark.driver.host')]\n"
    )
    run = client.submit("late:main")
    record = run.wait(timeout=120)
    assert record.state is S.SUCCEEDED, record.error
    assert run.result() == ["2", "127.0.0.1"]


def test_a_dead_jvm_is_told_and_a_retry_gets_a_new_one(client):
    run = client.submit("shop.flows:recovers")
    record = run.wait(timeout=180)
    assert record.state is S.SUCCEEDED, record.error
    assert record.steps[0].attempts == 2
    assert run.result() == 3


def test_a_dead_jvm_without_a_retry_fails_the_run_as_a_cluster_failure(client):
    record = client.submit("shop.flows:does_not_recover").wait(timeout=120)
    assert [step.state for step in record.steps] == [S.FAILED, S.SKIPPED]
    assert (record.error.category, record.exit_code) == ("cluster", 6)
    assert "the JVM died" in record.error.message


def test_cancel_ends_the_jvm_and_its_python_workers(client, tmp_path):
    go = tmp_path / "go"
    run = client.submit("shop.flows:hangs", {"go": str(go)})
    until(go.exists)
    time.sleep(1)  # let the Python workers start; what is asserted does not depend on it
    supervisor = run.status().metadata["pid"]
    assert len(processes.of_session(supervisor)) >= 3
    began = time.monotonic()
    assert run.cancel().state is S.CANCELLED
    assert time.monotonic() - began < 10
    assert processes.of_session(supervisor) == []
    assert not Path(run.record.metadata["scratch"]).exists()


def test_a_step_that_waits_for_spark_is_timed_out_and_the_session_goes_on(client, tmp_path):
    record = client.submit("shop.flows:hangs", {"go": str(tmp_path / "go")}).wait(timeout=180)
    assert [step.state for step in record.steps] == [S.FAILED, S.SUCCEEDED]
    assert record.exit_code == 124
    assert record.steps[0].error.category == "timeout"


def test_a_jvm_that_cannot_start_says_so(client):
    record = client.submit("shop.flows:jvm", conf={"spark.driver.memory": "a lot"}).wait(timeout=60)
    assert record.state is S.FAILED
    assert "before it was ready" in record.error.message
    assert record.exit_code == 6


def test_a_killed_worker_takes_its_jvm_along(client, tmp_path):
    go = tmp_path / "go"
    run = client.submit("shop.flows:hangs", {"go": str(go)})
    until(go.exists)
    supervisor = run.status().metadata["pid"]
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not processes.of_session(supervisor), within=20)
    assert run.status().state is S.FAILED
    assert not Path(run.record.metadata["scratch"]).exists()
