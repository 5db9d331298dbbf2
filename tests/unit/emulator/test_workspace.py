from __future__ import annotations

import base64
import io
import os

import pytest
import requests
from databricks.sdk.errors import BadRequest, DatabricksError, InvalidParameterValue, NotFound
from databricks.sdk.service.workspace import ExportFormat, ImportFormat, Language, ObjectType

from wheelrun.emulator.server import running
from wheelrun.emulator.state import USER
from wheelrun.emulator.workspace import MAX_IMPORT, normal

HOME = f"/Users/{USER}"


def upload(workspace, path, content=b"x", **options):
    workspace.workspace.upload(path, io.BytesIO(content), format=ImportFormat.RAW, **options)


def import_file(emulator, path, content=b"x", *, overwrite="false"):
    return requests.post(
        f"{emulator.host}/api/2.0/workspace-files/import-file/{path.replace('/', '%2F')}?overwrite={overwrite}",
        data=content,
        headers={"Authorization": f"Bearer {emulator.token}"},
        timeout=10,
    )


def read_file(emulator, path, **headers):
    return requests.get(
        f"{emulator.host}/api/2.0/workspace-files{path}",
        headers={"Authorization": f"Bearer {emulator.token}", **headers},
        timeout=10,
    )


def test_the_home_and_the_shared_folder_are_there_from_the_beginning(workspace):
    assert {item.path for item in workspace.workspace.list("/")} == {"/Users", "/Shared"}
    assert workspace.workspace.get_status(f"/Workspace{HOME}").object_type is ObjectType.DIRECTORY


def test_a_file_goes_and_comes_back(workspace, emulator):
    upload(workspace, f"{HOME}/a.bin", b"\0\xff" * 10)
    assert workspace.workspace.download(f"{HOME}/a.bin").read() == b"\0\xff" * 10
    item = workspace.workspace.get_status(f"/Workspace{HOME}/a.bin")
    assert (item.object_type, item.path, item.size) == (ObjectType.FILE, f"{HOME}/a.bin", 20)
    assert item.object_id == int(item.resource_id)
    place = emulator.workspace / HOME[1:] / "a.bin"
    assert place.read_bytes() == b"\0\xff" * 10
    assert place.stat().st_mode & 0o777 == 0o600


def test_a_file_as_base64(workspace):
    workspace.workspace.import_(
        f"{HOME}/b.txt", content=base64.b64encode(b"hello").decode(), format=ImportFormat.AUTO, overwrite=True
    )
    exported = workspace.workspace.export(f"{HOME}/b.txt", format=ExportFormat.AUTO)
    assert base64.b64decode(exported.content) == b"hello"


def test_what_a_task_wrote_is_in_the_workspace(workspace, emulator):
    (emulator.workspace / "Shared" / "made").mkdir()
    (emulator.workspace / "Shared" / "made" / "log").write_text("line")
    assert [item.path for item in workspace.workspace.list("/Shared", recursive=True)] == ["/Shared/made/log"]


def test_a_file_is_replaced_only_when_told(workspace):
    upload(workspace, f"{HOME}/a")
    with pytest.raises(DatabricksError, match=rf"Path \({HOME}/a\) already exists") as caught:
        upload(workspace, f"{HOME}/a", b"other")
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    upload(workspace, f"{HOME}/a", b"other", overwrite=True)
    assert workspace.workspace.download(f"{HOME}/a").read() == b"other"


def test_its_folder_has_to_be_there(workspace):
    with pytest.raises(NotFound, match="doesn't exist"):
        upload(workspace, f"{HOME}/no/a")
    workspace.workspace.mkdirs(f"{HOME}/no/where")
    upload(workspace, f"{HOME}/no/where/a")


