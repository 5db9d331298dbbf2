from __future__ import annotations

import os
from pathlib import Path

import pytest

from wheelrun.config import data_dir
from wheelrun.errors import PackagingError
from wheelrun.packaging.ignore import IgnoreRules, Rule, never_ships


def put(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def rule_of(root: Path, path: str, *, is_dir: bool = False) -> str | None:
    rule = IgnoreRules(root).match(path, is_dir)
    return rule and str(rule)


def test_a_rule_tells_where_it_stands() -> None:
    assert str(Rule(text="*.log", source=".gitignore:3")) == ".gitignore:3 *.log"
    assert str(Rule(text="virtual environment", source="built-in")) == "built-in: virtual environment"


def test_the_nearest_file_and_line_are_named(tmp_path: Path) -> None:
    put(tmp_path / ".gitignore", "# logs\n\n*.log\n")
    put(tmp_path / "pkg/.gitignore", "cache\n")
    assert rule_of(tmp_path, "a/b.log") == ".gitignore:3 *.log"
    assert rule_of(tmp_path, "pkg/sub/cache/x.py") == "pkg/.gitignore:1 cache"
    assert rule_of(tmp_path, "cache") is None


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        "pkg/__pycache__/m.cpython-311.pyc",
        "old.pyc",
        "web/node_modules/x.js",
        ".mypy_cache/x",
        ".tox/x",
        "name.egg-info/PKG-INFO",
        "notebooks/.ipynb_checkpoints/x.ipynb",
        ".DS_Store",
        "spark-warehouse/t/part-0",
        "metastore_db/log",
        "derby.log",
        ".wheelrun/x",
    ],
)
def test_built_in_rules_need_no_file_and_cannot_be_taken_back(tmp_path: Path, path: str) -> None:
    put(tmp_path / ".gitignore", "!*\n")
    rule = rule_of(tmp_path, path)
    assert rule is not None
    assert rule.startswith("built-in: ")


def test_an_environment_is_known_by_its_content(tmp_path: Path) -> None:
    put(tmp_path / "anything/pyvenv.cfg")
    put(tmp_path / "nested/conda/conda-meta/history")
    put(tmp_path / "venv/module.py")
    assert rule_of(tmp_path, "anything/lib/x.py") == "built-in: virtual environment"
    assert rule_of(tmp_path, "anything", is_dir=True) == "built-in: virtual environment"
    assert rule_of(tmp_path, "nested/conda/lib.py") == "built-in: virtual environment"
    assert rule_of(tmp_path, "venv/module.py") is None


def test_wheelruns_own_folders_are_known_by_their_mark(tmp_path: Path) -> None:
    data = data_dir({"WHEELRUN_HOME": str(tmp_path / "home")})
    put(data / "artifacts/x.py")
    assert rule_of(tmp_path, "home/data/artifacts/x.py") == "built-in: wheelrun's own folder"
    assert rule_of(tmp_path, "home", is_dir=True) is None


def test_build_output_at_the_root_unless_it_is_a_package(tmp_path: Path) -> None:
    put(tmp_path / "build/lib/x.py")
    put(tmp_path / "dist/__init__.py")
    put(tmp_path / "pkg/build/x.py")
    assert rule_of(tmp_path, "build/lib/x.py") == "built-in: build output"
    assert rule_of(tmp_path, "dist/x.py") is None
    assert rule_of(tmp_path, "pkg/build/x.py") is None


def test_wheelrunignore_replaces_all_of_gits_files(tmp_path: Path) -> None:
    put(tmp_path / ".git/info/exclude", "private\n")
    put(tmp_path / ".gitignore", "*.csv\n")
    put(tmp_path / "pkg/.gitignore", "*\n")
    put(tmp_path / ".wheelrunignore", "docs/\n")
    assert rule_of(tmp_path, "docs/x.md") == ".wheelrunignore:1 docs/"
    for path in ("a.csv", "pkg/x.py", "private"):
        assert rule_of(tmp_path, path) is None


def test_the_repositorys_private_file_counts(tmp_path: Path) -> None:
    put(tmp_path / ".git/info/exclude", "private\n")
    assert rule_of(tmp_path, "private") == ".git/info/exclude:1 private"


def test_a_worktree_shares_the_private_file(tmp_path: Path) -> None:
    put(tmp_path / "main/.git/info/exclude", "private\n")
    put(tmp_path / "main/.git/worktrees/tree/commondir", "../..\n")
    put(tmp_path / "tree/.git", f"gitdir: {tmp_path}/main/.git/worktrees/tree\n")
    assert rule_of(tmp_path / "tree", "private") == ".git/info/exclude:1 private"


def test_files_above_the_root_count_up_to_the_repositorys_top(tmp_path: Path) -> None:
    put(tmp_path / ".gitignore", "*\n")
    put(tmp_path / "repo/.git/HEAD")
    put(tmp_path / "repo/.gitignore", "*.log\n/libs/common/data\n")
    put(tmp_path / "repo/libs/.gitignore", "!keep.log\n")
    root = tmp_path / "repo/libs/common"
    root.mkdir()
    assert rule_of(root, "a.log") == "../../.gitignore:1 *.log"
    assert rule_of(root, "data", is_dir=True) == "../../.gitignore:2 /libs/common/data"
    assert rule_of(root, "keep.log") is None
    assert rule_of(root, "x.py") is None


def test_a_project_in_an_ignored_folder_has_only_its_own_rules(tmp_path: Path) -> None:
    put(tmp_path / ".git/HEAD")
    put(tmp_path / ".gitignore", "scratch/\n*.log\n")
    put(tmp_path / "scratch/project/.gitignore", "*.tmp\n")
    root = tmp_path / "scratch/project"
    assert rule_of(root, "a.log") is None
    assert rule_of(root, "a.tmp") == ".gitignore:1 *.tmp"


def test_an_unreadable_ignore_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / ".gitignore", "x\n")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PackagingError, match=r"\.gitignore cannot be read: Permission denied"):
        IgnoreRules(tmp_path)


def test_a_folder_by_the_name_of_an_ignore_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").mkdir()
    assert rule_of(tmp_path, "x.py") is None


def test_a_name_that_is_not_utf8_is_matched_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(b"\xff*\n")
    assert IgnoreRules(tmp_path).match(os.fsdecode(b"\xffx"), is_dir=False)


def test_never_ships_by_name() -> None:
    assert never_ships("a/.git/config")
    assert never_ships("a/b.py") is None
