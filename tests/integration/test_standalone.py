"""A standalone cluster that misbehaves, and clients that are killed: nothing is lost, and nothing runs twice."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest
from waiting import until

from wheelrun import cluster
from wheelrun.client import Client
from wheelrun.errors import ClusterError
from wheelrun.states import RunState as S

pytestmark = pytest.mark.spark

JOBS = """
    import os, time
    from pathlib import Path
    from pyspark.sql import SparkSession
    from wheelrun import pipeline, step

    def succeed(n: int = 1): return n

    def touch(folder: Path, until: Path):
        (folder / f"{os.getpid()}").touch()
        while not until.exists(): time.sleep(0.05)
        return len(list(folder.iterdir()))

    def too_much(spark: SparkSession):
        return spark.range(1).selectExpr("sequence(1, 400000000) as all").selectExpr("size(all)").collect()[0][0]

    def shuffle(spark: SparkSession):
        frame = spark.range(400_000).selectExpr("id", "repeat(uuid(), 8) as text")
        return frame.repartition(4, "text").selectExpr("max(length(text)) as most").collect()[0][0]

    @step
    def first(folder: Path):
        (folder / "first").touch()
        return 1

    @step
    def second(given: int, go: Path):
        while not go.exists(): time.sleep(0.05)
        return given + 1

    @pipeline
    def two(folder: Path, go: Path): return second(first(folder), go)

    @step
    def plus(n: int): return n + 1

    @pipeline
    def long(steps: int):
        n = 0
        for _ in range(steps): n = plus(n)
        return n
"""


class Site:
    """A project, and a client that submits it to the cluster."""

    def __init__(self, spark_cluster, tmp_path, environ):
        self.cluster = spark_cluster
        self.project = tmp_path / "project"
        self.project.mkdir()
        self.home = tmp_path / "home"
        (self.project / "jobs.py").write_text(textwrap.dedent(JOBS))
        self.environ = {**environ, "WHEELRUN_HOME": str(self.home)}
        self.configure()

    def configure(self, conf=None, **changes):
        table = {**self.cluster.targets["cluster"], "artifact_root": str(self.home / "artifacts"), **changes}
        lines = [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        lines += [f"conf.{json.dumps(key)} = {json.dumps(value)}" for key, value in (conf or {}).items()]
        (self.project / "wheelrun.toml").write_text("[targets.c]\n" + "\n".join(lines) + "\n")

    @property
    def client(self):
        return Client(self.project, cwd=self.project, environ=self.environ)

    def submit(self, entry, params=None, **options):
        return self.client.submit(entry, params, target="c", **options)

    def process(self, code):
        return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], cwd=self.project, env=self.environ)


@pytest.fixture
def site(spark_cluster, tmp_path, environ):
    site = Site(spark_cluster, tmp_path, environ)
    yield site
    for run in site.client.runs():
        if not run.status().state.is_terminal:
            run.cancel()


@pytest.fixture
def folders(tmp_path):
    folder = tmp_path / "made"
    folder.mkdir()
    return {"folder": folder, "go": tmp_path / "go"}


def kill(part):
    os.kill(part.pid, signal.SIGKILL)


def part(site, name):
    return next(each for each in cluster.status(site.cluster.environ).parts if each.name == name)


def worker_of(run):
    """The worker whose web page the run's driver named."""
    driver = until(lambda: next((event for event in events(run) if event["event"] == "driver"), None))
    return driver["page"]


