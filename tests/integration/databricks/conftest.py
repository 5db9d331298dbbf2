"""A project, its targets on an emulated workspace, and what was asked of that."""

from __future__ import annotations

import textwrap
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from databricks.sdk import WorkspaceClient

from wheelrun.client import Client
from wheelrun.emulator.server import running
from wheelrun.emulator.state import State

NEW = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}

JOBS = """
    import os, time
    from pathlib import Path
    from wheelrun import current_run, pipeline, step

    def add(n: int = 1): return n + 1

    def text(words: str): return words

    def show(name: str): return os.environ.get(name)

    @step
    def first(n: int): return n

    @step
    def second(given, gate: Path):
        print("in second", flush=True)
        while not gate.exists(): time.sleep(0.02)
        return [given, "second"]

    @pipeline
    def chain(gate: Path, n: int = 1): return second(first(n), gate)

    @step
    def begins(): return 1

    @step
    def fails(given): raise ValueError("no luck")

    @step
    def waits_for_it(given): return given

    @step(run_if="one_failed")
    def tells(given): return current_run().failed_steps

    @step(run_if="one_failed")
    def tells_of_nothing(given): return "told"

    @step(run_if="always")
    def after(given): return current_run().failed_steps

    @pipeline
    def branches():
        given = begins()
        tells(waits_for_it(fails(given)))
        after(tells_of_nothing(given))
        return given

    @pipeline
    def wide():
        for number in range(120): first.with_options(name=f"s{number}")(number)
    """


@dataclass
class Workspace:
    """An emulated workspace."""

    host: str
    token: str
    client: WorkspaceClient
    cluster: str
    state: State

    @property
    def folder(self) -> Path:
        return self.state.folder

    @property
    def environ(self) -> dict[str, str]:
        return {"DATABRICKS_HOST": self.host, "DATABRICKS_TOKEN": self.token}

    def fail(self, **fault: Any) -> None:
        """Let calls fail; see `wheelrun.emulator.faults`."""
        requests.post(f"{self.host}/emulator/faults", json=fault, headers=self._headers).raise_for_status()

    def heal(self) -> None:
        requests.delete(f"{self.host}/emulator/faults", headers=self._headers).raise_for_status()

    def calls(self) -> list[str]:
        """Return the calls since the last time: "POST /api/2.2/jobs/run-now"."""
        found = requests.get(f"{self.host}/emulator/requests", headers=self._headers).json()["requests"]
        requests.delete(f"{self.host}/emulator/requests", headers=self._headers).raise_for_status()
        return [f"{call['method']} {call['path']}" for call in found]

    def runs(self) -> list[Any]:
        return list(self.client.jobs.list_runs())

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """The workspace that serves the whole test session."""
    with running(tmp_path_factory.mktemp("workspace")) as state:
        client = WorkspaceClient(host=state.host, token=state.token)
        cluster = client.clusters.create(cluster_name="shared", autotermination_minutes=60, **NEW).response.cluster_id
        yield Workspace(state.host, state.token, client, cluster, state)


@pytest.fixture
def workspace(shared, monkeypatch, environ):
    """The workspace, which the environment names; nothing fails there yet."""
    for name, value in shared.environ.items():
        monkeypatch.setenv(name, value)
        environ[name] = value
    shared.heal()
    shared.calls()
    yield shared
    shared.heal()


def write_project(folder: Path, targets: dict[str, dict[str, Any]]) -> Path:
    """Write a project with targets."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "jobs.py").write_text(textwrap.dedent(JOBS))
    lines = []
    for target, table in targets.items():
        lines.append(f'[targets.{target}]\norchestrator = "databricks"')
        lines += [f"{name} = {toml(value)}" for name, value in table.items()]
    (folder / "wheelrun.toml").write_text("\n".join(lines) + "\n")
    return folder


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')


@pytest.fixture
def new():
    """A cluster that is made for a run."""
    return dict(NEW)


@pytest.fixture
def writing():
    """Write a project with targets into a folder."""
    return write_project


@pytest.fixture
def project(workspace, tmp_path):
    """A project with a target of each kind of compute; each test has artifact roots of its own."""
    name = uuid.uuid4().hex
    volume, folder = f"/Volumes/main/default/wheelrun/{name}", f"/Workspace/Shared/{name}"
    targets = {
        "there": {"existing_cluster_id": workspace.cluster, "artifact_root": folder},
        "volume": {"existing_cluster_id": workspace.cluster, "artifact_root": volume},
        "new": {"cluster": NEW, "artifact_root": volume},
        "serverless": {"serverless": {"environment_version": "2"}, "artifact_root": folder},
        "home": {"existing_cluster_id": workspace.cluster},
    }
    return write_project(tmp_path / f"shop-{name[:8]}", targets)


@pytest.fixture
def client(project, environ):
    made = Client(project, cwd=project, environ=environ)
    yield made
    for run in made.runs():
        if not run.state.is_terminal:
            run.cancel()


@pytest.fixture
def another(project, environ):
    """Make a client as another process would have it."""
    return lambda: Client(project, cwd=project, environ=dict(environ))
