"""A real cluster on this machine. One serves all tests of the module; each leaves it healthy."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from waiting import until

from wheelrun import cluster
from wheelrun.cluster import processes
from wheelrun.cluster.folder import folder_of
from wheelrun.config import data_path
from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.runtime.jws import bearer_token

pytestmark = [pytest.mark.spark, pytest.mark.slow]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of the module's cluster, with what must not reach it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WHEELRUN_")}
    home = tmp_path_factory.mktemp("the cluster's home")
    return {**environ, "WHEELRUN_HOME": str(home), "PYTHONPATH": str(Path.cwd()), "SPARK_MASTER_HOST": "0.0.0.0"}


@pytest.fixture(scope="module")
def folder(environment):
    return folder_of(data_path(environment))


@pytest.fixture(scope="module")
def up(environment, folder, brings_connect):
    """The cluster; when the module is done nothing of it is left."""
    stages = []
    try:
        found = cluster.up(environment, workers=2, cores=3, on_stage=stages.append)
        assert stages == ["starting the master", "starting worker-1, worker-2 and connect"]
        yield found
    finally:
        cluster.down(environment)
    assert processes.belonging(folder) == []
    assert cluster.status(environment) is None
    assert cluster.targets(environment) == {}


def ask(address, path, *, method="GET", body=None, headers=None):
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class Gateway:
    """The Master's REST gateway."""

    def __init__(self, environment):
        self.table = cluster.targets(environment)["cluster"]

    def ask(self, path, body=None):
        token = bearer_token(Path(self.table["rest_key_file"]))
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        method = "GET" if body is None else "POST"
        status, text = ask(self.table["rest"], f"/v1/submissions/{path}", method=method, body=body, headers=headers)
        assert status == 200, text
        return json.loads(text)

    def submit(self, script, *arguments, conf=()):
        settings = [word for setting in conf for word in ("--conf", setting)]
        request = {
            "action": "CreateSubmissionRequest",
            "clientSparkVersion": "4",
            "appResource": "",
            "mainClass": "org.apache.spark.deploy.SparkSubmit",
            "appArgs": ["--master", self.table["master"], *settings, str(script), *arguments],
            "environmentVariables": {"WHEELRUN_TEST": "1"},
            "sparkProperties": {
                "spark.master": self.table["master"],
                "spark.app.name": script.stem,
                "spark.submit.deployMode": "cluster",
                "spark.driver.memory": "512m",
            },
        }
        return self.ask("create", json.dumps(request))["submissionId"]

    def state(self, driver):
        return self.ask(f"status/{driver}")["driverState"]


@pytest.fixture
def script(tmp_path):
    """A job that counts, and waits for a file before that and after."""
    path = tmp_path / "counts.py"
    path.write_text(
        textwrap.dedent(
            """
            import os, sys, time
            from pathlib import Path
            from pyspark.sql import SparkSession
            out, gate = map(Path, sys.argv[1:3])
            out.with_suffix(".started").touch()
            spark = SparkSession.builder.getOrCreate()
            count = spark.sparkContext.parallelize(range(100), 2).map(lambda x: x + 1).count()
            out.with_suffix(".counted").touch()
            while not gate.exists():
                time.sleep(0.05)
            listening = spark.sparkContext.uiWebUrl
            out.write_text(f"{count} {listening} {os.environ.get('PYTHONPATH', '')}")
            """
        )
    )
    return path


def part(environment, name):
    (found,) = [part for part in cluster.status(environment).parts if part.name == name]
    return found


def test_it_is_up(up, environment, folder):
    assert up.healthy
    assert [part.name for part in up.parts] == ["master", "worker-1", "worker-2", "connect"]
    assert cluster.status(environment) == up
    assert ask(up.rest, "/v1/submissions/readyz")[0] == 403, "the gateway asks for a token"
    summary = json.loads(ask(up.web, "/json/")[1])
    assert sorted(each["webuiaddress"] for each in summary["workers"]) == sorted(up.workers)
    assert [app["cores"] for app in summary["activeapps"]] == [1]
    for each in up.parts:
        assert ask(each.url, "/")[0] in {200, 302}
        assert Path(f"/proc/{each.pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"java")


def test_its_files_are_the_owners_only_and_no_secret_is_shown(up, folder):
    secrets = [folder.rest_key.read_text(), folder.connect_token.read_text()]
    assert folder.path.stat().st_mode & 0o777 == 0o700
    for path in (
        folder.rest_key,
        folder.connect_token,
        *folder.conf("master").iterdir(),
        *folder.conf("worker").iterdir(),
    ):
        assert path.stat().st_mode & 0o777 == 0o600, path
    for pid in processes.belonging(folder):
        shown = Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
        assert not any(secret in shown for secret in secrets)
    pages = [ask(up.web, "/environment/")[1], ask(up.parts[-1].url, "/environment/")[1]]
    logs = [path.read_text() for path in folder.log("any").parent.iterdir()]
    assert not any(secret in text for secret in secrets for text in (*pages, *logs))


def listening(folder):
    """Return the addresses at which processes of the cluster listen."""
    inodes = set()
    for pid in processes.belonging(folder):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            found = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink())) if descriptor.is_symlink() else None
            inodes |= {found[1]} if found else set()
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                addresses.add(fields[1].rpartition(":")[0])
    return addresses


