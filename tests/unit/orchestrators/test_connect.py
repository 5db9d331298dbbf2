"""The orchestrator for Connect servers, as far as it needs none: secrets, settings, resources, the client's needs."""

from __future__ import annotations

import json
import socket
import textwrap

import pytest

from wheelrun.client import Client
from wheelrun.deployment import Deployment, StepSpec
from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.orchestrators.classic_spark import remarks, uses
from wheelrun.orchestrators.connect import ConnectConfig, ConnectOrchestrator, read_token
from wheelrun.orchestrators.session_conf import session_conf
from wheelrun.step_settings import Resources

JOBS = """
    from __future__ import annotations
    from pyspark.sql import SparkSession
    from wheelrun import step

    def count(spark: SparkSession): return spark.range(3).count()
    @step(resources={"memory": "4GiB"})
    def large(): return 1
    """


@pytest.fixture
def project(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    (root / "requirements.txt").touch()
    (root / "other.py").write_text("def plain(n: int = 1): return n\n")
    (root / "jobs.py").write_text(textwrap.dedent(JOBS).lstrip())
    return root


@pytest.fixture
def client(project, environ):
    def make(**more):
        return Client(project, cwd=project, environ={**environ, **more})

    return make


def nobody():
    """The address of a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"sc://127.0.0.1:{probe.getsockname()[1]}"


def everything(home):
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        ({"options": {"remote": "sc://h:7/;token=S3CR3T;x-api-key=S3CR3T;user_id=me"}}, {}),
        ({"options": {"remote": "sc://h:7"}, "env": {"SPARK_REMOTE": "sc://h:7/;token=S3CR3T"}}, {}),
        ({"target": "t"}, {"SPARK_REMOTE": "sc://h:7/;token=S3CR3T"}),
        ({"target": "t", "env": {"SPARK_REMOTE": "sc://h:7"}}, {"SPARK_CONNECT_AUTHENTICATE_TOKEN": "S3CR3T"}),
    ],
)
def test_a_request_shows_where_the_server_is_and_no_secret(project, client, options, environ):
    (project / "wheelrun.toml").write_text('[targets.t]\norchestrator = "spark-connect"\n')
    prepared = client(**environ).prepare("jobs:count", **options)
    shown = json.dumps(prepared.request.display()) + prepared.deployment.to_json() + repr(prepared)
    assert prepared.request.content["remote"] == "sc://h:7"
    assert "S3CR3T" not in shown
    assert prepared.request.environment["SPARK_CONNECT_AUTHENTICATE_TOKEN"] == "S3CR3T"
    assert prepared.request.display()["environment"]["SPARK_CONNECT_AUTHENTICATE_TOKEN"] == "****"


def test_a_token_file_is_read_when_it_is_needed_and_below_the_project(project, client):
    (project / "token").write_text("S3CR3T\n")
    (project / "token").chmod(0o600)
    table = '[targets.t]\norchestrator = "spark-connect"\nremote = "sc://h:7"\ntoken_file = "token"\n'
    (project / "wheelrun.toml").write_text(table)
    prepared = client().prepare("jobs:count", target="t", allow_secrets=["token"])
    assert prepared.request.environment["SPARK_CONNECT_AUTHENTICATE_TOKEN"] == "S3CR3T"
    assert "S3CR3T" not in json.dumps(prepared.request.display())


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"abc", 0o644, "others may read it"),
        (b"abc", 0o640, "others may read it"),
        (b" \n", 0o600, "holds no token"),
        (b"a\nb", 0o600, "holds no token"),
        ("ä".encode(), 0o600, "holds no token"),
        (None, 0, "cannot be read: No such file"),
    ],
)
def test_a_token_file_that_is_none_is_refused(tmp_path, content, mode, said):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_token(path)
    assert "abc" not in str(caught.value)


def test_a_run_without_a_server_fails_before_it_starts_and_keeps_no_secret(client, environ, tmp_path):
    home = tmp_path / "home"
    here = client(WHEELRUN_HOME=str(home))
    remote = nobody()
    with pytest.raises(ClusterError, match=rf"no Connect server answers at {remote}: Connection refused") as caught:
        here.submit("jobs:count", options={"remote": f"{remote}/;token=S3CR3T"})
    assert "S3CR3T" not in f"{caught.value} {caught.value.hint}"
    record = here.run("last").record
    assert (record.state, record.exit_code) == ("failed", 6)
    assert record.stack["config"] == {"remote": remote}
    assert record.metadata["secret_settings"] == ["SPARK_CONNECT_AUTHENTICATE_TOKEN"]
    assert [path for path in everything(home) if b"S3CR3T" in path.read_bytes()] == []
    with pytest.raises(ConfigurationError, match=r"SPARK_CONNECT_AUTHENTICATE_TOKEN was given to run .* not recorded"):
        here.rerun()
    with pytest.raises(ClusterError, match="no Connect server answers"):
        here.rerun(env={"SPARK_CONNECT_AUTHENTICATE_TOKEN": "S3CR3T"})
    with pytest.raises(ClusterError, match="no Connect server answers"):
        client(WHEELRUN_HOME=str(home), SPARK_REMOTE=f"{remote}/;token=S3CR3T").resume()
    other = nobody()
    with pytest.raises(ClusterError, match=other):
        here.rerun(env={"SPARK_REMOTE": f"{other}/;token=S3CR3T"})
    assert [path for path in everything(home) if b"S3CR3T" in path.read_bytes()] == []


def test_what_needs_no_spark_needs_no_server(client):
    run = client().submit("other:plain", options={"remote": nobody()})
    assert run.result(timeout=60) == 1


def test_no_address_is_an_error_that_says_how_to_give_one(project, client):
    (project / "wheelrun.toml").write_text('[targets.t]\norchestrator = "spark-connect"\n')
    with pytest.raises(ConfigurationError, match="target 't' names no Connect server") as caught:
        client().submit("jobs:count", target="t")
    assert "--remote sc://host:port" in caught.value.hint


def test_an_artifact_root_that_is_no_folder_is_refused(client):
    with pytest.raises(ConfigurationError, match="is not a folder of this machine"):
        client(WHEELRUN_ARTIFACT_ROOT="s3://b/x").prepare("other:plain", options={"remote": "sc://h:7"})


def test_resources_are_refused(client):
    with pytest.raises(ConfigurationError, match="'connect' cannot honour the resources of step 'large'") as caught:
        client().submit("jobs:large", options={"remote": "sc://h:7"})
    assert "another target" in caught.value.hint


def test_resources_of_any_kind_are_refused():
    orchestrator = ConnectOrchestrator(ConnectConfig(remote="sc://h:7"), name="c")
    for resources in (Resources(executors=2), Resources(executor_memory="1g"), Resources(cpu_count=1)):
        steps = (StepSpec(name="a", function="jobs:a", resources=resources),)
        with pytest.raises(ConfigurationError, match="cannot honour"):
            orchestrator.check(Deployment(name="a", entry="jobs:a", steps=steps))


@pytest.mark.parametrize(
    "name",
    [
        "spark.executor.memory", "spark.executor.instances", "spark.executorEnv.A", "spark.driver.memory",
        "spark.master", "spark.submit.deployMode", "spark.submit.pyFiles", "spark.jars", "spark.jars.packages",
        "spark.files", "spark.archives", "spark.app.name", "spark.dynamicAllocation.enabled", "spark.cores.max",
        "spark.default.parallelism", "spark.yarn.queue", "spark.kubernetes.namespace", "spark.serializer",
        "spark.kryo.registrator", "spark.kryoserializer.buffer", "spark.ui.port", "spark.local.dir", "spark.plugins",
        "spark.pyspark.python", "spark.sql.extensions", "spark.sql.warehouse.dir", "spark.sql.catalogImplementation",
        "spark.sql.hive.metastore.jars", "spark.remote", "spark.connect.grpc.binding.port", "spark.speculation",
    ],
)  # fmt: skip
def test_settings_of_the_server_are_refused_by_name(name):
    with pytest.raises(ConfigurationError) as caught:
        session_conf({"spark.sql.shuffle.partitions": "3", name: "1"}, "t")
    assert f"target 't' is a running Spark Connect server, where {name} cannot be set" in caught.value.message
    assert caught.value.hint


def test_settings_of_a_session_pass():
    conf = {
        "spark.sql.shuffle.partitions": "3",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.catalog.lake": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.lake.warehouse": "/w",
        "spark.hadoop.fs.s3a.secret.key": "k",
        "spark.databricks.delta.schema.autoMerge.enabled": "true",
        "spark.jdbc.b.keytab": "x",
        "my.setting": "1",
    }
    assert session_conf(conf, "t") == conf


def test_a_setting_of_the_server_is_refused_before_anything_is_started(client):
    here = client()
    with pytest.raises(ConfigurationError, match=r"spark\.executor\.memory cannot be set"):
        here.submit("jobs:count", conf={"spark.executor.memory": "1g"}, options={"remote": nobody()})
    with pytest.raises(ConfigurationError, match=r"spark\.executor\.memory cannot be set"):
        here.prepare("jobs:count", conf={"spark.executor.memory": "1g"}, options={"remote": nobody()})


def test_a_python_without_the_client_is_refused_before_the_run(tmp_path, client, monkeypatch):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{__import__("sys").executable}" -S "$@"\n')
    bare.chmod(0o700)
    with pytest.raises(ConfigurationError, match=r"has no pyspark, grpcio, grpcio-status, protobuf") as caught:
        ConnectOrchestrator(
            ConnectConfig(remote="sc://h:7", python=str(bare)), environ={**client().environ, "PYTHONPATH": ""}
        ).check_machine(Deployment(name="a", entry="a", steps=(), uses_spark=True), None)
    assert "pip install 'wheelrun[connect]'" in caught.value.hint


def test_plain_uses_of_what_connect_has_not_got_are_found():
    source = textwrap.dedent(
        """
        from pyspark import RDD, SparkContext
        def a(spark): return (spark
            .sparkContext
            .parallelize([1]))
        def b(sc: SparkContext): return sc
        def c(frame): return frame.rdd.map(len), frame.rdd
        def d(rdd: "RDD"): return "spark.sparkContext"  # frame.rdd
        """
    )
    assert list(uses(source)) == [(4, ".sparkContext"), (6, "SparkContext"), (7, ".rdd"), (8, "RDD")]


def test_they_are_told_of_the_steps_own_modules(tmp_path):
    (tmp_path / "src" / "shop").mkdir(parents=True)
    (tmp_path / "src" / "shop" / "flows.py").write_text("def a(spark): return spark.sparkContext\n")
    (tmp_path / "broken.py").write_text("def\n")
    (tmp_path / "script.py").write_text("x = 1\ny.rdd\n")
    names = ("shop.flows:a", "shop.flows:b", "broken:x", "script.py", "gone:x")
    steps = [StepSpec(name=f"s{index}", function=name) for index, name in enumerate(names)]
    assert remarks(steps, (tmp_path, tmp_path / "src")) == [
        "shop/flows.py:1 uses .sparkContext, which Spark Connect has not got",
        "script.py:2 uses .rdd, which Spark Connect has not got",
    ]