def test_over_ten_mebibytes_are_refused(workspace):
    upload(workspace, f"{HOME}/a", b"0" * MAX_IMPORT)
    with pytest.raises(DatabricksError, match="exceeded max size") as caught:
        upload(workspace, f"{HOME}/b", b"0" * (MAX_IMPORT + 1))
    assert caught.value.error_code == "MAX_NOTEBOOK_SIZE_EXCEEDED"


def test_a_folder_that_is_not_empty_goes_only_as_a_whole(workspace):
    workspace.workspace.mkdirs(f"{HOME}/d/e")
    upload(workspace, f"{HOME}/d/e/f")
    with pytest.raises(BadRequest) as caught:
        workspace.workspace.delete(f"{HOME}/d")
    assert caught.value.error_code == "DIRECTORY_NOT_EMPTY"
    workspace.workspace.delete(f"{HOME}/d", recursive=True)
    with pytest.raises(NotFound):
        workspace.workspace.get_status(f"{HOME}/d")
    with pytest.raises(NotFound):
        workspace.workspace.delete(f"{HOME}/d")


@pytest.mark.parametrize("path", ["/", "/Users", HOME, "/Workspace"])
def test_what_is_always_there_cannot_be_removed(workspace, path):
    with pytest.raises(BadRequest) as caught:
        workspace.workspace.delete(path, recursive=True)
    assert caught.value.error_code == "DIRECTORY_PROTECTED"


@pytest.mark.parametrize(
    "path", ["/../a", "/Users/../../a", "Users/a", "/Shared/\0", "/Shared/./a", "/Shared/" + "a" * 256]
)
def test_a_path_that_is_none(workspace, path):
    for call in (workspace.workspace.mkdirs, workspace.workspace.get_status, workspace.workspace.delete):
        with pytest.raises(InvalidParameterValue):
            call(path)
    with pytest.raises(DatabricksError):
        upload(workspace, path)


