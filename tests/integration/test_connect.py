"""Runs through a real Connect server, which asks for a token."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
import zipfile
from pathlib import Path

import pytest
from waiting import until

from wheelrun.client import Client
from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.runtime import processes
from wheelrun.runtime.events import EventReader
from wheelrun.runtime.java import find_java, find_spark, java_environment
from wheelrun.states import RunState as S

pytestmark = [pytest.mark.spark, pytest.mark.slow]

TOKEN = "s3cr3t-t0ken-v4lue"

FILES = {
    "requirements.txt": "",
    "shop/__init__.py": "",
    "shop/rules.py": "from wheelrun import step\ndef price(cents): return cents / 100\n",
    "shop/flows.py": """
        from __future__ import annotations
        import os, time
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
            return frame.repartition(2).withColumn("price", F.udf(price, "double")("cents"))

        @step
        def summed(spark: SparkSession, frame: DataFrame) -> dict:
            row = frame.agg(F.sum("price").alias("total"), F.count("*").alias("n")).first()
            return {"total": row["total"], "n": row["n"], "session": spark.session_id}

        @step
        def as_pandas(frame: DataFrame): return frame.orderBy("id").limit(3).toPandas()

        @pipeline
        def revenue(n: int = 100):
            frame = priced(orders(n))
            return {"sum": summed(frame), "head": as_pandas(frame)}

        def prices(spark: SparkSession):
            return [row[0] for row in spark.range(2).select(F.udf(price, "double")("id")).collect()]

        def others(spark: SparkSession):
            sessions = [spark.newSession(), spark.cloneSession(), SparkSession.builder.getOrCreate()]
            found = [each.range(1).select(F.udf(price, "double")("id")).first()[0] for each in sessions]
            return found, sessions[2] is spark

        def partitions(spark: SparkSession): return spark.conf.get("spark.sql.shuffle.partitions")

        def fails(spark: SparkSession):
            spark.range(1).count()
            raise ValueError("no good")

        def dies(spark: SparkSession):
            spark.range(1).count()
            os._exit(7)

        def context(spark: SparkSession): return spark.sparkContext.parallelize([1]).count()

        @step(timeout=3)
        def busy(spark: SparkSession, go: Path):
            go.touch()
            slow = F.udf(lambda value: time.sleep(600) or value, "long")
            return len(spark.range(4).select(slow("id")).collect())

        def hangs(spark: SparkSession, go: Path):
            go.touch()
            slow = F.udf(lambda value: time.sleep(600) or value, "long")
            return len(spark.range(4).select(slow("id")).collect())

        @step(run_if="always")
        def still_works(spark: SparkSession, given=None): return spark.range(5).count()

        @pipeline
        def goes_on(go: Path): return still_works(busy(go))

        @pipeline
        def side_by_side(go: Path):
            busy(go)
            return waits_for(go)

        @step
        def waits_for(spark: SparkSession, go: Path):
            while not go.exists(): time.sleep(0.02)
            slowly = F.udf(lambda value: time.sleep(6) or value, "long")
            return spark.range(1).select(slowly("id")).first()[0]

        @step(retries=1, retry_delay=0)
        def outlives_the_server(spark: SparkSession, go: Path, back: Path):
            if current_run().attempt == 1:
                go.touch()
                while not back.exists(): time.sleep(0.02)
            return spark.range(3).count()

        @step
        def loses_the_server(spark: SparkSession, go: Path, gone: Path):
            go.touch()
            while not gone.exists(): time.sleep(0.02)
            return spark.range(3).count()

        @pipeline
        def lost(go: Path, gone: Path): still_works(loses_the_server(go, gone))
        """,
    "script.py": """
        import sys
        from pyspark.sql import SparkSession, functions as F
        spark = SparkSession.builder.appName("script").config("spark.sql.shuffle.partitions", 5).getOrCreate()
        assert SparkSession.getActiveSession() is spark
        from shop.rules import price
        frame = spark.range(int(sys.argv[1])).select(F.udf(price, "double")("id"))
        print("prices", [row[0] for row in frame.collect()])
        print("partitions", spark.conf.get("spark.sql.shuffle.partitions"))
        spark.stop()
        """,
    "late.py": """
        def prices():
            from pyspark.sql import SparkSession, functions as F
            from shop.rules import price
            for _ in range(2):
                spark = SparkSession.builder.getOrCreate()
                found = [row[0] for row in spark.range(2).select(F.udf(price, "double")("id")).collect()]
                spark.stop()
            return found
        """,
}


class Server:
    """A Connect server on this machine; it comes again at the same place."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            second.bind(("127.0.0.1", 0))
            self.port, self.web = first.getsockname()[1], second.getsockname()[1]
        conf = folder / "conf"
        conf.mkdir()
        (conf / "spark-defaults.conf").touch(mode=0o600)
        settings = {
            "spark.master": "local[4]",
            "spark.driver.host": "127.0.0.1",
            "spark.ui.port": str(self.web),
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.connect.authenticate.token": TOKEN,
            "spark.sql.warehouse.dir": str(folder / "warehouse"),
        }
        (conf / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self.token_file = folder / "token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(TOKEN)
        self.process = None

    @property
    def remote(self):
        return f"sc://localhost:{self.port}"

    def start(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK_", "PYTHONPATH"))}
        kept = {**kept, **java_environment(find_java(kept, cache=self.folder / "cache"))}
        environ = {
            **kept,
            "SPARK_CONF_DIR": str(self.folder / "conf"),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.folder / "local"),
            "PYSPARK_PYTHON": sys.executable,
        }
        kind = "org.apache.spark.sql.connect.service.SparkConnectServer"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(find_spark(kept).home / "bin" / "spark-submit"), "--class", kind, "spark-internal"],
                env=environ,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self._listens, within=120)

    def stop(self):
        processes.end_session(self.process.pid, grace=0)
        self.process.wait()

    def sessions(self):
        """How many sessions the server has, and how many tasks it is running."""
        page = self._get("/connect/").decode()
        (application,) = json.loads(self._get("/api/v1/applications"))
        executors = json.loads(self._get(f"/api/v1/applications/{application['id']}/executors"))
        online = re.search(r"(\d+)\s+session\(s\)\s+are online", page)
        return int(online[1]), sum(executor["activeTasks"] for executor in executors)

    def _get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}{path}", timeout=20) as answer:
            return answer.read()

    def _listens(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return True
        return False


@pytest.fixture(scope="module")
def running(tmp_path_factory, brings_connect):
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running):
    """The server, without sessions."""
    yield running
    assert running.process.poll() is None
    until(lambda: running.sessions() == (0, 0))


