"""Spark in the tasks of an emulated cluster: real, as the cluster was asked for, and one for all of its tasks."""

from __future__ import annotations

import json
import os
import textwrap
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from waiting import until

from wheelrun.emulator.compute import Compute, Work
from wheelrun.emulator.secrets import Secrets
from wheelrun.emulator.state import State

SPEC = {"spark_version": "15.4.x-scala2.12", "node_type_id": "m5d.large", "num_workers": 3}
SESSION = """
    import json
    from pyspark.sql import SparkSession, functions as F

    spark = SparkSession.builder.getOrCreate()
    sc = spark.sparkContext

    def say(value):
        print(json.dumps(value))
"""


class Bench:
    """A compute, and tasks on it."""

    def __init__(self, folder, **settings):
        self.state = State(folder=folder, host="http://127.0.0.1:9", token="token")
        self.compute = Compute(self.state, **settings)
        self._numbers = iter(range(1, 1000))

    def cluster(self, **spec):
        return self.compute.job_cluster({**SPEC, **spec}, name="job")

    def run(self, cluster, code, *, begin=SESSION, **options):
        """Run a text as a task; return how it ended and what it printed as JSON."""
        task = Task(self, begin, code)
        outcome = task.run(cluster, **options)
        assert outcome.result == "SUCCESS", task.said("output")
        return [json.loads(line) for line in task.said("stdout").splitlines()]

    def close(self):
        self.compute.close()
        self.state.close()


