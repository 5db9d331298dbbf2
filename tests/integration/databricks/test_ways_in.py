"""The ways into a workspace, all of them the official client's: token, profile, service principal."""

from __future__ import annotations

from collections import deque

import pytest

from wheelrun.client import Client
from wheelrun.emulator.identities import service_principal
from wheelrun.errors import ConfigurationError


def test_a_profile_is_enough_in_later_processes_too(project, environ, workspace, another, monkeypatch, tmp_path):
    profiles = tmp_path / "databrickscfg"
    profiles.write_text(f"[mine]\nhost = {workspace.host}\ntoken = {workspace.token}\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(profiles))
    for name in ("DATABRICKS_HOST", "DATABRICKS_TOKEN"):
        monkeypatch.delenv(name)
    file = project / "wheelrun.toml"
    file.write_text(file.read_text().replace('"databricks"', '"databricks"\nprofile = "mine"'))
    run = Client(project, cwd=project, environ=environ).submit("jobs:add", target="home")
    assert "databricks+http://mine@127.0.0.1" in run.record.artifact_root
    assert another().run(run.id).result(timeout=120) == 2
    file.write_text(file.read_text().replace('profile = "mine"', 'profile = "yours"'))
    with pytest.raises(ConfigurationError, match="has no yours profile configured"):
        another().submit("jobs:add", target="home")


def test_a_service_principal_runs_in_its_own_folder(client, workspace, monkeypatch):
    identity, secret = service_principal(workspace.state)
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", identity)
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", secret)
    run = client.submit("jobs:add", target="home")
    assert run.result(timeout=120) == 2
    assert f"/Users/{identity}/" in run.record.artifact_root


def test_an_expired_token_is_told(client, workspace, monkeypatch):
    made = workspace.client.tokens.create(lifetime_seconds=1)
    monkeypatch.setenv("DATABRICKS_TOKEN", made.token_value)
    ask = client.orchestrator_for(_home(client)).ask_user
    with pytest.raises(ConfigurationError, match="it has expired") as error:
        deque(iter(ask, None), maxlen=0)  # again and again: it expires within a second
    assert "make a new one" in error.value.hint


def test_the_environment_goes_before_the_target(client, workspace, project):
    file = project / "wheelrun.toml"
    file.write_text(file.read_text().replace('"databricks"', '"databricks"\nhost = "https://prod.example.com"'))
    assert (
        Client(project, cwd=project, environ=client.environ).submit("jobs:add", target="home").result(timeout=120) == 2
    )


def _home(client):
    (stack,) = [stack for stack in client.targets() if stack.name == "home"]
    return stack