@pytest.fixture
def project(tmp_path, running):
    root = tmp_path / "project"
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    table = f'[targets.connect]\norchestrator = "spark-connect"\nremote = "{running.remote}"\npatience = 2\n'
    (root / "wheelrun.toml").write_text(f'{table}token_file = "{running.token_file}"\n')
    return root


@pytest.fixture
def client(project, tmp_path, environ):
    def make(**more):
        return Client(project, cwd=project, environ={**environ, "WHEELRUN_HOME": str(tmp_path / "home"), **more})

    return make


@pytest.fixture
def ran(client):
    """Submits to the server and waits for the end."""

    def run(entry, params=None, **options):
        run = client().submit(entry, params, target="connect", **options)
        run.wait(timeout=180)
        return run

    return run


def said(run, stream="stdout"):
    return [line.text for line in run.logs(stream=stream)]


def error_of(run):
    return next(step.error for step in run.record.steps if step.error is not None)


def test_frames_and_functions_of_the_project_go_through_the_server(server, ran, client, tmp_path):
    run = ran("shop.flows:revenue")
    assert run.state is S.SUCCEEDED, error_of(run)
    outputs = {step.name: step.outputs[0] for step in run.record.steps}
    assert outputs["orders"]["rows"] == outputs["priced"]["rows"] == 100
    result = run.record.steps[2]
    assert result.name == "summed"
    events = EventReader(tmp_path / "home" / "data" / "artifacts" / "runs" / run.id / "events.jsonl").read()
    applications = {event["id"] for event in events if event["event"] == "application"}
    assert len(applications) == 1
    assert run.record.target == "connect"


def test_code_that_has_changed_is_never_stale_on_the_server(server, ran, project):
    assert ran("shop.flows:prices").result() == [0.0, 0.01]
    (project / "shop" / "rules.py").write_text("def price(cents): return cents * 2.0\n")
    assert ran("shop.flows:prices").result() == [0.0, 2.0]


def test_a_script_makes_its_session_itself_and_has_the_code(server, ran):
    run = ran("script.py", argv=("2",), conf={"spark.sql.session.timeZone": "UTC"})
    assert run.state is S.SUCCEEDED, error_of(run)
    assert said(run) == ["prices [0.0, 0.01]", "partitions 5"]


def test_a_function_that_does_not_show_that_it_uses_spark_has_the_code(server, ran):
    assert ran("late:prices").result() == [0.0, 0.01]