class Task:
    """A task that is a text."""

    def __init__(self, bench, begin, code):
        self.bench = bench
        self.number = next(bench._numbers)
        self.folder = bench.state.runs / str(self.number)
        self.stop = threading.Event()
        self.path = bench.state.workspace / f"task{self.number}.py"
        self.path.write_text(textwrap.dedent(begin) + textwrap.dedent(code))

    def run(self, cluster, *, libraries=()):
        task = {"spark_python_task": {"python_file": f"/Workspace/{self.path.name}"}}
        work = Work(run_id=self.number, task=task, libraries=libraries, folder=self.folder, values={})
        return self.bench.compute.execute(cluster, work, self.stop)

    def said(self, name="output"):
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def wait_for(self, text):
        until(lambda: text in self.said("stdout"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = Bench(tmp_path_factory.mktemp("emulator"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def cluster(bench):
    """A cluster that the tests of this module share, as tasks do."""
    secrets = Secrets(bench.state)
    secrets.create_scope("s")
    secrets.put("s", "k", b"hush")
    return bench.cluster(
        spark_conf={"spark.sql.shuffle.partitions": "7", "spark.mine.password": "{{secrets/s/k}}"},
        spark_env_vars={"GREETING": "hello"},
    )


CODE = """
    import os
    from pathlib import Path

    spark.range(4).write.mode("overwrite").parquet("/Volumes/table")
    commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")]
    say({
        "parallelism": sc.defaultParallelism,
        "setting": spark.conf.get("spark.sql.shuffle.partitions"),
        "secret": spark.conf.get("spark.mine.password"),
        "on a command line": any(b"hu" + b"sh" in command for command in commands),
        "environment": spark.range(1).select(F.udf(lambda _: os.environ["GREETING"])("id")).first()[0],
        "rows": spark.read.parquet("/Volumes/table").count(),
        "local": os.listdir("/local_disk0/tmp") != [],
    })
"""


@pytest.mark.spark
def test_what_a_cluster_is_asked_for_takes_effect(bench, cluster):
    (said,) = bench.run(cluster, CODE)
    assert said == {
        "parallelism": 6,
        "setting": "7",
        "secret": "hush",
        "on a command line": False,
        "environment": "hello",
        "rows": 4,
        "local": True,
    }
    assert (bench.state.volumes / "table" / "_SUCCESS").exists()


@pytest.mark.spark
def test_tasks_share_spark_and_have_sessions_of_their_own(bench, cluster):
    code = """
        one = SparkSession.builder.appName("mine").config("spark.sql.shuffle.partitions", "3").getOrCreate()
        spark.range(3).createOrReplaceTempView("view")
        say([sc.applicationId, one is spark, SparkSession.getActiveSession() is spark])
    """
    other = """
        say([sc.applicationId, spark.conf.get("spark.sql.shuffle.partitions"), len(spark.catalog.listTables())])
    """
    (first,), (second,) = bench.run(cluster, code), bench.run(cluster, other)
    assert first[1:] == [True, True]
    assert second == [first[0], "7", 0]


@pytest.mark.spark
def test_a_session_is_there_from_the_beginning(bench, cluster):
    code = """
        import json
        from pyspark import SparkContext
        from pyspark.sql import SparkSession, functions as F

        PLUS = F.col("id") + 1
        spark = SparkSession.getActiveSession()
        print(json.dumps([row[0] for row in spark.range(3).select(PLUS).collect()]))
        try:
            SparkContext(master="local[1]")
        except ValueError as error:
            print(json.dumps(str(error).partition(";")[0]))
    """
    assert bench.run(cluster, code, begin="") == [[1, 2, 3], "Cannot run multiple SparkContexts at once"]


@pytest.mark.spark
def test_the_ways_to_dbutils(bench, cluster):
    code = """
        from pyspark.dbutils import DBUtils
        from databricks.sdk.runtime import dbutils, spark as other

        say([type(DBUtils(spark)) is type(dbutils), other.sparkContext is sc])
    """
    assert bench.run(cluster, code) == [[True, True]]


@pytest.mark.spark
def test_what_a_context_has_of_its_own(bench, cluster):
    code = """
        total, ten = sc.accumulator(0), sc.broadcast(10)
        sc.parallelize(range(5)).foreach(lambda value: total.add(value + ten.value))
        say(total.value)
    """
    assert bench.run(cluster, code) == [60]


@pytest.mark.spark
def test_calls_back_go_to_the_task_that_waits_for_them(bench, cluster):
    """Each has a stream whose batches Python handles: the JVM calls the task, and not the other one."""
    code = """
        import time
        from pathlib import Path

        seen = []

        def batch(frame, number):
            seen.append(frame.count())
            Path("/Volumes/met", {name!r}).touch()
            while len(list(Path("/Volumes/met").iterdir())) < 2:
                time.sleep(0.05)

        stream = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 5).load()
        query = stream.writeStream.trigger(once=True).foreachBatch(batch).start()
        query.awaitTermination()
        say([{name!r}, seen])
    """
    (bench.state.volumes / "met").mkdir()
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(bench.run, cluster, code.format(name=name)) for name in "ab"]
        said = [each.result() for each in running]
    assert said == [[["a", [5]]], [["b", [5]]]]


ACTIVE = "say(len(sc.statusTracker().getActiveJobsIds()))"


@pytest.mark.spark
@pytest.mark.parametrize(
    "work",
    [
        "numbers.foreach(wait)",
        "numbers.toDF().foreach(wait)",
        "threading.Thread(target=numbers.foreach, args=[wait]).start()",
        "rate.writeStream.foreachBatch(lambda frame, _: frame.foreach(wait)).start().awaitTermination()",
    ],
    ids=["rdd", "frame", "thread", "stream"],
)
def test_what_a_task_runs_ends_with_it(bench, cluster, work):
    code = f"""
        import threading, time
        numbers = sc.parallelize([[number] for number in range(1000)], 1000)
        rate = spark.readStream.format("rate-micro-batch").option("rowsPerBatch", 1000).load()

        def wait(_):
            time.sleep(1)

        def tell():
            while not sc.statusTracker().getActiveJobsIds():
                time.sleep(0.05)
            say("it runs")

        threading.Thread(target=tell).start()
        {work}
    """
    task = Task(bench, SESSION, code)
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(task.run, cluster)
        task.wait_for("it runs")
        task.stop.set()
        assert ended.result().result == "CANCELED"
    until(lambda: bench.run(cluster, ACTIVE) == [0])
    assert bench.run(cluster, "say(len(spark._jsparkSession.sharedState().activeStreamingQueries()))") == [0]


@pytest.mark.spark
def test_a_task_that_stops_its_session_leaves_that_of_others(bench, cluster):
    (before,) = bench.run(cluster, "say(sc.applicationId)")
    code = """
        spark.stop()
        spark = SparkSession.builder.getOrCreate()
        say([spark.sparkContext.applicationId, spark.range(4).count()])
        with spark:
            pass
        sc.stop()
        SparkSession.builder.getOrCreate().sparkContext.stop()
        spark = SparkSession.builder.getOrCreate()
        say([SparkSession.getActiveSession() is SparkSession.builder.getOrCreate() is spark, spark.range(4).count()])
    """
    task = Task(bench, SESSION, code)
    assert task.run(cluster).result == "SUCCESS", task.said()
    assert [json.loads(line) for line in task.said("stdout").splitlines()] == [[before, 4], [True, 4]]
    assert "on the service it ends for all tasks of the cluster" in task.said("stderr")
    assert bench.run(cluster, "say(sc.applicationId)") == [before]


@pytest.mark.spark
def test_a_jvm_that_dies(bench, cluster):
    code = """
        import os, signal
        os.kill(spark._jvm.java.lang.ProcessHandle.current().pid(), signal.SIGKILL)
        spark.range(4).count()
    """
    (before,) = bench.run(cluster, "say(sc.applicationId)")
    task = Task(bench, SESSION, code)
    outcome = task.run(cluster)
    said = "The spark driver has stopped unexpectedly and is restarting."
    assert (outcome.result, outcome.code, outcome.message) == ("INTERNAL_ERROR", "DRIVER_ERROR", said)
    assert said in task.said("stderr")
    (after,) = bench.run(cluster, "say(sc.applicationId)")
    assert after != before


@pytest.mark.spark
def test_spark_that_cannot_start(bench):
    cluster = bench.cluster(spark_conf={"spark.driver.memory": "much"})
    task = Task(bench, SESSION, "")
    outcome = task.run(cluster)
    assert (outcome.result, outcome.code) == ("INTERNAL_ERROR", "CLUSTER_ERROR")
    assert outcome.error == "RuntimeError: the cluster's Spark could not be started"
    assert "much" in task.said("stderr")
    bench.compute.release(cluster)


@pytest.mark.spark
def test_a_cluster_leaves_nothing(bench):
    cluster = bench.cluster()
    (pid,) = bench.run(cluster, "say(spark._jvm.java.lang.ProcessHandle.current().pid())")
    os.kill(pid, 0)
    bench.compute.release(cluster)
    until(lambda: not Path(f"/proc/{pid}").exists())  # whoever adopted it may have to hear of its end
    assert not [path.name for path in bench.state.clusters.iterdir() if path.name.startswith(cluster)]


ON_A_CLUSTER = """
    named = spark.range(20).select(F.udf(lambda _: __import__("hello").name)("id")).distinct().collect()
    say([sc.master, [row[0] for row in named], spark.conf.get("spark.cores.max"), sc.applicationId])
"""


@pytest.mark.spark
@pytest.mark.slow
def test_tasks_on_a_standalone_cluster(tmp_path, spark_cluster):
    master = spark_cluster.targets["cluster"]["master"]
    bench = Bench(tmp_path, spark_master=master)
    try:
        write_wheel(bench.state.workspace / "hello-1.0-py3-none-any.whl")
        cluster = bench.cluster(num_workers=1)
        wheel = {"whl": "/Workspace/hello-1.0-py3-none-any.whl"}
        said = [bench.run(cluster, ON_A_CLUSTER, libraries=[wheel])[0] for _ in range(2)]
        assert said[0][:3] == [master, ["hello"], "2"]
        assert said[1] == said[0]
    finally:
        bench.close()


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
