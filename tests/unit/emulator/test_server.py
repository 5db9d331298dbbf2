from __future__ import annotations

import socket

import pytest
import requests
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


@pytest.mark.parametrize(
    "body",
    [b'{"name":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"name":"\\ud800"}', b'{"name":"\xff"}', b"{x", b"[1]"],
    ids=["deep", "half a character", "no UTF-8", "no JSON", "no object"],
)
def test_what_is_no_json_is_refused_as_that(emulator, body):
    found = requests.post(
        f"{emulator.host}/api/2.2/jobs/create", body, headers={"Authorization": f"Bearer {emulator.token}"}, timeout=30
    )
    assert (found.status_code, found.json()["error_code"]) == (400, "MALFORMED_REQUEST")


def test_a_defect_is_told_in_the_shape_of_an_error(emulator, monkeypatch):
    monkeypatch.setattr("wheelrun.emulator.engine.jobbook.JobBook.jobs", lambda *_, **__: 1 / 0)
    found = requests.get(
        f"{emulator.host}/api/2.2/jobs/list", headers={"Authorization": f"Bearer {emulator.token}"}, timeout=30
    )
    assert (found.status_code, found.json()["error_code"]) == (500, "INTERNAL_ERROR")


def test_an_address_that_there_is_not(tmp_path):
    with pytest.raises(ClusterError, match=r"nowhere\.invalid") as error, running(tmp_path, address="nowhere.invalid"):
        pass
    assert error.value.hint == "name an address of this machine"


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ClusterError, match=f"port {port} of {LOOPBACK}"), running(tmp_path, port=port):
            pass


def test_a_state_that_is_broken(tmp_path):
    (tmp_path / "state.db").write_bytes(b"no database" * 1000)
    with (
        pytest.raises(ClusterError, match=r"state\.db cannot be read: file is not a database") as error,
        running(tmp_path),
    ):
        pass
    assert error.value.hint == "wheelrun emulator up --fresh begins anew"


def test_what_it_remembers_outlives_it(tmp_path):
    with running(tmp_path / "state", token="t") as state:
        state.put("thing", "1", {"a": 1})
    with running(tmp_path / "state") as state:
        assert state.get("thing", "1") == {"a": 1}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "state.db").stat().st_mode & 0o777 == 0o600
