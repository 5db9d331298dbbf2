"""spark-submit with the driver on a cluster.

A YARN cannot be had in a test: a stand-in for spark-submit speaks as YARN's client does, and a stand-in for `yarn` ends
what it is told to end. A Kubernetes can: its API is HTTP, and the real spark-submit talks to a server that knows one
pod. In both the drivers are real processes, which nobody but the stand-in for the cluster has started.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from waiting import until

from wheelrun.client import Client
from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.runtime import processes
from wheelrun.runtime.java import find_java, find_spark, java_environment
from wheelrun.states import RunState as S

JOBS = """
    import os, sys, time
    from pathlib import Path
    from wheelrun import pipeline, step

    @step
    def first():
        print("first says", os.environ.get("PLAIN"))
        print("careful", file=sys.stderr)
        return [os.environ.get("A_TOKEN"), os.getppid()]

    @step
    def second(given, gate: Path):
        print("second waits", flush=True)
        while not gate.exists(): time.sleep(0.02)
        return "second"

    @pipeline
    def chain(gate: Path):
        given = first()
        second(given, gate)
        return given

    @step
    def opens():
        print("opens")
        return "through"

    @step
    def through(given, gate: Path):
        print("tries")
        if not gate.exists(): raise ValueError("the gate is shut")
        return given

    @pipeline
    def gated(gate: Path): return through(opens(), gate)

    def fails(): raise ValueError("bad row 7")

    def dies(): os.kill(os.getppid(), 9); time.sleep(60)
    """

YARN = """
[targets.yarn]
orchestrator = "spark-submit"
master = "yarn"
deploy_mode = "cluster"
python_version = "3.11"
queue = "night"
submit_command = "{programs}/spark-submit"
artifact_root = "{share}"
cluster_root = "{share}"
"""

# Speaks as org.apache.spark.deploy.yarn.Client does. The cluster is a folder: ID.json asks for an application, ID.state
# says where it is.
SPARK_SUBMIT = """\
    #!{python}
    import json, os, sys, time
    from pathlib import Path

    cluster, argv, id = Path({cluster!r}), sys.argv[1:], "application_1736500000000_0001"
    settings = Path(argv[argv.index("--properties-file") + 1])
    record = dict(argv=argv, id=id, settings=settings.read_text(), mode=settings.stat().st_mode & 0o777)
    record["environ"] = dict(os.environ)

    (cluster / f"{{os.getpid()}}.pid").touch()

    def say(text): print("26/01/10 09:15:02 INFO Client: " + text, file=sys.stderr, flush=True)

    if (cluster / "refuse").exists():
        print('Exception in thread "main" org.apache.spark.SparkException: queue night is full', file=sys.stderr)
        sys.exit(1)
    (cluster / "new").write_text(json.dumps(record))
    (cluster / "new").rename(cluster / (id + ".json"))
    say(f"Submitting application {{id}} to ResourceManager")
    last, limit = None, time.monotonic() + 120
    while time.monotonic() < limit:
        try: state, final = (cluster / (id + ".state")).read_text().split()
        except FileNotFoundError: state, final = "ACCEPTED", "UNDEFINED"
        if state != last:
            last = state
            say(f"Application report for {{id}} (state: {{state}})")
            say(f"\\n\\t client token: N/A\\n\\t diagnostics: N/A\\n\\t queue: night\\n\\t final status: {{final}}"
                f"\\n\\t tracking URL: http://rm.example:8088/proxy/{{id}}/\\n\\t user: ann")
        if state in ("FINISHED", "FAILED", "KILLED"):
            sys.exit(final != "SUCCEEDED")
        time.sleep(0.05)
    """

YARN_PROGRAM = """\
    #!{python}
    import sys
    from pathlib import Path
    Path({cluster!r}, "killed").write_text(" ".join(sys.argv[1:]))
    """


def drive(argv, environ, log):
    """Start a driver as a cluster does: with its own environment, and below none of the client's processes."""
    with log.open("ab") as output:
        return subprocess.Popen(
            argv,
            env={**environ, "TMPDIR": str(log.parent)},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _lives(path):
    return Path("/proc", path.stem).exists()


def end_driver(driver):
    with suppress(ProcessLookupError):
        processes.end_session(driver.pid, grace=0)
    driver.wait()


class Yarn:
    """The cluster: starts the driver of an application when there is room, and tells where it is."""

    def __init__(self, folder, environ):
        self.folder, self.environ = folder, environ
        self.room = threading.Event()
        self.room.set()
        self.driver = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def submission(self):
        return json.loads(next(self.folder.glob("*.json*")).read_text())

    def close(self):
        self._over.set()
        self._thread.join()
        if self.driver is not None:
            end_driver(self.driver)
        self._tell("KILLED", "KILLED")  # ends a spark-submit that still waits
        until(lambda: not any(_lives(path) for path in self.folder.glob("*.pid")))

    def _run(self):
        while not self._over.wait(0.02):
            for path in self.folder.glob("*.json"):
                if self.room.is_set():
                    self._start(path)
            if (self.folder / "killed").exists():
                self._tell("KILLED", "KILLED")
                if self.driver is not None:
                    end_driver(self.driver)
            elif self.driver is not None and self.driver.poll() is not None:
                self._tell("FINISHED", "FAILED" if self.driver.returncode else "SUCCEEDED")

    @staticmethod
    def drive(record, environ, log):
        return drive([sys.executable, "-u", *record["argv"][-2:]], environ, log)

    def _start(self, path):
        record = json.loads(path.read_text())
        path.rename(path.with_suffix(".json.taken"))
        prefix = "spark.yarn.appMasterEnv."
        settings = dict(line.split(" ", 1) for line in record["settings"].splitlines())
        given = {name.removeprefix(prefix): value for name, value in settings.items() if name.startswith(prefix)}
        self.driver = self.drive(record, {**self.environ, **given}, self.folder / "container.log")
        self._tell("RUNNING", "UNDEFINED")

    def _tell(self, state, final):
        temporary = self.folder / "state"
        temporary.write_text(f"{state} {final}")
        temporary.rename(self.folder / "application_1736500000000_0001.state")


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "jobs.py").write_text(textwrap.dedent(JOBS).lstrip())
    (folder / "requirements.txt").touch()
    return folder