def pack(folder, name, files):
    """Make a wheel of some files."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{each},,\n" for each in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for each, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(each, text)


FAR = """
    from pyspark.sql import SparkSession, functions as F

    def words(_):
        import importlib.resources
        from space.fast import escape
        import plain
        return escape(importlib.resources.files("space.fast").joinpath("words.txt").read_text() + " " + plain.MARK)

    def main(spark: SparkSession): return spark.range(1).select(F.udf(words)("id")).collect()[0][0]
"""


def test_dependencies_travel_with_every_session_and_are_unpacked_there(server, client, project, tmp_path):
    compiled = Path(importlib.util.find_spec("markupsafe._speedups").origin)
    pack(tmp_path, "plain", {"plain.py": "MARK = '<>'\n"})
    pack(
        tmp_path,
        "fast",
        {
            "space/fast/__init__.py": "from space.fast._speedups import _escape_inner as escape\n",
            f"space/fast/{compiled.name}": compiled.read_bytes(),
            "space/fast/words.txt": "a & b",
        },
    )
    (project / "requirements.txt").write_text("plain\nfast\n")
    (project / "far.py").write_text(textwrap.dedent(FAR).lstrip())
    settings = (project / "wheelrun.toml").read_text()
    (project / "wheelrun.toml").write_text(f'{settings}dependencies = "bundle"\n')
    uv = {"UV_FIND_LINKS": str(tmp_path), "UV_OFFLINE": "1"}

    run = client(**uv).submit("far:main", target="connect")
    run.wait(timeout=180)
    assert run.state is S.SUCCEEDED, error_of(run)
    assert run.result() == "a &amp; b &lt;&gt;"


def test_further_sessions_have_the_code_too(server, ran):
    assert ran("shop.flows:others").result() == ([0.0, 0.0, 0.0], True)


def test_settings_reach_the_session(server, ran):
    assert ran("shop.flows:partitions", conf={"spark.sql.shuffle.partitions": "7"}).result() == "7"


def test_a_setting_that_only_the_server_knows_to_be_its_own(server, ran):
    run = ran(
        "shop.flows:partitions", conf={"spark.sql.thriftServer.ui.retainedSessions.x": "1", "spark.hadoop.a": "1"}
    )
    assert run.state is S.SUCCEEDED
    run = ran("shop.flows:partitions", conf={"spark.sql.codegen.cache.maxEntries": "7"})
    assert run.state is S.FAILED
    assert (
        "spark.sql.codegen.cache.maxEntries cannot be set in a session of the Connect server" in error_of(run).message
    )
    assert error_of(run).category == "configuration"


def test_the_token_is_neither_stored_nor_shown(server, client, tmp_path):
    go = tmp_path / "go"
    client = client()
    (client.root / "wheelrun.toml").unlink()
    remote = f"{server.remote}/;token={TOKEN}"
    run = client.submit("shop.flows:hangs", {"go": go}, options={"remote": remote})
    until(go.exists)
    lines = [path.read_bytes() for path in _command_lines()]
    assert any(b"wheelrun.runtime.supervisor" in line for line in lines)
    assert not any(TOKEN.encode() in line for line in lines)
    run.cancel()
    home = tmp_path / "home"
    files = [path for path in [*home.rglob("*"), *client.root.rglob("*")] if path.is_file()]
    assert len(files) > 10
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []
    assert run.record.metadata["secret_settings"] == ["SPARK_CONNECT_AUTHENTICATE_TOKEN"]
    with pytest.raises(ConfigurationError, match=r"SPARK_CONNECT_AUTHENTICATE_TOKEN was given .* not recorded"):
        client.resume(run.id)
    assert client.run(run.id).status().state is S.CANCELLED


def _command_lines():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            path.read_bytes()
            yield path


@pytest.mark.slow
def test_a_server_behind_tls(server, client, project, tls_before):
    with tls_before(server.port) as tls:
        settings = (project / "wheelrun.toml").read_text()
        (project / "wheelrun.toml").write_text(
            settings.replace(server.remote, f"sc://127.0.0.1:{tls.port}/;use_ssl=true")
        )
        run = client(GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(tls.authority)).submit("late:prices", target="connect")
        run.wait(timeout=120)
        assert run.state is S.SUCCEEDED, error_of(run)
        assert run.result() == [0.0, 0.01]
        run = client().submit("late:prices", target="connect")
        run.wait(timeout=120)
        assert run.state is S.FAILED
        assert "CERTIFICATE_VERIFY_FAILED" in error_of(run).message
        assert "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH" in error_of(run).hint


def test_a_wrong_token_is_told(server, client):
    client = client()
    (client.root / "wheelrun.toml").unlink()
    options = {"remote": f"{server.remote}/;token=wr0ng-t0ken"}
    run = client.submit("shop.flows:prices", options=options)
    run.wait(timeout=60)
    error = error_of(run)
    assert error.category == "cluster"
    assert f"the Connect server at {server.remote} gives no session" in error.message
    assert "token" in error.hint
    assert "wr0ng" not in f"{error}"


def test_sessions_are_released_whatever_the_end(server, ran, client, tmp_path):
    for entry, state in (("prices", S.SUCCEEDED), ("fails", S.FAILED), ("dies", S.FAILED)):
        run = ran(f"shop.flows:{entry}")
        assert run.state is state
        assert server.sessions()[0] == 0, entry


def test_cancelling_ends_what_runs_on_the_server(server, client, tmp_path):
    go = tmp_path / "go"
    run = client().submit("shop.flows:hangs", {"go": go}, target="connect")
    until(lambda: go.exists() and server.sessions() == (1, 4))
    began = time.monotonic()
    assert client().run(run.id).cancel().state is S.CANCELLED
    assert time.monotonic() - began < 10
    until(lambda: server.sessions() == (0, 0), within=10)


def test_a_step_that_takes_too_long_is_interrupted_on_the_server_and_the_next_one_runs(server, ran, tmp_path):
    run = ran("shop.flows:goes_on", {"go": tmp_path / "go"})
    busy, after = run.record.steps
    assert (busy.state, busy.error.type) == (S.FAILED, "StepTimeout")
    assert after.state is S.SUCCEEDED, after.error
    assert "Traceback" not in " ".join(said(run, "stderr"))


def test_an_interrupted_step_does_not_take_one_beside_it_along(server, ran, tmp_path):
    run = ran("shop.flows:side_by_side", {"go": tmp_path / "go"}, options={"max_parallel_steps": 2})
    states = {step.name: step.state for step in run.record.steps}
    assert states == {"busy": S.FAILED, "waits_for": S.SUCCEEDED}, [step.error for step in run.record.steps]


def test_what_connect_has_not_got_is_warned_of_and_explained(server, ran):
    run = ran("shop.flows:context")
    (warning,) = (text for text in run.warnings if "sparkContext" in text)
    assert re.fullmatch(r"shop/flows\.py:\d+ uses \.sparkContext, which Spark Connect has not got", warning)
    assert "there is no sparkContext" in error_of(run).hint


def test_the_server_is_looked_at_beforehand(server, client):
    client = client()
    stack = next(stack for stack in client.targets() if stack.name == "connect")
    checks = client.orchestrator_for(stack).preflight(stack)
    assert all(problem is None for _, problem, _ in checks), checks
    assert any(
        re.fullmatch(rf"Connect server at {server.remote} \(Spark \d+\.\d+\.\d+\)", name) for name, _, _ in checks
    )


def test_a_server_that_goes_away_and_comes_back(running, client, tmp_path):
    go, back, gone = tmp_path / "go", tmp_path / "back", tmp_path / "gone"
    first = client().submit("shop.flows:outlives_the_server", {"go": go, "back": back}, target="connect")
    until(go.exists)
    running.stop()
    with pytest.raises(ClusterError, match="no Connect server answers"):
        client().submit("shop.flows:prices", target="connect")
    running.start()
    back.touch()
    assert first.wait(timeout=120).state is S.SUCCEEDED, first.record
    assert first.record.steps[0].attempts == 2

    go.unlink()
    second = client().submit("shop.flows:lost", {"go": go, "gone": gone}, target="connect")
    until(go.exists)
    running.stop()
    gone.touch()
    second.wait(timeout=120)
    error = second.record.steps[0].error
    assert error.category == "cluster"
    assert "the Connect server went away" in error.message
    assert second.record.steps[1].error.message.startswith("no Connect server answers")
    running.start()
    go.unlink()
    resumed = client().resume(second.id)
    assert resumed.wait(timeout=120).state is S.SUCCEEDED


def test_a_killed_supervisor_leaves_no_orphans(server, client, tmp_path):
    go = tmp_path / "go"
    run = client().submit("shop.flows:hangs", {"go": go}, target="connect")
    until(lambda: go.exists() and server.sessions() == (1, 4))
    os.kill(run.record.metadata["pid"], signal.SIGKILL)
    until(lambda: run.status().state.is_terminal)
    assert run.state is S.FAILED
