from __future__ import annotations

import pytest
from databricks.sdk import WorkspaceClient

from wheelrun.emulator.server import running


@pytest.fixture
def emulator(tmp_path):
    """A running emulator's state: its `host`, its `token`, what it remembers."""
    with running(tmp_path / "emulator") as state:
        yield state


@pytest.fixture
def workspace(emulator):
    """The official client of it."""
    return WorkspaceClient(host=emulator.host, token=emulator.token)