@pytest.fixture
def yarn(tmp_path, project, environ):
    folder = tmp_path / "yarn"
    folder.mkdir()
    for name, text in (("spark-submit", SPARK_SUBMIT), ("yarn", YARN_PROGRAM)):
        path = tmp_path / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).format(python=sys.executable, cluster=str(folder)))
        path.chmod(0o755)
    (project / "wheelrun.toml").write_text(
        YARN.format(programs=tmp_path / "programs", share=tmp_path / "share"),
    )
    cluster = Yarn(folder, environ)
    yield cluster
    cluster.close()


@pytest.fixture
def client(project, tmp_path, environ):
    path = os.pathsep.join([str(tmp_path / "programs"), environ["PATH"]])
    made = Client(
        project,
        cwd=project,
        environ={**environ, "WHEELRUN_HOME": str(tmp_path / "home"), "HADOOP_CONF_DIR": "/conf", "PATH": path},
    )
    yield made
    for run in made.runs():
        if not run.state.is_terminal:
            run.cancel()


def lines(run, **options):
    return [line.text for line in run.logs(**options)]


def test_a_run_on_yarn(yarn, client, tmp_path):
    yarn.room.clear()
    gate = tmp_path / "gate"
    run = client.submit(
        "jobs:chain", {"gate": gate}, target="yarn",
        env={"A_TOKEN": "s3cr3t", "PLAIN": "seen"}, conf={"spark.my.secret": "s3cr3t"},
    )  # fmt: skip
    record = until(lambda: (found := run.status()).reason == "waiting for resources (ACCEPTED)" and found)
    assert record.state is S.QUEUED
    assert record.url == "http://rm.example:8088/proxy/application_1736500000000_0001/"
    yarn.room.set()
    until(lambda: run.status().steps[1].state is S.RUNNING)
    assert lines(run, stream="stdout") == ["first says seen", "second waits"]
    gate.touch()
    record = run.wait(timeout=60)
    assert (record.state, record.exit_code) == (S.SUCCEEDED, 0)
    token, parent = run.result()
    assert token == "s3cr3t"
    assert parent == yarn.driver.pid
    assert lines(run, step="first", stream="stdout") == ["first says seen"]
    assert lines(run, step="first", stream="stderr") == ["careful"]
    until(lambda: _events(run)[-1].get("state") == "FINISHED")
    said = lines(run, stream="stderr")
    assert "careful" in said
    assert any("(state: FINISHED)" in line for line in said)
    events = [event for event in _events(run) if event["event"] == "submission"]
    assert list(dict.fromkeys(event["state"] for event in events)) == ["ACCEPTED", "RUNNING", "FINISHED"]
    submission = yarn.submission
    assert "s3cr3t" not in json.dumps(submission["argv"])
    assert submission["mode"] == 0o600
    assert "spark.my.secret s3cr3t\n" in submission["settings"]
    assert "spark.executorEnv.A_TOKEN s3cr3t\n" in submission["settings"]
    assert "SPARK_LOCAL_DIRS" not in submission["environ"]
    argv = submission["argv"]
    assert argv[argv.index("--queue") + 1] == "night"