def test_nothing_listens_beyond_loopback(up, environment, folder, script, tmp_path):
    gateway, gate, out = Gateway(environment), tmp_path / "gate", tmp_path / "out"
    driver = gateway.submit(script, str(out), str(gate))
    until(out.with_suffix(".counted").exists)
    addresses = listening(folder)
    gate.touch()
    until(lambda: gateway.state(driver) == "FINISHED")
    # 127.0.0.1, as such and mapped into IPv6
    assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}
    count, page, python_path = out.read_text().split(" ")
    assert count == "100"
    assert page.startswith("http://127.0.0.1:")
    assert str(Path.cwd()) not in python_path.split(":"), "nothing is imported from where the cluster was started"


def test_up_again_is_the_same(up, environment):
    assert cluster.up(environment) == up
    assert cluster.up(environment, workers=2, cores=3, connect=True) == up
    with pytest.raises(ConfigurationError, match="the cluster is up with workers 2"):
        cluster.up(environment, workers=3)
    with pytest.raises(ConfigurationError, match="the cluster is up with a Connect server"):
        cluster.up(environment, connect=False)


def test_the_connect_server_asks_for_the_token(up, environment):
    pytest.importorskip("grpc")
    table = cluster.targets(environment)["connect"]
    code = """
        import sys, warnings
        warnings.simplefilter("ignore")
        from pyspark.sql import SparkSession
        spark = SparkSession.builder.remote(sys.argv[1]).create()
        print("rows", spark.range(7).count())
    """
    token = Path(table["token_file"]).read_text()
    environ = {name: value for name, value in environment.items() if name != "SPARK_MASTER_HOST"}
    for extra, says in (({"SPARK_CONNECT_AUTHENTICATE_TOKEN": token}, "rows 7"), ({}, "UNAUTHENTICATED")):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), table["remote"]],
            env={**environ, **extra},
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert says in done.stdout + done.stderr
        assert (done.returncode == 0) is bool(extra)


def test_a_worker_that_was_killed_is_mended(up, environment):
    os.kill(part(environment, "worker-1").pid, signal.SIGKILL)
    until(lambda: not cluster.status(environment).healthy)
    assert [each.name for each in cluster.status(environment).parts if not each.alive] == ["worker-1"]
    assert cluster.targets(environment).keys() == {"cluster", "connect"}
    mended = cluster.up(environment)
    assert mended.healthy
    assert mended.workers == up.workers


def test_a_connect_server_that_was_killed_is_mended(up, environment):
    os.kill(part(environment, "connect").pid, signal.SIGKILL)
    until(lambda: not cluster.status(environment).healthy)
    mended = cluster.up(environment)
    assert mended.healthy
    assert mended.connect == up.connect


def test_a_master_that_was_killed_is_mended_under_a_job(up, environment, script, tmp_path):
    gateway, gate, out = Gateway(environment), tmp_path / "gate", tmp_path / "out"
    driver = gateway.submit(script, str(out), str(gate))
    until(out.with_suffix(".counted").exists)
    before = [part(environment, name).pid for name in ("worker-1", "worker-2", "connect")]
    os.kill(part(environment, "master").pid, signal.SIGKILL)
    until(lambda: not cluster.status(environment).healthy)
    mended = cluster.up(environment)
    assert mended.healthy
    assert (mended.master, mended.rest, mended.web) == (up.master, up.rest, up.web)
    assert [part(environment, name).pid for name in ("worker-1", "worker-2", "connect")] == before
    assert gateway.state(driver) == "RUNNING"
    gate.touch()
    until(lambda: gateway.state(driver) == "FINISHED")
    assert out.read_text().startswith("100 ")


@pytest.mark.slow
def test_drivers_leave_room_for_executors(up, environment, script, tmp_path):
    """More drivers than there are cores: some wait, and each comes to its end."""
    gateway, gate = Gateway(environment), tmp_path / "gate"
    quick = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
    conf = ["spark.cores.max=1", f"spark.driver.extraJavaOptions={quick}", f"spark.executor.extraJavaOptions={quick}"]
    running = set()

    def all_have_ended():
        drivers_now = json.loads(ask(up.web, "/json/")[1])["activedrivers"]
        running.add(sum(each["state"] == "RUNNING" for each in drivers_now))
        return all(gateway.state(driver) == "FINISHED" for driver in drivers)

    gate.touch()
    outs = [tmp_path / f"out-{number}" for number in range(6)]
    drivers = [gateway.submit(script, str(out), str(gate), conf=conf) for out in outs]
    until(all_have_ended, within=600)
    assert max(running) == 2
    assert all(out.read_text().startswith("100 ") for out in outs)


