"""The paths that tasks know: as they are found, as tasks see them, and where nothing can be mounted."""

from __future__ import annotations

import json

import pytest

from wheelrun.emulator.compute import fleet
from wheelrun.emulator.compute.paths import located, rewritten, shown

CODE = """
    import os, sys
    for place in sys.argv[1:]:
        with open(f"{place}/a.txt", "w") as stream:
            stream.write("one")
        with open(f"{place}/a.txt", "a") as stream:
            stream.write(" two")
        os.rename(f"{place}/a.txt", f"{place}/b.txt")
        print(open(f"{place}/b.txt").read(), os.listdir(place))
"""


@pytest.mark.parametrize(
    ("path", "folder", "rest"),
    [
        ("/Workspace/Users/me/a.whl", "workspace", "Users/me/a.whl"),
        ("/Volumes/c/s/v/a.whl", "volumes", "c/s/v/a.whl"),
        ("/dbfs/a/b", "dbfs", "a/b"),
        ("dbfs:/a/b", "dbfs", "a/b"),
        ("dbfs:/Volumes/c/a", "volumes", "c/a"),
        ("/Workspace", "workspace", ""),
        ("/Workspace//a/./b", "workspace", "a/b"),
    ],
)
def test_the_file_behind_a_path(state, path, folder, rest):
    assert located(state, path) == getattr(state, folder) / rest


@pytest.mark.parametrize("path", ["/etc/hosts", "a/b", "s3://bucket/a", "/Workspace/../etc/hosts", "/Workspaces/a", ""])
def test_a_path_that_is_none_of_them(state, path):
    assert located(state, path) is None


def test_paths_in_values(state):
    value = {"a": ["--in=/Volumes/c/x", 5, None], "b": "-r dbfs:/y", "c": "/etc/hosts"}
    assert rewritten(state, value) == {
        "a": [f"--in={state.volumes}/c/x", 5, None],
        "b": f"-r {state.dbfs}/y",
        "c": "/etc/hosts",
    }
    assert shown(state, json.dumps(rewritten(state, value))) == json.dumps({**value, "b": "-r /dbfs/y"})


def test_tasks_find_their_files(bench):
    folders = {"/Workspace": bench.state.workspace, "/Volumes": bench.state.volumes, "/dbfs": bench.state.dbfs}
    if not fleet.mounts_work(bench.state):
        pytest.skip("nothing can be mounted here")
    for folder in folders.values():
        (folder / "inner").mkdir()
    outcome = bench.run(bench.cluster(), CODE, *(f"{path}/inner" for path in folders))
    assert outcome.result == "SUCCESS", outcome.trace
    assert bench.said() == "one two ['b.txt']\n" * 3
    assert [(folder / "inner" / "b.txt").read_text() for folder in folders.values()] == ["one two"] * 3


def test_tasks_find_their_files_where_nothing_can_be_mounted(bench, monkeypatch):
    monkeypatch.setattr(fleet, "mounts_work", lambda _: False)
    (bench.state.volumes / "inner").mkdir()
    cluster = bench.cluster()
    outcome = bench.run(cluster, CODE, "/Volumes/inner")
    assert outcome.result == "SUCCESS", outcome.trace
    assert (bench.state.volumes / "inner" / "b.txt").read_text() == "one two"
    assert bench.said("stderr").startswith("emulator: nothing can be mounted at /Workspace")
    code = """
        from databricks.sdk.runtime import dbutils
        fs = dbutils.fs
        print(fs.head("/Volumes/inner/b.txt"), fs.ls("/Volumes/inner")[0].path)
    """
    assert bench.run(cluster, code).result == "SUCCESS"
    assert bench.said() == "one two dbfs:/Volumes/inner/b.txt\n"


def test_the_emulators_own_files_are_not_in_the_way(bench):
    code = """
        import os
        print(os.path.isdir("/Workspace"), os.path.isdir(os.environ["TMPDIR"]), os.environ["HOME"])
        open(os.path.join(os.environ["TMPDIR"], "left"), "w")
    """
    cluster = bench.cluster()
    bench.run(cluster, code)
    assert bench.said() == "True True /local_disk0/home\n"
    bench.compute.release(cluster)
    assert [path.name for path in bench.state.clusters.iterdir()] == ["preinstalled"]
