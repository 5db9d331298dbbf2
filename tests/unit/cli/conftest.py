from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wheelrun.cli import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Move all that wheelrun keeps below the test's own folder."""
    folder = tmp_path / "home"
    monkeypatch.setenv("WHEELRUN_HOME", str(folder))
    for name in ("WHEELRUN_TARGET", "WHEELRUN_CACHE_DIR", "WHEELRUN_CONFIG_DIR", "NO_COLOR", "WHEELRUN_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def project(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without Spark, which is the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "jobs.py").write_text(JOBS)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def wheelrun(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run one command line."""

    def run(*words: str) -> Result:
        capsys.readouterr()
        code = main(list(words))
        out, err = capsys.readouterr()
        return Result(code=code, out=out, err=err)

    return run


JOBS = """
import sys
from pathlib import Path
from wheelrun import pipeline, step


def main(n: int = 1, fail: bool = False) -> int:
    print("hello", n)
    print("careful", file=sys.stderr)
    if fail:
        raise ValueError("bad row 7")
    return n


@step
def load(n: int) -> int:
    print("loading", n)
    return n


@step
def check(n: int, flag: str) -> int:
    if flag and not Path(flag).exists():
        raise ValueError("no flag")
    return n + 1


@pipeline
def daily(n: int = 1, flag: str = ""):
    return check(load(n), flag)


if __name__ == "__main__":
    print("arguments", sys.argv[1:])
"""
