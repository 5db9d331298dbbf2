from __future__ import annotations

import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import InvalidParameterValue, NotFound, PermissionDenied, Unauthenticated

from wheelrun.emulator import identities
from wheelrun.emulator.identities import service_principal
from wheelrun.emulator.server import running
from wheelrun.emulator.state import USER


def client(emulator, token):
    return WorkspaceClient(host=emulator.host, token=token)


def test_the_service_principal_by_its_secret(emulator):
    client_id, secret = service_principal(emulator)
    workspace = WorkspaceClient(host=emulator.host, client_id=client_id, client_secret=secret, auth_type="oauth-m2m")
    me = workspace.current_user.me()
    assert (me.user_name, me.id) == (client_id, "2")
    workspace.workspace.mkdirs("/Shared/of-the-principal")


def test_who_it_is_does_not_stick_to_the_connection(emulator, workspace):
    client_id, secret = service_principal(emulator)
    body = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    with requests.Session() as session:
        token = session.post(f"{emulator.host}/oidc/v1/token", data=body, timeout=9).json()["access_token"]
        names = [
            session.get(
                f"{emulator.host}/api/2.0/preview/scim/v2/Me", headers={"Authorization": f"Bearer {one}"}, timeout=9
            ).json()["userName"]
            for one in (emulator.token, token, emulator.token)
        ]
    assert names == [USER, client_id, USER]


def test_a_wrong_secret_is_refused(emulator):
    client_id, _ = service_principal(emulator)
    with pytest.raises(ValueError, match="invalid_client"):
        WorkspaceClient(
            host=emulator.host, client_id=client_id, client_secret="wrong", auth_type="oauth-m2m"
        ).current_user.me()


def test_another_grant_is_refused(emulator):
    answer = requests.post(f"{emulator.host}/oidc/v1/token", data={"grant_type": "password"}, timeout=9)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


def test_an_access_token_expires(emulator, monkeypatch):
    token = identities.access_token(emulator, *service_principal(emulator))
    assert client(emulator, token).current_user.me().id == "2"
    later = identities.time.time() + identities.OAUTH_LIFETIME + 1
    monkeypatch.setattr(identities, "time", type("Clock", (), {"time": staticmethod(lambda: later)}))
    with pytest.raises(Unauthenticated, match="has expired"):
        client(emulator, token).current_user.me()


def test_the_secret_stays_over_a_restart(tmp_path):
    found = []
    for _ in range(2):
        with running(tmp_path) as state:
            found.append(service_principal(state))
    assert found[0] == found[1]


def test_a_token_can_be_made_and_removed(emulator, workspace):
    made = workspace.tokens.create(comment="mine", lifetime_seconds=60)
    other = client(emulator, made.token_value)
    assert other.current_user.me().user_name == USER
    assert [(item.comment, item.token_id) for item in workspace.tokens.list()] == [("mine", made.token_info.token_id)]
    workspace.tokens.delete(made.token_info.token_id)
    with pytest.raises(PermissionDenied, match="Invalid access token"):
        other.current_user.me()
    with pytest.raises(NotFound):
        workspace.tokens.delete(made.token_info.token_id)


def test_a_token_expires(emulator, workspace, monkeypatch):
    made = workspace.tokens.create(lifetime_seconds=60)
    assert made.token_info.expiry_time == made.token_info.creation_time + 60_000
    later = identities.time.time() + 61
    monkeypatch.setattr(identities, "time", type("Clock", (), {"time": staticmethod(lambda: later)}))
    with pytest.raises(PermissionDenied, match="It has expired"):
        client(emulator, made.token_value).current_user.me()
    assert workspace.current_user.me().user_name == USER


@pytest.mark.parametrize("seconds", [0, -1, 10**12])
def test_a_lifetime_that_is_none(workspace, seconds):
    with pytest.raises(InvalidParameterValue):
        workspace.tokens.create(lifetime_seconds=seconds)


def test_no_token_lies_in_the_state(emulator, workspace):
    made = workspace.tokens.create()
    token = identities.access_token(emulator, *service_principal(emulator))
    kept = b"".join(path.read_bytes() for path in emulator.folder.glob("state.db*"))
    for secret in (made.token_value, token, emulator.token):
        assert secret.encode() not in kept


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}])
def test_nothing_is_answered_without_a_token(emulator, header):
    for path in ("/api/2.0/preview/scim/v2/Me", "/api/2.0/nothing", "/emulator/requests"):
        answer = requests.get(emulator.host + path, headers=header, timeout=9)
        assert answer.status_code in {401, 403}
        assert "error_code" in answer.json()


def test_the_client_finds_out_about_the_host_without_a_warning(emulator, caplog):
    assert client(emulator, emulator.token).config.workspace_id == "1"
    assert caplog.text == ""
