from __future__ import annotations

import platform

import pytest

from wheelrun.client.building import Workspace
from wheelrun.config import data_path, emulator_login, resolve_stack
from wheelrun.emulator.folder import Standing, folder_of
from wheelrun.emulator.offered import targets
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.databricks.api import connect
from wheelrun.runtime.alive import RunLock


@pytest.fixture
def environ(tmp_path):
    return {"WHEELRUN_HOME": str(tmp_path / "home")}


@pytest.fixture
def standing(environ, emulator):
    """An emulator that is up: its lock is held."""
    folder = folder_of(environ)
    folder.path.mkdir(parents=True)
    port = int(emulator.host.rpartition(":")[2])
    folder.write(Standing(host=emulator.host, token=emulator.token, pid=1, address="127.0.0.1", port=port))
    lock = RunLock(folder.alive)
    assert lock.acquire()
    yield lock
    lock.release()


def test_without_an_emulator_there_is_none_and_nothing_is_made(environ):
    assert targets(environ) == {}
    assert not data_path(environ).exists()
    with pytest.raises(ConfigurationError, match="no emulator is up"):
        emulator_login(environ)


def test_while_it_is_up(standing, environ, emulator):
    assert targets(environ) == {
        "emulator": {
            "orchestrator": "databricks",
            "profile": "wheelrun-emulator",
            "serverless": {"environment_version": "4"},
            "python_version": platform.python_version(),
        }
    }
    assert emulator_login(environ) == (emulator.host, emulator.token)
    standing.release()
    assert targets(environ) == {}


def test_it_lies_below_the_persons_own(standing, environ, tmp_path):
    workspace = Workspace(tmp_path, environ=environ)
    (tmp_path / "pyproject.toml").write_text("[tool.wheelrun]\n")
    stack = resolve_stack(workspace.settings, "emulator", environ=environ)
    assert (stack.orchestrator, stack.where) == ("databricks", "wheelrun emulator up")


def test_it_is_never_taken_for_the_workspace_that_the_environment_names(standing, environ, emulator, monkeypatch):
    for name, value in {**environ, "DATABRICKS_HOST": "https://other.example", "DATABRICKS_TOKEN": "x"}.items():
        monkeypatch.setenv(name, value)
    api = connect(profile="wheelrun-emulator")
    assert api.host == emulator.host
    assert api.client.current_user.me().active
