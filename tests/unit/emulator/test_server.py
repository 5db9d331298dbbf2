from __future__ import annotations

import socket

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound, PermissionDenied, Unauthenticated

from wheelrun.emulator.server import LOOPBACK, running
from wheelrun.emulator.state import USER
from wheelrun.errors import ClusterError


def test_the_official_client_is_answered(workspace):
    assert workspace.current_user.me().user_name == USER


def test_a_wrong_token_is_refused(emulator):
    with pytest.raises((Unauthenticated, PermissionDenied)):
        WorkspaceClient(host=emulator.host, token="wrong").current_user.me()


def test_a_call_that_there_is_not(workspace):
    with pytest.raises(NotFound, match=r"No API found for 'GET /api/2.0/nothing'"):
        workspace.api_client.do("GET", "/api/2.0/nothing")


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ClusterError, match=f"port {port} of {LOOPBACK}"), running(tmp_path, port=port):
            pass


def test_what_it_remembers_outlives_it(tmp_path):
    with running(tmp_path / "state", token="t") as state:
        state.put("thing", "1", {"a": 1})
    with running(tmp_path / "state") as state:
        assert state.get("thing", "1") == {"a": 1}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "state.db").stat().st_mode & 0o777 == 0o600
