from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wheelrun.cluster.folder import Folder, State
from wheelrun.cluster.sizes import Size

Run = Callable[..., Any]


@pytest.fixture
def folder(home: Path) -> Folder:
    """The folder of a cluster of which nothing is alive."""
    folder = Folder(home / "data" / "cluster")
    folder.path.mkdir(parents=True)
    names = ("master", "rest", "web", "worker-1", "connect", "connect-web")
    ports = {name: 7000 + number for number, name in enumerate(names)}
    size = Size(workers=1, cores=3, memory=2048, connect=True)
    folder.write(replace(State(spark="4.3.0", size=size, ports=ports), ready=True))
    return folder


def test_status_when_none_is_up(wheelrun: Run, home: Path) -> None:
    result = wheelrun("cluster", "status")
    assert result.code == 1
    assert result.out == ""
    assert "wheelrun cluster up" in result.err
    assert wheelrun("cluster", "status", "-o", "json").json == {
        "master": None,
        "rest": None,
        "connect": None,
        "web": None,
        "workers": [],
        "parts": [],
    }
    assert not home.exists()


def test_down_when_none_is_up(wheelrun: Run) -> None:
    assert wheelrun("cluster", "down").err == "no cluster is up\n"
    assert wheelrun("cluster", "down", "-o", "json").json == {"ended": 0}


def test_what_has_crashed_is_told(wheelrun: Run, folder: Folder) -> None:
    result = wheelrun("cluster", "status")
    assert result.code == 1
    assert "all of it has ended" in result.err
    assert result.out.count("not running") == 3
    document = wheelrun("cluster", "status", "-o", "json").json
    assert list(document) == ["master", "rest", "connect", "web", "workers", "parts"]
    assert document["connect"] == "sc://localhost:7004"
    assert [part["alive"] for part in document["parts"]] == [False, False, False]
    assert wheelrun("cluster", "down").code == 0
    assert folder.read() is None


def test_a_part_that_has_crashed_is_named(wheelrun: Run, folder: Folder) -> None:
    from wheelrun.runtime.alive import RunLock

    lock = RunLock(folder.lock("master"))
    assert lock.acquire()
    try:
        result = wheelrun("cluster", "status")
    finally:
        lock.release()
    assert result.code == 1
    assert "not running: worker-1, connect; to mend it: wheelrun cluster up" in result.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--workers", "0"], 2, "--workers"),
        (["--memory", "much"], 2, "is not a size"),
        (["--memory", "100m"], 3, "hold no driver"),
        (["--cores", "1"], 3, "too few"),
    ],
)
def test_up_of_what_holds_no_job(wheelrun: Run, words: list[str], code: int, says: str) -> None:
    pytest.importorskip("pyspark")
    result = wheelrun("cluster", "up", *words)
    assert result.code == code
    assert says in result.err


def test_up_without_spark(wheelrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wheelrun.runtime.java._package", lambda _name: None)
    monkeypatch.delenv("SPARK_HOME", raising=False)
    result = wheelrun("cluster", "up")
    assert result.code == 3
    assert "pyspark is not installed" in result.err
    assert "pip install" in result.err
