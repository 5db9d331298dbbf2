"""What every orchestrator is held to, and the table of those that are.

An orchestrator joins by a row in `TARGETS`: a name, and a function that returns the target's table, given the
fixture request.
"""

from __future__ import annotations

import textwrap
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from wheelrun.client import Client, Run

TARGETS = {
    "local": lambda _: {},
    "local-parallel": lambda _: {"orchestrator": "local", "max_parallel_steps": 2},
    "cluster": lambda request: request.getfixturevalue("spark_cluster").targets["cluster"],
    "docker": lambda request: request.getfixturevalue("docker_target"),
    "connect": lambda request: request.getfixturevalue("spark_cluster").connect,
    "databricks": lambda request: databricks(request, existing_cluster_id=True),
    "databricks-in-one": lambda request: databricks(request, isolation="pipeline"),
    "submit": lambda _: {
        "orchestrator": "spark-submit",
        "master": "local-cluster[2,1,512]",
        "conf": {"spark.executor.memory": "512m"},
    },
}

MARKS = (
    (pytest.mark.spark, {"cluster", "connect", "submit"}),  # they start a JVM
    (pytest.mark.slow, {"submit"}),  # it starts a whole cluster for each run
    (pytest.mark.docker, {"docker"}),
)
"""A mark, and those that have it."""

BY_REFERENCE = {"databricks", "databricks-in-one"}
"""Those that take secrets by reference only, and keep artifacts where this machine sees them through a service only."""

ONE_PROCESS = {"databricks-in-one"}
"""Those on which a process that dies takes the rest of the run with it; it can be resumed."""

FIRST_LINES = {"connect": "import pyspark.sql\n"}
"""What stands above the project's code: a server's session is made where the code is seen to use Spark."""

PROJECT = {
    "jobs.py": """
        import os, sys, time
        from pathlib import Path
        from wheelrun import current_run, pipeline, step

        def succeed(n: int = 1): return n

        def say(lines: int = 3):
            for index in range(lines):
                print(f"out {index}")
                print(f"err {index}", file=sys.stderr)

        def wait_for(path: Path):
            print("waiting", flush=True)
            while not path.exists(): time.sleep(0.02)

        def show(name: str): return os.environ.get(name)

        @step
        def first(n: int):
            print("first says", n)
            return {"n": n, "run": current_run().run_id}

        @step
        def second(given, marker: Path):
            print("second says", given["n"])
            if not marker.exists(): raise ValueError("the marker is missing")
            return given["run"], current_run().run_id

        @step(run_if="always")
        def last(given): return current_run().failed_steps

        @pipeline
        def chain(n: int, marker: Path):
            given = first(n)
            result = second(given, marker)
            last(result)
            return result

        @step(retries=2, retry_delay=0)
        def third_time():
            if current_run().attempt < 3: raise ValueError(f"attempt {current_run().attempt}")
            return current_run().attempt

        @step(cache=True)
        def remembered(n: int):
            print("worked out", n)
            return n + 1

        @pipeline
        def cached(n: int): return remembered(remembered(n))

        @step
        def dies():
            os.kill(os.getpid(), 9)

        @step(run_if="one_failed")
        def tell(given): return current_run().failed_steps

        @step(retries=1, retry_delay=0)
        def dies_once():
            if current_run().attempt == 1: os._exit(9)
            return "alive"

        @pipeline
        def survives():
            tell(dies())
            return dies_once()
        """,
}


def databricks(request, *, existing_cluster_id=False, **table):
    """Return a target on the emulator, which the environment names."""
    emulator = request.getfixturevalue("databricks_workspace")
    where = {"DATABRICKS_HOST": emulator.host, "DATABRICKS_TOKEN": emulator.token}
    for name, value in where.items():
        request.getfixturevalue("monkeypatch").setenv(name, value)
    request.getfixturevalue("environ").update(where)
    folder = uuid.uuid4().hex
    if existing_cluster_id:
        root = f"/Workspace/Users/emulator@wheelrun.local/{folder}"
        return {"orchestrator": "databricks", "existing_cluster_id": emulator.cluster, "artifact_root": root, **table}
    root = f"/Volumes/main/default/wheelrun/{folder}"
    return {"orchestrator": "databricks", "cluster": CLUSTER, "artifact_root": root, **table}


CLUSTER = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}


@pytest.fixture(scope="session")
def databricks_workspace(tmp_path_factory):
    """A workspace of the emulator, with a cluster that stays."""
    from databricks.sdk import WorkspaceClient

    from wheelrun.emulator.server import running

    with running(tmp_path_factory.mktemp("databricks")) as state:
        client = WorkspaceClient(host=state.host, token=state.token)
        created = client.clusters.create(cluster_name="shared", autotermination_minutes=60, **CLUSTER)
        yield SimpleNamespace(
            host=state.host, token=state.token, state=state, client=client, cluster=created.response.cluster_id
        )


@dataclass
class Harness:
    """A project, and a client that submits it to one target."""

    client: Client
    target: str
    home: Path
    project: Path

    @property
    def takes_secrets(self) -> bool:
        return self.target not in BY_REFERENCE

    @property
    def survives_a_process(self) -> bool:
        return self.target not in ONE_PROCESS

    def submit(self, entry: str, params=None, **options) -> Run:
        return self.client.submit(entry, params, target=self.target, **options)

    def run(self, entry: str, params=None, **options) -> Run:
        run = self.submit(entry, params, **options)
        run.wait(timeout=120)
        return run

    def another(self) -> Client:
        """A client as another process would have it: nothing shared but the disk."""
        return Client(self.project, cwd=self.project, environ=dict(self.client.environ))


@pytest.fixture(
    params=[pytest.param(name, marks=[mark for mark, names in MARKS if name in names]) for name in sorted(TARGETS)]
)
def target(request):
    return request.param


@pytest.fixture
def harness(request, target, tmp_path, environ):
    project = tmp_path / "project"
    project.mkdir()
    for name, text in PROJECT.items():
        (project / name).write_text(FIRST_LINES.get(target, "") + textwrap.dedent(text).lstrip())
    lines = [f"[targets.{target}]"]
    home = tmp_path / "home"
    table = TARGETS[target](request)
    if "artifact_root" in table and target not in BY_REFERENCE:
        table = {**table, "artifact_root": str(home / "data" / "artifacts")}
    for key, value in table.items():
        if isinstance(value, dict):
            value = "{" + ", ".join(f"{name!r} = {item!r}" for name, item in value.items()) + "}"
            lines.append(f"{key} = {value}".replace("'", '"'))
            continue
        lines.append(f"{key} = {value!r}".replace("'", '"'))
    (project / "wheelrun.toml").write_text("\n".join(lines) + "\n")
    client = Client(project, cwd=project, environ={**environ, "WHEELRUN_HOME": str(home)})
    yield Harness(client=client, target=target, home=home, project=project)
    for run in client.runs():
        if not run.state.is_terminal:
            run.cancel()