def _events(run):
    path = Path(run.record.artifact_root, "runs", run.id, "events.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_step_that_fails_on_yarn_is_told_by_the_driver(yarn, client):
    record = client.submit("jobs:fails", target="yarn").wait(timeout=60)
    assert (record.state, record.exit_code) == (S.FAILED, 1)
    assert record.steps[0].error.message == "bad row 7"


def test_a_driver_that_dies_without_a_word_is_told_by_yarn_and_can_be_resumed(yarn, client, tmp_path):
    record = client.submit("jobs:dies", target="yarn").wait(timeout=60)
    assert (record.state, record.error.category, record.exit_code) == (S.FAILED, "cluster", 6)
    assert record.error.message == "application_1736500000000_0001 ended before the run did (FINISHED)"
    assert "yarn logs -applicationId application_1736500000000_0001" in record.error.hint


def test_a_submission_that_yarn_refuses_tells_why(yarn, client, tmp_path):
    (yarn.folder / "refuse").touch()
    run = client.submit("jobs:chain", {"gate": tmp_path}, target="yarn")
    record = run.wait(timeout=60)
    assert record.error.message == "spark-submit ended before it had submitted (exit status 1): queue night is full"
    (yarn.folder / "refuse").unlink()
    resumed = client.resume(run.id)
    assert resumed.wait(timeout=60).state is S.SUCCEEDED


def test_cancel_asks_the_driver_and_needs_no_yarn(yarn, client, tmp_path):
    (tmp_path / "programs" / "yarn").unlink()
    run = client.submit("jobs:chain", {"gate": tmp_path / "never"}, target="yarn")
    until(lambda: run.status().steps[1].state is S.RUNNING)
    began = time.monotonic()
    assert run.cancel().state is S.CANCELLED
    assert time.monotonic() - began < 10
    until(lambda: yarn.driver.poll() is not None)
    assert not (yarn.folder / "killed").exists()


def test_a_run_that_waits_is_ended_by_yarn_and_its_driver_runs_nothing(yarn, client, tmp_path):
    yarn.room.clear()
    run = client.submit("jobs:chain", {"gate": tmp_path}, target="yarn")
    until(lambda: run.status().url)
    assert run.cancel().state is S.CANCELLED
    assert (yarn.folder / "killed").read_text() == "application -kill application_1736500000000_0001"
    (yarn.folder / "killed").unlink()
    yarn.room.set()
    until(lambda: yarn.driver)
    assert yarn.driver.wait(30) == 76
    assert run.status().steps[0].state is S.SKIPPED


def test_an_application_that_cannot_be_ended_from_here_is_told(yarn, client, tmp_path):
    run = client.submit("jobs:chain", {"gate": tmp_path / "never"}, target="yarn")
    until(lambda: run.status().steps[1].state is S.RUNNING)
    (tmp_path / "programs" / "yarn").unlink()
    os.kill(yarn.driver.pid, signal.SIGSTOP)
    with pytest.raises((ConfigurationError, ClusterError), match="cannot be ended from here: `yarn` is not on PATH"):
        run.cancel()
    assert run.status().state is S.RUNNING
    os.kill(yarn.driver.pid, signal.SIGCONT)
    assert until(lambda: (found := run.status()).state.is_terminal and found).state is S.CANCELLED


def test_a_driver_outlives_spark_submit_and_its_supervisor(yarn, client, tmp_path):
    gate = tmp_path / "gate"
    run = client.submit("jobs:chain", {"gate": gate}, target="yarn")
    until(lambda: run.status().steps[1].state is S.RUNNING)
    processes.end_session(int(run.record.metadata["pid"]), grace=0)
    record = run.status()
    assert (record.state, record.reason) == (S.RUNNING, "spark-submit has gone, but the driver gives signs of life")
    gate.touch()
    assert run.wait(timeout=60).state is S.SUCCEEDED


def test_when_spark_submit_alone_dies_the_run_goes_on(yarn, client, tmp_path):
    gate = tmp_path / "gate"
    run = client.submit("jobs:chain", {"gate": gate}, target="yarn")
    until(lambda: run.status().steps[1].state is S.RUNNING)
    leader = int(run.record.metadata["pid"])
    for pid in processes.of_session(leader, without={leader}):
        os.kill(pid, signal.SIGKILL)
    gate.touch()
    assert run.wait(timeout=60).state is S.SUCCEEDED


def test_a_run_that_takes_too_long_is_ended_on_yarn_too(yarn, client, tmp_path):
    run = client.submit("jobs:chain", {"gate": tmp_path / "never"}, target="yarn", timeout=1.5)
    record = run.wait(timeout=60)
    assert (record.state, record.exit_code) == (S.FAILED, 124)
    until(lambda: yarn.driver.poll() is not None)
    assert [event["state"] for event in _events(run) if event["event"] == "run"][1:] in ([S.FAILED], [S.FAILED] * 2)


def test_without_yarns_settings_nothing_is_sent(yarn, client, tmp_path, environ):
    client.environ = {name: value for name, value in client.environ.items() if name != "HADOOP_CONF_DIR"}
    with pytest.raises(ConfigurationError, match="neither HADOOP_CONF_DIR nor YARN_CONF_DIR"):
        client.submit("jobs:fails", target="yarn")
    assert not (tmp_path / "share").exists()


def test_a_standalone_master_that_does_not_answer_is_told_before_anything_is_sent(project, client, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    options = {"master": f"spark://127.0.0.1:{port}", "deploy_mode": "client"}
    with pytest.raises(ClusterError, match=f"no master of spark://127.0.0.1:{port} answers .*Connection refused"):
        client.submit("jobs:fails", options=options)
    assert not (tmp_path / "home" / "data" / "artifacts" / "wheels").exists()


FAR = """
artifact_root = "local://{share}"
cluster_root = "viewfs://here/share"
[targets.yarn.conf]
"spark.hadoop.fs.viewfs.mounttable.here.link./share" = "file://{share}"
"""


@pytest.fixture
def far(yarn, project, tmp_path):
    """The same, with an artifact root that is no folder: the client reaches it by fsspec, the driver by Hadoop."""
    settings = (project / "wheelrun.toml").read_text().splitlines()
    kept = "\n".join(line for line in settings if "_root" not in line)
    (project / "wheelrun.toml").write_text(kept + FAR.format(share=tmp_path / "share"))

    def below_a_jvm(record, environ, log):
        settings = log.with_name("settings")
        settings.write_text(record["settings"])
        first, ticket = record["argv"][-2:]
        first = first.replace("viewfs://here/share", str(tmp_path / "share"))
        program = find_spark(environ).home / "bin" / "spark-submit"
        environ = {**environ, **java_environment(find_java(environ, cache=tmp_path / "cache"))}
        return drive([program, "--master", "local[1]", "--properties-file", settings, first, ticket], environ, log)

    yarn.drive = below_a_jvm
    return yarn


@pytest.mark.spark
def test_a_run_on_yarn_behind_a_url(far, client, tmp_path):
    gate = tmp_path / "gate"
    run = client.submit("jobs:gated", {"gate": gate}, target="yarn")
    record = run.wait(timeout=120)
    assert (record.state, [step.state for step in record.steps]) == (S.FAILED, [S.SUCCEEDED, S.FAILED])
    assert record.error.message.endswith("the gate is shut")
    assert lines(run, step="opens", stream="stdout") == ["opens"]
    assert "Submitting application" in " ".join(lines(run, stream="stderr"))
    gate.touch()
    for sums in (tmp_path / "share").rglob(".*.crc"):
        sums.unlink()  # Hadoop's, of a file system of this machine: they would not be those of what the client writes
    _forget(far)
    again = client.resume(run.id)
    assert again.wait(timeout=120).state is S.SUCCEEDED
    assert again.result() == "through"
    assert lines(again, stream="stdout") == ["opens", "tries", "tries"]
    assert lines(again, step="through", stream="stdout") == ["tries", "tries"]
    assert not list((tmp_path / "home").rglob("outputs"))


@pytest.mark.spark
def test_a_run_behind_a_url_is_cancelled(far, client, tmp_path):
    run = client.submit("jobs:chain", {"gate": tmp_path / "never"}, target="yarn")
    until(lambda: run.status().steps[1].state is S.RUNNING, within=60)
    assert run.cancel().state is S.CANCELLED
    until(lambda: far.driver.poll() is not None)
    assert not (far.folder / "killed").exists()


def test_a_submission_behind_a_url_that_is_refused_tells_why(far, client, tmp_path):
    (far.folder / "refuse").touch()
    run = client.submit("jobs:chain", {"gate": tmp_path}, target="yarn")
    record = run.wait(timeout=60)
    assert record.error.message == "spark-submit ended before it had submitted (exit status 1): queue night is full"
    assert record.error.hint == f"to go on: wheelrun resume {run.id}"


def test_a_driver_on_this_machine_wants_a_folder(far, client, tmp_path):
    with pytest.raises(ConfigurationError, match="is not a folder, and the driver runs on this machine"):
        client.submit("jobs:fails", target="yarn", options={"deploy_mode": "client"})


def _forget(cluster):
    until(lambda: not any(_lives(path) for path in cluster.folder.glob("*.pid")))
    for path in [*cluster.folder.glob("*.taken"), *cluster.folder.glob("*.state")]:
        path.unlink()
    cluster.driver = None


KUBERNETES = """
[targets.kube]
orchestrator = "spark-submit"
master = "k8s://http://127.0.0.1:{port}"
deploy_mode = "cluster"
python_version = "3.11"
artifact_root = "{share}"
cluster_root = "{share}"
[targets.kube.conf]
"spark.kubernetes.container.image" = "registry.example/spark:4"
"spark.kubernetes.namespace" = "team-a"
"""


class Kubernetes(ThreadingHTTPServer):
    """The API of a cluster that runs one pod: a driver."""

    daemon_threads = True

    def __init__(self, folder, environ):
        self.folder, self.environ = folder, environ
        self.changed = threading.Condition()
        self.pod, self.events, self.driver, self.deleted = None, [], None, []
        super().__init__(("127.0.0.1", 0), Api)
        threading.Thread(target=self.serve_forever).start()

    def close(self):
        self.shutdown()
        self.server_close()
        if self.driver is not None:
            end_driver(self.driver)

    def tell(self, phase, state=None, event="MODIFIED"):
        container = {"name": "spark-kubernetes-driver", "image": "i", "imageID": "", "ready": False, "restartCount": 0}
        with self.changed:
            status = {"phase": phase, "containerStatuses": [{**container, "state": state}] if state else []}
            self.pod = {**self.pod, "status": status}
            self.events.append({"type": event, "object": self.pod})
            self.changed.notify_all()

    def run(self, pod):
        self.pod = pod
        self.tell("Pending", event="ADDED")
        threading.Thread(target=self._live, daemon=True).start()

    def _live(self):
        spec = self.pod["spec"]["containers"][0]
        environ = {item["name"]: item["value"] for item in spec["env"] if "value" in item}
        entry, ticket = spec["args"][-2:]
        argv = [sys.executable, "-u", entry.removeprefix("local://"), ticket]
        self.driver = drive(argv, {**self.environ, "PLAIN": environ.get("PLAIN", "")}, self.folder / "pod.log")
        self.tell("Running", {"running": {"startedAt": "2026-01-10T09:20:05Z"}})
        code = self.driver.wait()
        when = {"startedAt": "2026-01-10T09:20:05Z", "finishedAt": "2026-01-10T09:20:45Z"}
        end = {"exitCode": abs(code), "reason": "Error" if code else "Completed", **when}
        self.tell("Failed" if code else "Succeeded", {"terminated": end})


class Api(BaseHTTPRequestHandler):
    """What spark-submit's client asks of the API."""

    protocol_version = "HTTP/1.1"
    server: Kubernetes

    def log_message(self, *_): ...

    def do_GET(self):
        if "watch=true" not in self.path:
            return self._answer(self.server.pod or _missing(), 200 if self.server.pod else 404)
        if self.headers.get("Upgrade"):
            return self._answer(_missing(503), 503)  # it takes plain HTTP then
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            self._watch()
        return None

    def do_POST(self):
        body = self._body()
        facts = {"uid": "00000000-1111-2222-3333-444444444444", "namespace": "team-a", "resourceVersion": "1"}
        body["metadata"].update(facts, creationTimestamp="2026-01-10T09:20:00Z")
        if body["kind"] == "Pod":
            self.server.run(body)
        self._answer(body, 201)

    def do_PATCH(self):
        self._answer(self._body())

    def do_DELETE(self):
        self._body()
        self.server.deleted.append(self.path.rpartition("/")[2].partition("?")[0])
        if self.server.driver is not None:
            end_driver(self.server.driver)
        self._answer(self.server.pod)

    def _watch(self):
        seen = 0
        while True:
            with self.server.changed:
                if len(self.server.events) == seen:
                    self.server.changed.wait(1)
                events, seen = self.server.events[seen:], len(self.server.events)
            for event in events:
                data = json.dumps(event).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()

    def _body(self):
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")

    def _answer(self, content, code=200):
        data = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _missing(code=404):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": code}


@pytest.fixture
def kubernetes(tmp_path, project, environ):
    cluster = Kubernetes(tmp_path, environ)
    port = cluster.server_address[1]
    (project / "wheelrun.toml").write_text(KUBERNETES.format(port=port, share=tmp_path / "share"))
    yield cluster
    cluster.close()


@pytest.mark.slow
@pytest.mark.spark
def test_a_run_on_kubernetes(kubernetes, client, tmp_path):
    gate = tmp_path / "gate"
    env = {"A_TOKEN": "s3cr3t", "PLAIN": "seen"}
    run = client.submit("jobs:chain", {"gate": gate}, target="kube", env=env)
    until(lambda: run.status().steps[1].state is S.RUNNING, within=90)
    gate.touch()
    assert run.wait(timeout=60).state is S.SUCCEEDED
    assert lines(run, stream="stdout") == ["first says seen", "second waits"]
    pod = kubernetes.pod["metadata"]["name"]
    until(lambda: [event for event in _events(run) if event.get("state") == "Succeeded"])
    assert {event["id"] for event in _events(run) if event["event"] == "submission"} == {f"team-a:{pod}"}
    spec = kubernetes.pod["spec"]["containers"][0]
    given = {item["name"]: item.get("value") for item in spec["env"]}
    assert given["A_TOKEN"] == "s3cr3t"
    assert given["PYSPARK_PYTHON"] == "python3"
    assert not any("s3cr3t" in word for word in spec["args"])


@pytest.mark.slow
@pytest.mark.spark
def test_cancel_deletes_the_pod_of_a_driver_that_does_not_listen(kubernetes, client, tmp_path):
    run = client.submit("jobs:chain", {"gate": tmp_path / "never"}, target="kube")
    until(lambda: run.status().steps[1].state is S.RUNNING, within=90)
    os.kill(kubernetes.driver.pid, signal.SIGSTOP)
    assert run.cancel().state is S.CANCELLED
    assert kubernetes.deleted == [kubernetes.pod["metadata"]["name"]]
