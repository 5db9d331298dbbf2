"""dbutils, here in the tests' own process."""

from __future__ import annotations

import base64
import json

import pytest

from wheelrun.emulator.driver.dbruntime import UserNamespaceInitializer
from wheelrun.emulator.driver.dbruntime.dbutils import DBUtils
from wheelrun.emulator.driver.dbruntime.sdk_credential_provider import init_runtime_native_auth
from wheelrun.emulator.driver.dbruntime.task import receive


@pytest.fixture
def dbutils(task):
    receive(task())
    return DBUtils()


def test_it_works_in_tasks_only(task):
    with pytest.raises(RuntimeError, match="in the process of a task only"):
        DBUtils().fs.ls("/")


def test_what_the_official_client_finds(dbutils):
    names = UserNamespaceInitializer.getOrCreate().get_namespace_globals()
    assert isinstance(names["dbutils"], DBUtils)
    assert {"spark", "sc"} < set(names)
    host, headers = init_runtime_native_auth()
    assert (host, headers()) == ("http://127.0.0.1:9", {"Authorization": "Bearer token"})


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("dbfs:/a/b", "dbfs/a/b"),
        ("/a/b", "dbfs/a/b"),
        ("/Volumes/c/x", "Volumes/c/x"),
        ("dbfs:/Volumes/c/x", "Volumes/c/x"),
        ("/Workspace/x", "Workspace/x"),
        ("file:/Workspace/x", "Workspace/x"),
    ],
)
def test_where_a_path_leads(dbutils, tmp_path, path, file):
    dbutils.fs.put(path, "text")
    assert (tmp_path / file).read_text() == "text"
    assert dbutils.fs.head(path) == "text"


def test_a_file_of_the_driver(dbutils, tmp_path):
    dbutils.fs.put(f"file:{tmp_path}/x", "text")
    assert (tmp_path / "x").read_text() == "text"


def test_files_and_folders(dbutils):
    fs = dbutils.fs
    assert fs.mkdirs("/a/b")
    assert fs.put("/a/b/one", "first")
    with pytest.raises(FileExistsError):
        fs.put("/a/b/one", "second")
    assert fs.put("/a/b/one", "second", overwrite=True)
    assert fs.head("/a/b/one", 3) == "sec"
    assert fs.cp("/a/b/one", "/a")
    assert [(item.path, item.name, item.size) for item in fs.ls("/a")] == [
        ("dbfs:/a/b/", "b/", 0),
        ("dbfs:/a/one", "one", 6),
    ]
    assert [(item.isDir(), item.isFile()) for item in fs.ls("dbfs:/a")] == [(True, False), (False, True)]
    assert [item.path for item in fs.ls("dbfs:/a/one")] == ["dbfs:/a/one"]
    with pytest.raises(IsADirectoryError):
        fs.cp("/a/b", "/c")
    assert fs.cp("/a", "/c", recurse=True)
    assert fs.mv("/c/b/one", "/c/two")
    assert [item.name for item in fs.ls("/c")] == ["b/", "one", "two"]
    assert fs.rm("/c/b")
    with pytest.raises(OSError, match="not empty"):
        fs.rm("/c")
    assert fs.rm("/c", recurse=True)
    assert not fs.rm("/c")
    with pytest.raises(FileNotFoundError):
        fs.ls("/c")


def test_values(dbutils, tmp_path):
    values = dbutils.jobs.taskValues
    values.set("a", {"x": 1})
    assert json.loads((tmp_path / "values.jsonl").read_text()) == {"key": "a", "value": {"x": 1}}
    with pytest.raises(ValueError, match="cannot be represented as JSON"):
        values.set("a", object())
    with pytest.raises(ValueError, match="larger than 48 KiB"):
        values.set("a", "x" * 50_000)


def test_values_of_the_last_attempt_on_any_page(task, tmp_path, serving, monkeypatch):
    monkeypatch.setenv("DATABRICKS_JOB_RUN_ID", "5")
    tasks = [{"task_key": "a", "run_id": number + 10, "attempt_number": number} for number in (0, 1)]
    folder = tmp_path.parent / "11"
    folder.mkdir()
    (folder / "values.jsonl").write_text('{"key": "n", "value": 1}\n{"key": "n", "value": 2}\n')

    def answer(call):
        assert "run_id=5" in call.path
        if "page_token=next" in call.path:
            return 200, json.dumps({"tasks": tasks[1:]}).encode()
        return 200, json.dumps({"tasks": tasks[:1], "next_page_token": "next"}).encode()

    with serving(answer) as (host, _):
        receive(task(host=host))
        values = DBUtils().jobs.taskValues
        assert values.get("a", "n") == 2
        assert values.get("b", "n", default=None) is None
        with pytest.raises(ValueError, match="No task value with key 'm' was set by the task 'a'"):
            values.get("a", "m")


def test_secrets(task, serving):
    def answer(call):
        if call.path != "/api/2.0/secrets/get?scope=s&key=k" or call.headers["Authorization"] != "Bearer token":
            return 404, b'{"message": "Scope x does not exist!"}'
        return 200, json.dumps({"key": "k", "value": base64.b64encode(b"hush").decode()}).encode()

    with serving(answer) as (host, _):
        receive(task(host=host))
        secrets = DBUtils().secrets
        assert (secrets.get("s", "k"), secrets.getBytes("s", "k")) == ("hush", b"hush")
        with pytest.raises(ValueError, match="Scope x does not exist!"):
            secrets.get("x", "k")