def test_the_command_line(up, environment):
    def wheelrun(*words):
        return subprocess.run(
            [sys.executable, "-m", "wheelrun", *words], env=environment, capture_output=True, text=True, check=False
        )

    shown = wheelrun("cluster", "status")
    assert shown.returncode == 0, shown.stderr
    assert up.web in shown.stdout
    assert "wheelrun submit ENTRY -t cluster" in shown.stderr
    document = json.loads(wheelrun("cluster", "up", "-o", "json").stdout)
    assert document["master"] == up.master
    assert document["workers"] == list(up.workers)
    targets = json.loads(wheelrun("targets", "-o", "json").stdout)
    assert [target["name"] for target in targets] == ["local", "cluster", "connect"]


def test_down_ends_the_jobs_too(up, environment, folder, script, tmp_path):
    out = tmp_path / "out"
    Gateway(environment).submit(script, str(out), str(tmp_path / "never"))
    until(out.with_suffix(".counted").exists)
    there = processes.belonging(folder)
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in there]
    assert any(b"counts.py" in command and b"python" in command.split(b"\0")[0] for command in commands)
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as stranger:
        assert cluster.down(environment) >= 4 + 2  # the parts, the driver and what it started
        assert stranger.poll() is None
        stranger.kill()
    until(lambda: not [pid for pid in there if Path(f"/proc/{pid}/exe").exists()])
    assert cluster.targets(environment) == {}
    assert cluster.status(environment) is None
    assert not folder.tmp.exists()
    assert folder.log("master").exists()


def small(tmp_path, environment):
    return {**environment, "WHEELRUN_HOME": str(tmp_path / "another home")}


def test_an_interrupted_up_leaves_nothing(tmp_path, environment):
    environ = small(tmp_path, environment)
    folder = folder_of(data_path(environ))
    process = subprocess.Popen(
        [sys.executable, "-m", "wheelrun", "cluster", "up", "--no-connect"],
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: len(processes.belonging(folder)) >= 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert "interrupted" in said
        assert processes.belonging(folder) == []
        assert cluster.status(environ) is None
    finally:
        process.kill()
        process.wait()
        cluster.down(environ)


def test_an_up_that_was_killed_is_taken_up(tmp_path, environment):
    environ = small(tmp_path, environment)
    folder = folder_of(data_path(environ))
    process = subprocess.Popen([sys.executable, "-m", "wheelrun", "cluster", "up", "--no-connect"], env=environ)
    try:
        until(lambda: folder.is_alive("master"))
        process.kill()
        process.wait()
        assert cluster.targets(environ) == {}
        assert cluster.up(environ, connect=False).healthy
    finally:
        process.kill()
        process.wait()
        cluster.down(environ)
    assert processes.belonging(folder) == []


def test_two_at_once_start_one(tmp_path, environment):
    environ = small(tmp_path, environment)
    folder = folder_of(data_path(environ))
    found, stages = [], []

    def bring_up():
        found.append(cluster.up(environ, workers=1, cores=2, memory="2g", connect=False, on_stage=stages.append))

    threads = [threading.Thread(target=bring_up) for _ in range(2)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(240)
        assert len(found) == 2
        assert found[0] == found[1]
        assert len(processes.belonging(folder)) == 2
        assert "waiting for another wheelrun that starts or ends the cluster" in stages
    finally:
        ended = cluster.down(environ)
    assert ended == 2
    assert processes.belonging(folder) == []


def test_a_part_that_does_not_start_shows_its_log_and_leaves_nothing(tmp_path, environment, monkeypatch):
    environ = small(tmp_path, environment)
    monkeypatch.setattr("wheelrun.cluster.cluster._free_ports", lambda names: dict.fromkeys(names, 1))
    with pytest.raises(ClusterError, match="the master ended before it did its work") as caught:
        cluster.up(environ, connect=False)
    assert "Exception" in caught.value.detail
    assert cluster.status(environ) is None
    assert processes.belonging(folder_of(data_path(environ))) == []


def test_what_is_not_there_in_time_is_ended(tmp_path, environment):
    environ = small(tmp_path, environment)
    with pytest.raises(ClusterError, match="the master was not there in 0 s"):
        cluster.up(environ, connect=False, timeout=0)
    assert processes.belonging(folder_of(data_path(environ))) == []
