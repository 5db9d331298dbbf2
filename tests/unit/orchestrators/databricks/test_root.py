"""An artifact root in each kind of a workspace's folders, through the official client, on the emulator."""

from __future__ import annotations

import pytest

from wheelrun.emulator.identities import service_principal
from wheelrun.errors import ClusterError, ConfigurationError, UploadError
from wheelrun.orchestrators.databricks import api
from wheelrun.orchestrators.databricks.places import Place, folder
from wheelrun.orchestrators.roots import Root

PATHS = {
    "workspace": "/Workspace/Users/emulator@wheelrun.local/.wheelrun/über root",
    "volume": "/Volumes/main/default/wheelrun/über root",
    "dbfs": "/dbfs/über root",
}


@pytest.fixture(params=PATHS)
def root(request, emulator):
    return Root.open(Place(host=emulator.host, path=PATHS[request.param]).url)


def test_what_is_written_is_read_back_by_range(root):
    root.write("runs/1/events.jsonl", b"0123456789")
    assert root.read("runs/1/events.jsonl") == b"0123456789"
    assert root.read("runs/1/events.jsonl", start=3, limit=4) == b"3456"
    assert root.read("runs/1/events.jsonl", start=8) == b"89"
    assert root.read("runs/1/events.jsonl", start=10) == b""
    assert root.size("runs/1/events.jsonl") == 10
    root.write("runs/1/events.jsonl", b"new")
    assert root.read("runs/1/events.jsonl") == b"new"


def test_what_is_missing_is_told(root):
    assert root.stat("runs/1/x") is None
    assert root.names("runs") == []
    assert root.files("runs") == []
    with pytest.raises(FileNotFoundError):
        root.read("runs/1/x")
    assert root.delete("runs/1") in (0, None)


def test_only_the_first_makes_a_file(root):
    assert root.create("runs/1/claims/1", b"a")
    assert not root.create("runs/1/claims/1", b"b")
    assert root.read("runs/1/claims/1") == b"a"


def test_folders_are_listed_and_removed(root):
    for name in ("a/1", "a/b/2", "c"):
        root.write(name, name.encode())
    assert root.names("") == ["a", "c"]
    assert root.names("a") == ["1", "b"]
    assert [file.name for file in root.files("a")] == ["a/1", "a/b/2"]
    assert root.stat("a") is None
    assert root.delete("a", before=0) is None
    assert root.delete("a") == 3 + 5
    assert root.names("") == ["c"]
    root.remove(["c", "missing"])
    assert root.files("") == []


def test_what_is_there_is_not_sent_again(root, tmp_path):
    wheel = tmp_path / "x.whl"
    wheel.write_bytes(b"x" * 3_000_000)
    assert root.put(wheel, "wheels/x/1/x.whl") == 3_000_000
    calls = api.connect()
    before = calls.calls
    assert root.put(wheel, "wheels/x/1/x.whl") == 0
    assert calls.calls - before == 1
    root.fetch("wheels", tmp_path / "copy")
    assert (tmp_path / "copy" / "x" / "1" / "x.whl").read_bytes() == wheel.read_bytes()


def test_it_can_be_written_to(root):
    assert root.problem() is None
    assert abs(root.clock() - __import__("time").time()) < 60


def test_a_notebook_in_its_place_is_told(emulator):
    workspace = api.connect().client
    workspace.workspace.mkdirs("/Users/emulator@wheelrun.local")
    path = "/Users/emulator@wheelrun.local/report"
    workspace.workspace.import_(path, content="cHJpbnQoMSk=", language=workspace_language())
    root = Root.open(Place(host=emulator.host, path=folder(path)).url)
    with pytest.raises(UploadError, match=r"report.*cannot be written") as error:
        root.write("x", b"")
    assert "notebook" in error.value.hint


def workspace_language():
    from databricks.sdk.service.workspace import Language

    return Language.PYTHON


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/Users/me@x.y/f", "/Workspace/Users/me@x.y/f"),
        ("/Workspace/Shared/f/", "/Workspace/Shared/f"),
        ("/Volumes/c/s/v/f", "/Volumes/c/s/v/f"),
        ("dbfs:/Volumes/c/s/v", "/Volumes/c/s/v"),
        ("dbfs:/f", "/dbfs/f"),
    ],
)
def test_folders_in_their_plain_form(text, path):
    assert folder(text) == path
    assert Place.parse(Place(host="https://h.cloud", path=path, profile="a b").url) == Place(
        host="https://h.cloud", path=path, profile="a b"
    )


@pytest.mark.parametrize(
    "text", ["s3://bucket/x", "/tmp/x", "/Volumes/c/s", "/Workspace", "Users/me", "/Workspace/a/../b"]
)
def test_what_is_no_folder_of_a_workspace_is_refused(text):
    with pytest.raises(ConfigurationError, match="artifact_root"):
        folder(text)


def test_another_workspace_than_the_environments_is_not_called_with_its_token(emulator):
    root = Root.open("databricks://prod.cloud.databricks.com/Volumes/c/s/v")
    with pytest.raises(ConfigurationError, match="DATABRICKS_HOST names"):
        root.names("")


def test_a_url_holds_no_password():
    with pytest.raises(ConfigurationError, match="holds a password"):
        Root.open("databricks://me:secret@prod/Volumes/c/s/v")


def test_a_bad_token_is_told(emulator, monkeypatch):
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapi-wrong")
    with pytest.raises(ConfigurationError, match=r"does not accept the token \(Invalid access token\)$"):
        Root.open(Place(host=emulator.host, path="/Volumes/c/s/v").url).names("")


def test_no_credentials_are_told(emulator, monkeypatch):
    monkeypatch.delenv("DATABRICKS_TOKEN")
    with pytest.raises(ConfigurationError, match="no credentials for http"):
        api.connect()
    monkeypatch.delenv("DATABRICKS_HOST")
    with pytest.raises(ConfigurationError, match="no Databricks workspace is named"):
        api.connect()
    with pytest.raises(ConfigurationError, match="profile 'nope' names no Databricks workspace"):
        api.connect(profile="nope")


@pytest.mark.parametrize("named", ["dbc-1.cloud.example.com", "https://dbc-1.cloud.example.com/"])
def test_a_token_is_enough_to_begin_with(monkeypatch, named):
    monkeypatch.setenv("DATABRICKS_HOST", named)
    monkeypatch.setenv("DATABRICKS_TOKEN", "x")
    config = api.connect().client.config
    assert (config.host, config.auth_type) == ("https://dbc-1.cloud.example.com", "pat")
    assert config.authenticate() == {"Authorization": "Bearer x"}


def test_other_credentials_go_before_a_token_where_they_are_asked_for(emulator, monkeypatch):
    identity, secret = service_principal(emulator)
    for name, value in {"AUTH_TYPE": "oauth-m2m", "CLIENT_ID": identity, "CLIENT_SECRET": secret}.items():
        monkeypatch.setenv(f"DATABRICKS_{name}", value)
    calls = api.connect()
    assert calls.client.config.auth_type == "oauth-m2m"
    assert calls.get("/api/2.0/preview/scim/v2/Me")["userName"] == identity


def test_a_server_that_is_not_there_is_told_soon(monkeypatch):
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("DATABRICKS_TOKEN", "x")
    calls = api.connect()
    calls.sleep = lambda _: None
    with pytest.raises(ClusterError, match="does not answer"):
        calls.get("/api/2.0/preview/scim/v2/Me")
