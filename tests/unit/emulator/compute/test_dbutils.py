"""dbutils, as tasks have it."""

from __future__ import annotations

import base64
import json

import pytest

HEAD = "from databricks.sdk.runtime import dbutils\n"


def run(bench, code):
    outcome = bench.run(bench.cluster(), HEAD + code)
    assert outcome.result == "SUCCESS", outcome.trace
    return bench.said().splitlines()


def test_spark_beside_it_starts_when_it_is_used(bench):
    assert run(bench, "from databricks.sdk.runtime import spark\nprint(spark is not None)") == ["True"]
    assert not any(bench.state.drivers.iterdir())


def test_files(bench):
    code = """
fs = dbutils.fs
print(fs.mkdirs("dbfs:/a/b"), fs.put("/a/b/one.txt", "first"), fs.head("dbfs:/a/b/one.txt", 3))
print(fs.cp("/a/b/one.txt", "/Volumes/c/two.txt"), open("/Volumes/c/two.txt").read())
print(fs.cp("/a", "/Workspace/copy", recurse=True), fs.head("/Workspace/copy/b/one.txt"))
print([(item.path, item.name, item.size, item.isDir()) for item in fs.ls("/a")])
print([(item.path, item.name, item.size, item.isFile()) for item in fs.ls("dbfs:/a/b")])
print(fs.mv("/a/b/one.txt", "/a/moved.txt"), [item.name for item in fs.ls("/a")])
print(fs.rm("/a", recurse=True), fs.rm("/a"))
print(fs.put("file:/local_disk0/tmp/x", "local"), open("/local_disk0/tmp/x").read())
for refused in (lambda: fs.ls("/none"), lambda: fs.put("/Volumes/c/two.txt", ""), lambda: fs.rm("/Volumes/c")):
    try:
        refused()
    except OSError as error:
        print(type(error).__name__)
"""
    assert run(bench, code) == [
        "True True fir",
        "True first",
        "True first",
        "[('dbfs:/a/b/', 'b/', 0, True)]",
        "[('dbfs:/a/b/one.txt', 'one.txt', 5, True)]",
        "True ['b/', 'moved.txt']",
        "True False",
        "True local",
        "FileNotFoundError",
        "FileExistsError",
        "OSError",
    ]


def test_values_for_other_tasks(bench):
    code = """
values = dbutils.jobs.taskValues
values.set("rows", 5)
values.set(key="names", value=["ä"])
for value in (object(), "x" * 50_000):
    try:
        values.set("odd", value)
    except ValueError as error:
        print(error)
"""
    said = run(bench, code)
    assert said[0].startswith("The task value 'odd' cannot be represented as JSON")
    assert said[1:] == ["The task value 'odd' is larger than 48 KiB"]
    lines = (bench.folder / "values.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [{"key": "rows", "value": 5}, {"key": "names", "value": ["ä"]}]


@pytest.fixture
def workspace_with_secrets(bench, serving):
    def answer(call):
        if call.headers["Authorization"] != "Bearer token":
            return 401, b"{}"
        if "scope=s" not in call.path:
            return 404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Scope x does not exist!"}'
        return 200, json.dumps({"key": "k", "value": base64.b64encode(b"hush").decode()}).encode()

    with serving(answer) as (host, _):
        bench.state.host = host
        yield


@pytest.mark.usefixtures("workspace_with_secrets")
def test_secrets(bench):
    code = """
print(dbutils.secrets.get("s", "k"), dbutils.secrets.getBytes(scope="s", key="k"))
try:
    dbutils.secrets.get("x", "k")
except ValueError as error:
    print(error)
"""
    assert run(bench, code) == ["hush b'hush'", "Scope x does not exist!"]


def test_the_official_client_is_known_to_the_workspace(bench):
    code = """
from databricks.sdk import WorkspaceClient
client = WorkspaceClient()
print(client.config.host, client.config.authenticate()["Authorization"])
"""
    assert run(bench, code) == ["http://127.0.0.1:9 Bearer token"]
