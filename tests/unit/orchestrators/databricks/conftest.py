from __future__ import annotations

import pytest

from wheelrun.emulator.server import running


@pytest.fixture
def emulator(tmp_path, monkeypatch):
    """A running emulator's state; the environment names it as the workspace."""
    with running(tmp_path / "emulator") as state:
        monkeypatch.setenv("DATABRICKS_HOST", state.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", state.token)
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "no-profiles"))
        yield state
