"""What a command imports is what its start costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"pydantic", "rich", "pyspark", "databricks", "sqlite3", "build", "setuptools"}


def loaded(words: list[str], cwd: Path, home: Path) -> set[str]:
    code = (
        "import sys; from wheelrun.cli import main; code = main(sys.argv[1:]); "
        "print('|'.join(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr); sys.exit(code)"
    )
    package = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env={"WHEELRUN_HOME": str(home), "PYTHONPATH": str(package), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.splitlines()[-1].split("|"))


def test_version_loads_no_library(tmp_path: Path) -> None:
    assert not loaded(["--version"], tmp_path, tmp_path) & (HEAVY | {"click", "packaging", "json", "dataclasses"})


def test_help_loads_no_verb(tmp_path: Path) -> None:
    assert not loaded(["--help"], tmp_path, tmp_path) & HEAVY


@pytest.mark.parametrize("words", [["build"], ["build", "-o", "json"], ["targets"], ["cache", "show"]])
def test_a_build_loads_neither_pydantic_nor_the_store(project: Path, tmp_path: Path, words: list[str]) -> None:
    loaded(["build"], project, tmp_path / "home")  # the first build may need more than one from the cache
    assert not loaded(words, project, tmp_path / "home") & HEAVY


def test_python_m_wheelrun(tmp_path: Path) -> None:
    package = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "wheelrun", "--version"], cwd=package, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("wheelrun ")
    assert done.stderr == ""