def test_no_link_is_followed(workspace, emulator, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (emulator.workspace / "Shared" / "file").symlink_to(tmp_path / "secret")
    (emulator.workspace / "Shared" / "folder").symlink_to(tmp_path)
    assert list(workspace.workspace.list("/Shared")) == []
    for path in ("/Shared/file", "/Shared/folder/secret", "/Shared/folder"):
        with pytest.raises(InvalidParameterValue, match="goes through a link"):
            workspace.workspace.download(path)
    with pytest.raises(DatabricksError):
        upload(workspace, "/Shared/file", overwrite=True)
    workspace.workspace.mkdirs("/Shared/real")
    (emulator.workspace / "Shared" / "real" / "link").symlink_to(tmp_path)
    workspace.workspace.delete("/Shared/real", recursive=True)
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_notebook(workspace):
    workspace.workspace.upload(f"{HOME}/n", io.BytesIO(b"print(1)"), language=Language.PYTHON)
    item = workspace.workspace.get_status(f"{HOME}/n")
    assert (item.object_type, item.language) == (ObjectType.NOTEBOOK, Language.PYTHON)
    assert workspace.workspace.download(f"{HOME}/n").read() == b"# Databricks notebook source\nprint(1)"
    with pytest.raises(DatabricksError, match=r"type mismatch \(asked: FILE, actual: NOTEBOOK\)"):
        upload(workspace, f"{HOME}/n", overwrite=True)
    workspace.workspace.delete(f"{HOME}/n")
    upload(workspace, f"{HOME}/n")
    assert workspace.workspace.get_status(f"{HOME}/n").object_type is ObjectType.FILE


def test_a_source_file_that_says_so_is_a_notebook_without_its_extension(workspace):
    source = b"-- Databricks notebook source\nSELECT 1"
    workspace.workspace.upload(f"{HOME}/q.sql", io.BytesIO(source), format=ImportFormat.AUTO)
    assert workspace.workspace.get_status(f"{HOME}/q").language is Language.SQL
    workspace.workspace.upload(f"{HOME}/r.sql", io.BytesIO(b"SELECT 1"), format=ImportFormat.AUTO)
    assert workspace.workspace.get_status(f"{HOME}/r.sql").object_type is ObjectType.FILE


def test_a_source_needs_its_language(workspace):
    with pytest.raises(DatabricksError, match="language is required"):
        workspace.workspace.upload(f"{HOME}/a.bin", io.BytesIO(b""))


def test_a_file_by_its_bytes(emulator):
    content = os.urandom(3 << 20)
    assert import_file(emulator, f"{HOME}/w.whl", content).status_code == 200
    assert read_file(emulator, f"{HOME}/w.whl").content == content
    again = import_file(emulator, f"{HOME}/w.whl", b"new")
    assert (again.status_code, again.json()["error_code"]) == (409, "RESOURCE_ALREADY_EXISTS")
    assert import_file(emulator, f"/Workspace{HOME}/w.whl", b"new", overwrite="true").status_code == 200
    assert read_file(emulator, f"/Workspace{HOME}/w.whl").content == b"new"
    lost = import_file(emulator, f"{HOME}/no/w.whl")
    assert (lost.status_code, lost.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert import_file(emulator, "/Users/../../a").status_code == 400
    assert not list(emulator.partial.iterdir())


def test_over_a_folder_or_a_notebook_no_file_is_written(emulator, workspace):
    workspace.workspace.mkdirs(f"{HOME}/d")
    workspace.workspace.upload(f"{HOME}/n", io.BytesIO(b""), language=Language.PYTHON)
    for name, kind in (("d", "DIRECTORY"), ("n", "NOTEBOOK")):
        answer = import_file(emulator, f"{HOME}/{name}", overwrite="true")
        assert (answer.status_code, kind in answer.json()["message"]) == (400, True)


def test_the_source_of_a_notebook_becomes_one_by_its_bytes_too(emulator, workspace):
    source = b"# Databricks notebook source\nprint(1)"
    assert import_file(emulator, f"{HOME}/n.py", source).status_code == 200
    assert workspace.workspace.get_status(f"{HOME}/n").language is Language.PYTHON
    assert import_file(emulator, f"{HOME}/n.py", source).status_code == 409
    assert import_file(emulator, f"{HOME}/n.py", b"print(1)").status_code == 200
    assert workspace.workspace.get_status(f"{HOME}/n.py").object_type is ObjectType.FILE


def test_what_was_arriving_when_it_was_killed_is_removed(tmp_path):
    with running(tmp_path) as state:
        left = state.partial / "arriving-0"
        left.touch()
    with running(tmp_path):
        assert not left.exists()


@pytest.mark.parametrize(
    ("wanted", "status", "content", "says"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=7-99", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, None, None),
        ("nonsense", 200, b"0123456789", None),
    ],
)
def test_a_range_of_a_file(emulator, wanted, status, content, says):
    import_file(emulator, "/Shared/f", b"0123456789")
    answer = read_file(emulator, "/Shared/f", Range=wanted)
    assert answer.status_code == status
    if content is not None:
        assert answer.content == content
        assert answer.headers["content-length"] == str(len(content))
    assert answer.headers.get("content-range") == says


def test_a_folder_is_no_file(emulator):
    assert read_file(emulator, "/Shared").status_code == 400
    assert read_file(emulator, "/Shared/nothing").status_code == 404


def test_an_upload_that_breaks_off_leaves_nothing(emulator, workspace):
    def broken():
        yield b"0" * 1000
        raise ConnectionError

    with pytest.raises((ConnectionError, requests.ConnectionError)):
        import_file(emulator, "/Shared/f", broken())
    assert list(workspace.workspace.list("/Shared")) == []


def test_a_path_and_the_same_with_its_prefix():
    assert [normal(path) for path in ("/Workspace/Users/a/", "/Users/a", "/Workspace", "/", "/Workspaces")] == [
        "/Users/a",
        "/Users/a",
        "/",
        "/",
        "/Workspaces",
    ]
