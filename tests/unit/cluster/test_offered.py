from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from wheelrun.client.building import Workspace
from wheelrun.cluster import targets
from wheelrun.cluster.folder import folder_of
from wheelrun.config import data_path, resolve_stack
from wheelrun.runtime.alive import RunLock


@pytest.fixture
def alive(state, environ):
    """A cluster whose Master is alive: its lock is held."""
    folder = folder_of(data_path(environ))
    folder.path.mkdir(parents=True)
    folder.write(replace(state, ready=True))
    lock = RunLock(folder.lock("master"))
    assert lock.acquire()
    yield folder
    lock.release()


def test_without_a_cluster_there_are_none_and_nothing_is_made(environ):
    assert targets(environ) == {}
    assert not data_path(environ).exists()


def test_while_it_is_up(alive, environ):
    found = targets(environ)
    root = str(data_path(environ) / "artifacts")
    assert found["cluster"] == {
        "orchestrator": "spark-standalone",
        "master": "spark://127.0.0.1:7000",
        "rest": "http://127.0.0.1:7001",
        "web": "http://127.0.0.1:7002",
        "rest_key_file": str(alive.rest_key),
        "artifact_root": root,
    }
    assert found["connect"] == {
        "orchestrator": "spark-connect",
        "remote": "sc://localhost:7005",
        "token_file": str(alive.connect_token),
        "artifact_root": root,
    }


def test_a_spark_that_asks_for_nothing_and_has_no_connect_server(alive, state, environ):
    alive.write(replace(state, ready=True, rest_key=False, size=replace(state.size, connect=False)))
    (table,) = targets(environ).values()
    assert "rest_key_file" not in table


def test_not_before_it_was_up_and_not_when_all_has_ended(alive, state, environ):
    alive.write(state)
    assert targets(environ) == {}
    alive.write(replace(state, ready=True))
    assert targets(environ)
    alive.lock("master").unlink()
    assert targets(environ) == {}


def test_they_lie_below_the_persons_own(alive, environ, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.wheelrun.targets.cluster]\norchestrator = "local"\nmaster = "local[1]"\n'
    )
    settings = Workspace(tmp_path, environ=os.environ).settings
    assert list(settings.targets) == ["local", "cluster", "connect"]
    assert settings.targets["cluster"].config == {"master": "local[1]"}
    stack = resolve_stack(settings, "connect", environ=environ)
    assert stack.orchestrator == "spark-connect"
    assert stack.config == {"remote": "sc://localhost:7005", "token_file": str(alive.connect_token)}
    assert Path(stack.artifact_root) == data_path(environ) / "artifacts"
    assert stack.where == "wheelrun cluster up"
