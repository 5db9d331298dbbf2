"""Backends that ask the repository: for the version, and for the files. The copy that is built has none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from wheelrun.packaging.builder import BuildResult, build
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.project import load_project

PDM = """
[build-system]
requires = ["pdm-backend"]
build-backend = "pdm.backend"

[project]
name = "tagged"
dynamic = ["version"]

[tool.pdm]
version = { source = "scm" }
"""

SETUPTOOLS_SCM = """
[build-system]
requires = ["setuptools>=77", "setuptools-scm>=8"]
build-backend = "setuptools.build_meta"

[project]
name = "tagged"
dynamic = ["version"]

[tool.setuptools]
packages = ["tagged"]

[tool.setuptools_scm]
"""


def repository(folder: Path, table: str) -> Path:
    root = folder / "tagged"
    (root / "tagged").mkdir(parents=True)
    (root / "pyproject.toml").write_text(table, encoding="utf-8")
    (root / ".gitignore").write_text("*.log\n", encoding="utf-8")
    for name in ("__init__.py", "data.csv", "run.log"):
        (root / "tagged" / name).write_text("", encoding="utf-8")
    git(root, "init")
    return root


def git(root: Path, *argv: str) -> None:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(root), *who, *argv], check=True, capture_output=True)


def built(root: Path, folder: Path, *, isolated: bool = False) -> BuildResult:
    return build(load_project(root), WheelCache(folder / "cache"), isolated=isolated)


def test_the_version_is_the_nearest_tags(tmp_path: Path) -> None:
    root = repository(tmp_path, PDM)
    assert built(root, tmp_path).wheel.version.startswith("0.0.0+w")
    git(root, "add", ".")
    git(root, "commit", "-m", "first")
    assert built(root, tmp_path).wheel.version.startswith("0.0.0+w")
    git(root, "tag", "v2.1")
    assert built(root, tmp_path).wheel.version.startswith("2.1+w")
    git(root, "commit", "--allow-empty", "-m", "second")
    assert built(root, tmp_path).cached


@pytest.mark.slow
def test_setuptools_scm_ships_what_git_knows(tmp_path: Path) -> None:
    """The index is asked for setuptools-scm."""
    root = repository(tmp_path, SETUPTOOLS_SCM)
    git(root, "add", ".")
    git(root, "commit", "-m", "first")
    git(root, "tag", "v1.4")
    result = built(root, tmp_path, isolated=True)
    assert result.wheel.version.startswith("1.4+w")
    assert result.shipped == ("tagged/__init__.py", "tagged/data.csv")
