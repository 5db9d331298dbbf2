from __future__ import annotations

import base64
import io
import os

import pytest
from databricks.sdk.errors import BadRequest, DatabricksError, InvalidParameterValue, NotFound

MEBIBYTE = 1 << 20


def encoded(content):
    return base64.b64encode(content).decode()


def test_a_small_file_in_one_call(workspace, emulator):
    workspace.dbfs.put("/a/b", contents=encoded(b"hello"))
    assert (emulator.dbfs / "a/b").read_bytes() == b"hello"
    with pytest.raises(DatabricksError) as caught:
        workspace.dbfs.put("dbfs:/a/b", contents=encoded(b"other"))
    assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"
    workspace.dbfs.put("dbfs:/a/b", contents=encoded(b"other"), overwrite=True)
    assert base64.b64decode(workspace.dbfs.read("/a/b").data) == b"other"


def test_a_block_has_at_most_a_mebibyte(workspace):
    workspace.dbfs.put("/a", contents=encoded(b"0" * MEBIBYTE))
    with pytest.raises(BadRequest) as caught:
        workspace.dbfs.put("/b", contents=encoded(b"0" * (MEBIBYTE + 1)))
    assert caught.value.error_code == "MAX_BLOCK_SIZE_EXCEEDED"
    with pytest.raises(BadRequest) as caught:
        workspace.dbfs.read("/a", length=MEBIBYTE + 1)
    assert caught.value.error_code == "MAX_READ_SIZE_EXCEEDED"


def test_a_large_file_in_blocks(workspace, emulator):
    content = os.urandom(2 * MEBIBYTE + 17)
    workspace.dbfs.upload("/large", io.BytesIO(content))
    assert (emulator.dbfs / "large").read_bytes() == content
    assert workspace.dbfs.download("/large").read() == content
    assert not list(emulator.partial.iterdir())
    with workspace.dbfs.open("/large", write=True, overwrite=True) as stream:
        stream.write(b"new")
        assert (emulator.dbfs / "large").read_bytes() == content
    assert (emulator.dbfs / "large").read_bytes() == b"new"


def test_a_stream_that_there_is_not(workspace):
    for call in (lambda: workspace.dbfs.add_block(99, ""), lambda: workspace.dbfs.close(99)):
        with pytest.raises(NotFound, match="No stream exists with handle 99"):
            call()
    workspace.dbfs.put("/a", contents="")
    with pytest.raises(DatabricksError):
        workspace.dbfs.create("/a")


def test_a_part_of_a_file(workspace):
    workspace.dbfs.put("/a", contents=encoded(b"0123456789"))
    part = workspace.dbfs.read("/a", offset=7, length=100)
    assert (part.bytes_read, base64.b64decode(part.data)) == (3, b"789")
    assert workspace.dbfs.read("/a", offset=10).bytes_read == 0
    with pytest.raises(InvalidParameterValue):
        workspace.dbfs.read("/")
    with pytest.raises(NotFound):
        workspace.dbfs.read("/nothing")


def test_directories(workspace):
    workspace.dbfs.mkdirs("/d/e")
    workspace.dbfs.put("/d/f", contents=encoded(b"123"))
    assert [(item.path, item.is_dir, item.file_size) for item in workspace.dbfs.list("/d")] == [
        ("/d/e", True, 0),
        ("/d/f", False, 3),
    ]
    workspace.dbfs.move("/d", "/g")
    assert not workspace.dbfs.exists("/d")
    with pytest.raises(DatabricksError):
        workspace.dbfs.move("/g", "/g/h")
    with pytest.raises(DatabricksError):
        workspace.dbfs.mkdirs("/g/f")
    with pytest.raises(BadRequest) as caught:
        workspace.api_client.do("POST", "/api/2.0/dbfs/delete", body={"path": "/g"})
    assert caught.value.error_code == "IO_ERROR"
    workspace.dbfs.delete("/g", recursive=True)
    assert not workspace.dbfs.exists("/g")
    workspace.dbfs.delete("/g")


@pytest.mark.parametrize("path", ["/../a", "dbfs:/a/../../b", "a", "/\0"])
def test_a_path_that_is_none(workspace, path):
    with pytest.raises(InvalidParameterValue):
        workspace.dbfs.put(path, contents="")
    with pytest.raises(InvalidParameterValue):
        workspace.dbfs.get_status(path)


@pytest.mark.parametrize("root", ["dbfs:/made", "/Volumes/main/default/wheelrun/made"])
def test_the_utilities_of_notebooks(workspace, root, tmp_path):
    fs = workspace.dbutils.fs
    assert fs.mkdirs(root)
    assert fs.put(f"{root}/a", "text")
    assert fs.head(f"{root}/a") == "text"
    assert [item.name for item in fs.ls(root)] == ["a"]
    assert fs.cp(f"{root}/a", f"file:{tmp_path}/copy")
    assert (tmp_path / "copy").read_text() == "text"
    assert fs.mv(f"{root}/a", f"{root}/b")
    assert [item.name for item in fs.ls(root)] == ["b"]
    assert fs.rm(root, recurse=True)
    assert not workspace.dbfs.exists(root)