def events(run):
    path = Path(run.record.artifact_root, "runs", run.id, "events.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.mark.slow
def test_a_worker_that_is_killed_under_the_driver_fails_the_run_and_resume_goes_on(site, folders):
    run = site.submit("jobs:two", folders)
    page = worker_of(run)
    until(lambda: run.status().steps[1].state is S.RUNNING)
    kill(next(each for each in cluster.status(site.cluster.environ).parts if each.url == page))
    try:
        assert run.wait(timeout=180).state is S.FAILED
        assert [step.state for step in run.record.steps] == [S.SUCCEEDED, S.FAILED]
        assert "wheelrun resume" in run.record.error.hint
    finally:
        cluster.up(site.cluster.environ)
    folders["go"].touch()
    again = site.client.resume(run.id)
    assert again.wait(timeout=180).state is S.SUCCEEDED
    assert again.result() == 2
    assert [step.attempts for step in again.record.steps] == [1, 1]


@pytest.mark.slow
def test_a_run_goes_on_while_the_master_is_away(site, folders):
    run = site.submit("jobs:two", folders)
    until(lambda: run.status().steps[1].state is S.RUNNING)
    kill(part(site, "master"))
    try:
        assert not until(lambda: run.status()).state.is_terminal
        folders["go"].touch()
        assert run.wait(timeout=60).state is S.SUCCEEDED
    finally:
        cluster.up(site.cluster.environ)
    after = site.submit("jobs:succeed")
    assert after.result(timeout=120) == 1


@pytest.fixture
def gateway_before(site, serving):
    """Put a server before the gateway in a block: it passes requests on as `answer(path, pass_on)` says."""
    real = site.cluster.targets["cluster"]["rest"]

    @contextlib.contextmanager
    def put(answer):
        def passing(call):
            def pass_on():
                request = urllib.request.Request(real + call.path, call.body or None, call.headers, method=call.method)
                with urllib.request.urlopen(request) as response:
                    return response.status, response.read()

            return answer(call.path, pass_on)

        with serving(passing) as (address, _):
            site.configure(rest=address)
            try:
                yield
            finally:
                site.configure()

    return put


@pytest.mark.parametrize("bad", [(500, b"oops"), (200, b"garbage"), None], ids=["500", "garbage", "nothing"])
def test_a_gateway_that_does_not_take_the_driver(site, gateway_before, bad):
    ill = True
    with gateway_before(lambda path, pass_on: bad if ill and "create" in path else pass_on()):
        with pytest.raises(ClusterError, match="submission failed") as error:
            site.submit("jobs:succeed")
        run = site.client.run()
        assert run.status().state is S.FAILED
        assert f"wheelrun resume {run.id}" in error.value.hint
        ill = False
        assert site.client.resume(run.id).result(timeout=120) == 1


def test_a_gateway_behind_tls(site, tls_before):
    port = int(site.cluster.targets["cluster"]["rest"].rpartition(":")[2])
    with tls_before(port) as server:
        address = f"https://localhost:{server.port}"
        site.configure(rest=address)
        with pytest.raises(ClusterError, match="certificate"):
            site.submit("jobs:succeed")
        site.configure(rest=address, rest_ca_file=str(server.authority))
        assert site.submit("jobs:succeed").result(timeout=120) == 1


def test_a_gateway_whose_answer_is_lost_makes_one_driver_and_the_run_is_followed(site, gateway_before, folders):
    def lose(path, pass_on):
        answer = pass_on()
        if "create" not in path:
            return answer
        until(lambda: any(site.home.glob("artifacts/runs/*/claims/1")))
        return 200, b"garbage"

    with gateway_before(lose):
        run = site.submit("jobs:touch", {"folder": folders["folder"], "until": folders["go"]})
        folders["go"].touch()
        assert run.wait(timeout=120).state is S.SUCCEEDED
    assert run.result() == 1


KILLED = """
    import os, signal
    from wheelrun.client import Client
    from wheelrun.orchestrators.standalone import gateway
    real = gateway.Gateway.create
    def create(self, body):
        if "{when}" == "before": os.kill(os.getpid(), signal.SIGKILL)
        answer = real(self, body)
        if "{when}" == "during": os.kill(os.getpid(), signal.SIGKILL)
        return answer
    gateway.Gateway.create = create
    run = Client().submit("jobs:touch", {{"folder": {folder!r}, "until": {go!r}}}, target="c", idempotency_key="k")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_a_client_that_is_killed_around_the_call_never_makes_two_drivers(site, folders, when):
    code = KILLED.format(when=when, folder=str(folders["folder"]), go=str(folders["go"]))
    assert site.process(code).wait(timeout=120) == -signal.SIGKILL
    run = site.client.run()
    folders["go"].touch()
    if when == "before":
        assert run.wait(timeout=60).state is S.FAILED
        assert "interrupted before it arrived" in run.record.error.message
        run = site.client.resume(run.id)
    elif when == "during" and run.wait(timeout=120).state is S.FAILED:
        run = site.client.resume(run.id)  # it was looked at before the driver had come, which now cannot run
    assert run.wait(timeout=120).state is S.SUCCEEDED
    assert run.result() == 1
    assert (
        site.submit("jobs:touch", {"folder": folders["folder"], "until": folders["go"]}, idempotency_key="k").id
        == run.id
    )
    assert len(list(folders["folder"].iterdir())) == 1


def test_a_driver_that_waits_for_cores_says_so_and_can_be_cancelled(site):
    site.configure(conf={"spark.driver.cores": "64"})
    run = site.submit("jobs:succeed")
    reason = until(lambda: run.status().reason)
    assert reason.startswith("waiting for resources")
    began = time.monotonic()
    assert run.cancel().state is S.CANCELLED
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_an_executor_that_runs_out_of_memory_is_told(site):
    site.configure(conf={"spark.executor.memory": "480m", "spark.task.maxFailures": "1", "spark.cores.max": "1"})
    run = site.submit("jobs:too_much")
    assert run.wait(timeout=240).state is S.FAILED
    error = run.record.error
    assert "memory" in (error.hint or "").lower() or "OutOfMemory" in error.message


@pytest.fixture
def small_disk():
    """Put a disk of some MiB over a folder in a block."""

    @contextlib.contextmanager
    def over(folder, mebibytes):
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=700", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            pytest.skip(f"no disk can be mounted here: {made.stderr.strip()}")
        try:
            yield
        finally:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)

    return over


def data_of(site):
    return Path(site.cluster.environ["WHEELRUN_HOME"], "data", "cluster")


def test_executors_whose_disk_is_full_are_told(site, small_disk):
    site.configure(conf={"spark.task.maxFailures": "1"})
    with small_disk(data_of(site) / "tmp", 4):
        run = site.submit("jobs:shuffle")
        assert run.wait(timeout=180).state is S.FAILED
    error = run.record.error
    assert "No space left on device" in error.message
    assert "\tat " not in error.message
    assert "SPARK_LOCAL_DIRS" in error.hint
    assert site.client.resume(run.id).result(timeout=120) == 288


def test_a_worker_whose_disk_is_full_fails_the_run_with_its_reason(site, small_disk):
    with contextlib.ExitStack() as disks:
        for worker in ("worker-1", "worker-2"):
            folder = data_of(site) / "work" / worker
            disks.enter_context(small_disk(folder, 1))
            (folder / "full").write_bytes(b"x" * 2**20)
        run = site.submit("jobs:succeed")
        assert run.wait(timeout=180).state is S.FAILED
    assert run.record.error.message.endswith("could not run the driver: java.io.IOException: No space left on device")
    assert site.client.resume(run.id).result(timeout=120) == 1


@pytest.mark.slow
def test_twenty_runs_at_once(site):
    runs = [site.submit("jobs:succeed", {"n": n}) for n in range(20)]
    assert [run.result(timeout=600) for run in runs] == list(range(20))


def test_two_hundred_steps(site):
    run = site.submit("jobs:long", {"steps": 200})
    assert run.wait(timeout=240).state is S.SUCCEEDED
    assert run.result() == 200


def test_what_is_there_is_not_sent_again(site):
    first, second = site.submit("jobs:succeed"), site.submit("jobs:succeed")
    assert first.record.metadata["bytes_sent"] > 0
    assert second.record.metadata["bytes_sent"] == 0
    assert [run.result(timeout=120) for run in (first, second)] == [1, 1]
