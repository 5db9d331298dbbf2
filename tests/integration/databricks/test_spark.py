"""Frames between steps, and code on executors, on an emulated workspace with real Spark."""

from __future__ import annotations

import textwrap

import pytest

pytestmark = pytest.mark.spark

FRAMES = """
    import pandas as pd
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import udf
    from wheelrun import pipeline, step

    def twice(n): return 2 * n

    @step
    def make(spark: SparkSession): return spark.range(5).withColumnRenamed("id", "n")

    @step
    def use(frame, spark: SparkSession):
        rows = frame.select(udf(twice, "long")("n").alias("n")).collect()
        return sorted(row["n"] for row in rows), spark.conf.get("spark.sql.shuffle.partitions")

    @step
    def small(): return pd.DataFrame({"n": [1, 2]})

    @step
    def read(frame): return int(frame["n"].sum())

    @pipeline
    def frames(): return use(make()), read(small())
    """


@pytest.mark.parametrize("target", ["volume", "there"])
def test_frames_go_from_step_to_step(client, target):
    (client.root / "frames.py").write_text(textwrap.dedent(FRAMES))
    run = client.submit("frames:frames", target=target, conf={"spark.sql.shuffle.partitions": "3"})
    record = run.wait(timeout=240)
    assert record.error is None, record.error
    assert run.result() == (([0, 2, 4, 6, 8], "3"), 3)
    (made,) = [step for step in record.steps if step.name == "make"]
    assert made.application_id
    assert made.outputs[0]["format"] == "parquet"


def test_an_older_version_runs_on_a_cluster_that_has_a_newer_one(client):
    (client.root / "frames.py").write_text(textwrap.dedent(FRAMES))
    run = client.submit("frames:frames", target="volume")
    assert run.result(timeout=240)[0][0] == [0, 2, 4, 6, 8]
    (client.root / "frames.py").write_text(textwrap.dedent(FRAMES).replace("2 * n", "3 * n"))
    newer = client.submit("frames:frames", target="volume")
    assert newer.result(timeout=240)[0][0] == [0, 3, 6, 9, 12]
    again = client.rerun(run.id)
    assert again.result(timeout=240)[0][0] == [0, 2, 4, 6, 8]
