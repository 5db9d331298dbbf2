"""What a task of a job service leaves on a cluster that goes on."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from wheelrun.runtime import task_surroundings
from wheelrun.runtime.task_surroundings import CODE_VARIABLE, Code, _kept, make_ready

DIGEST = "0" * 64


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel, and a folder of temporary files of the cluster's own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    path = tmp_path / "shop-1.0-py3-none-any.whl"
    path.write_bytes(b"content")
    return path


def test_an_archive_is_where_it_was(wheel):
    first = _kept(wheel, DIGEST)
    assert (first.name, first.read_bytes()) == ("shop-1.0-py3-none-any.zip", b"content")
    wheel.unlink()
    assert _kept(wheel, DIGEST) == first
    assert [path.name for path in first.parent.iterdir()] == [first.name]
    assert first.parent.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_somebody_else_has_made_is_not_used(wheel, tmp_path):
    taken = Path(tempfile.gettempdir(), f"wheelrun-code-{os.getuid()}")
    (tmp_path / "elsewhere").mkdir()
    taken.symlink_to(tmp_path / "elsewhere")
    archive = _kept(wheel, DIGEST)
    assert archive.read_bytes() == b"content"
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.fixture
def session(monkeypatch):
    """The session of a running cluster, as far as it is told anything."""
    told = {}
    conf = SimpleNamespace(isModifiable=lambda name: "static" not in name, set=told.__setitem__)
    context = SimpleNamespace(environment={}, addPyFile=lambda path: told.setdefault("files", []).append(path))
    made = SimpleNamespace(conf=conf, sparkContext=context, told=told)
    monkeypatch.setattr(task_surroundings, "spark_session", lambda: made)
    return made


def test_the_processes_of_executors_are_those_of_the_code(session, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", SimpleNamespace())
    make_ready({}, Code((), (Path("/disk/a.zip"),), "abc"))
    assert session.sparkContext.environment == {CODE_VARIABLE: "abc"}
    assert session.told == {"files": ["/disk/a.zip"]}


def test_code_without_spark_gets_no_session(monkeypatch):
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)
    monkeypatch.setattr(task_surroundings, "spark_session", lambda: pytest.fail("it was started"))
    make_ready({"spark.executor.memory": "1g"}, Code((), (Path("/disk/a.zip"),), "abc"))


def test_settings_that_a_session_can_still_be_told(session, monkeypatch):
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)
    settings = {"spark.sql.shuffle.partitions": "3", "spark.sql.static": "1", "spark.executor.memory": "1g"}
    make_ready(settings, Code(()))
    assert session.told == {"spark.sql.shuffle.partitions": "3"}
