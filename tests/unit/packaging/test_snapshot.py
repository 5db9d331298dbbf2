from __future__ import annotations

import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from wheelrun.errors import ConfigurationError, PackagingError
from wheelrun.packaging import walk as walk_module
from wheelrun.packaging.project import PackageSettings, Project, load_project
from wheelrun.packaging.snapshot import Tree, copy_tree, digest_tree, scan


def put(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n", encoding="utf-8")
    return root


def tree_of(root: Path, *include: str) -> Tree:
    return scan(load_project(root, PackageSettings(include=include)))


def shipped(tree: Tree) -> dict[str, str]:
    return {entry.arcname: entry.path for entry in tree.entries}


def left_out(tree: Tree) -> dict[str, str]:
    return {excluded.path: excluded.rule for excluded in tree.excluded}


class TestFlat:
    def test_modules_and_folders_with_python_ship_whole(self, tmp_path: Path) -> None:
        put(tmp_path, "main.py", "pkg/__init__.py", "pkg/sql/q.sql", "pkg/été.csv", "pkg/.hidden", "pkg/LICENSE")
        put(tmp_path, "space/deep/er/mod.py", "space/top.json", "My Scripts/run.py")
        tree = tree_of(tmp_path)
        names = sorted(shipped(tree))
        assert names == [entry.path for entry in tree.entries]
        assert names == [
            "My Scripts/run.py",
            "main.py",
            "pkg/.hidden",
            "pkg/LICENSE",
            "pkg/__init__.py",
            "pkg/sql/q.sql",
            "pkg/été.csv",
            "space/deep/er/mod.py",
            "space/top.json",
        ]
        assert tree.excluded == ()
        assert tree.warnings == ()

    def test_what_is_left_out_is_told(self, tmp_path: Path) -> None:
        put(tmp_path, "pkg/mod.py", "README.md", "__init__.py", "data/a.csv", "data/b/c.csv", ".github/x.py")
        tree = tree_of(tmp_path)
        assert list(shipped(tree)) == ["pkg/mod.py"]
        assert left_out(tree) == {
            ".github/": "hidden folder: [tool.wheelrun.package] include ships it",
            "README.md": "not inside a package",
            "__init__.py": "the root itself is no package",
            "data/": "no Python in it: [tool.wheelrun.package] include ships it",
        }

    def test_include(self, tmp_path: Path) -> None:
        put(tmp_path, "pkg/mod.py", "conf/prod/a.yaml", "conf/dev/b.yaml", "schema.json", "README.md")
        tree = tree_of(tmp_path, "./conf/prod/", "schema.json")
        assert list(shipped(tree)) == ["conf/prod/a.yaml", "pkg/mod.py", "schema.json"]
        assert set(left_out(tree)) == {"conf/dev/b.yaml", "README.md"}

    @pytest.mark.parametrize(
        ("include", "message"),
        [
            ("gone", "which holds no file"),
            ("../other", "which is not below the project's root"),
            ("/etc", "which is not below the project's root"),
            (".", "which is not below the project's root"),
            ("logs/a.log", r"which is left out by \.gitignore:1 \*\.log"),
            ("logs", r"which is left out by \.gitignore:1 \*\.log"),
        ],
    )
    def test_an_include_that_cannot_be_honoured(self, tmp_path: Path, include: str, message: str) -> None:
        put(tmp_path, "pkg/mod.py", "logs/a.log")
        (tmp_path / ".gitignore").write_text("*.log\n")
        with pytest.raises(ConfigurationError, match=message):
            tree_of(tmp_path, include)


class TestSrc:
    def test_the_children_of_src_stand_at_the_wheels_root(self, tmp_path: Path) -> None:
        put(tmp_path, "src/pkg/__init__.py", "src/pkg/a.csv", "src/single.py", "README.md", "tests/test_x.py")
        tree = tree_of(tmp_path)
        assert shipped(tree) == {
            "pkg/__init__.py": "src/pkg/__init__.py",
            "pkg/a.csv": "src/pkg/a.csv",
            "single.py": "src/single.py",
        }
        assert left_out(tree) == {"README.md": "outside src/", "tests/": "outside src/"}
        assert tree.warnings == ()

    def test_python_that_nothing_ships_is_named(self, tmp_path: Path) -> None:
        put(tmp_path, "src/pkg/mod.py", "noxfile.py", "conftest.py", "docs/conf.py", "tests/a.py", "pkg_test.py")
        put(tmp_path, *(f"scripts/s{number:02}.py" for number in range(12)))
        (warning,) = tree_of(tmp_path).warnings
        assert "scripts/s00.py, scripts/s01.py" in warning
        assert "scripts/s09.py and 2 more" in warning
        assert "noxfile" not in warning
        assert tree_of(tmp_path, "scripts").warnings == ()

    def test_include_stands_beside(self, tmp_path: Path) -> None:
        put(tmp_path, "src/pkg/mod.py", "jobs/daily.py")
        assert shipped(tree_of(tmp_path, "jobs"))["jobs/daily.py"] == "jobs/daily.py"

    def test_two_files_of_one_name(self, tmp_path: Path) -> None:
        put(tmp_path, "src/pkg/mod.py", "pkg/mod.py")
        with pytest.raises(PackagingError, match=r"pkg/mod.py and src/pkg/mod.py would both be pkg/mod.py"):
            tree_of(tmp_path, "pkg")


def test_a_backend_gets_all_that_is_not_ignored(tmp_path: Path) -> None:
    put(tmp_path, "README.md", "lib/mod.py", "data/a.csv", ".env", "out.log")
    (tmp_path / "setup.py").write_text("")
    (tmp_path / ".gitignore").write_text("*.log\n")
    tree = tree_of(tmp_path)
    assert [entry.path for entry in tree.entries] == [
        ".env",
        ".gitignore",
        "README.md",
        "data/a.csv",
        "lib/mod.py",
        "setup.py",
    ]
    assert {entry.arcname for entry in tree.entries} == {""}
    assert left_out(tree) == {"out.log": ".gitignore:1 *.log"}


class TestNothing:
    def test_an_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(PackagingError, match="holds nothing that could ship") as caught:
            tree_of(tmp_path)
        assert "--project" in str(caught.value.hint)

    def test_no_python(self, tmp_path: Path) -> None:
        with pytest.raises(PackagingError, match="holds no Python file that could ship") as caught:
            tree_of(put(tmp_path, "README.md", "data/a.csv"))
        assert "--explain" in str(caught.value.hint)


class TestIgnored:
    def test_ignored_folders_are_not_walked(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(tmp_path, "pkg/mod.py", "data/deep/x.csv", ".git/config", "env/pyvenv.cfg", "env/lib/x.py")
        (tmp_path / ".gitignore").write_text("data/\n")
        listed = []
        scandir = os.scandir

        def record(path: str) -> object:
            listed.append(os.path.relpath(path, tmp_path))
            return scandir(path)

        monkeypatch.setattr(walk_module.os, "scandir", record)
        tree = tree_of(tmp_path)
        assert sorted(listed) == [".", "env", "pkg"]
        assert left_out(tree) == {
            ".git/": "built-in: version control (.git)",
            ".gitignore": "not inside a package",
            "data/": ".gitignore:1 data/",
            "env/": "built-in: virtual environment",
        }


class TestLinks:
    def test_links_inside_become_content(self, tmp_path: Path) -> None:
        put(tmp_path, "pkg/mod.py", "shared/a.csv", "shared/deep/b.csv")
        (tmp_path / "pkg/a.csv").symlink_to("../shared/a.csv")
        (tmp_path / "pkg/data").symlink_to(tmp_path / "shared", target_is_directory=True)
        tree = tree_of(tmp_path)
        assert list(shipped(tree)) == ["pkg/a.csv", "pkg/data/a.csv", "pkg/data/deep/b.csv", "pkg/mod.py"]
        snapshot = copy_tree(tree, tmp_path / "copy")
        copied = snapshot.directory / "pkg/data/deep/b.csv"
        assert copied.read_text() == "# shared/deep/b.csv\n"
        assert not any(path.is_symlink() for path in snapshot.directory.rglob("*"))

    def test_links_that_lead_nowhere_are_left_out_with_a_warning(self, tmp_path: Path) -> None:
        root = put(tmp_path / "root", "pkg/mod.py", "pkg/sub/x.py")
        put(tmp_path, "outside/y.py", "root-2/z.py")
        (root / "pkg/out").symlink_to(tmp_path / "outside")
        (root / "pkg/prefix").symlink_to(tmp_path / "root-2")
        (root / "pkg/file").symlink_to(tmp_path / "outside/y.py")
        (root / "pkg/broken").symlink_to("gone")
        (root / "pkg/self").symlink_to("self")
        (root / "pkg/sub/up").symlink_to("..")
        (root / "pkg/sub/top").symlink_to(root)
        tree = tree_of(root)
        assert list(shipped(tree)) == ["pkg/mod.py", "pkg/sub/x.py"]
        assert left_out(tree) == {
            "pkg/out": "link out of the project",
            "pkg/prefix": "link out of the project",
            "pkg/file": "link out of the project",
            "pkg/broken": "broken link",
            "pkg/self": "broken link",
            "pkg/sub/up": "link in a loop",
            "pkg/sub/top": "link in a loop",
        }
        assert tree.warnings == (
            "left out, broken link: pkg/broken, pkg/self",
            "left out, link in a loop: pkg/sub/top, pkg/sub/up",
            "left out, link out of the project: pkg/file, pkg/out, pkg/prefix",
        )

    def test_two_folders_that_link_to_each_other_end(self, tmp_path: Path) -> None:
        put(tmp_path, "a/x.py", "b/y.py")
        (tmp_path / "a/b").symlink_to("../b")
        (tmp_path / "b/a").symlink_to("../a")
        assert list(shipped(tree_of(tmp_path))) == ["a/b/y.py", "a/x.py", "b/a/x.py", "b/y.py"]

    def test_links_that_multiply_without_end_are_an_error(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(walk_module, "_MOST_LINKED_FOLDERS", 20)
        put(tmp_path, *(f"f{number}/x.py" for number in range(8)))
        for number in range(7):
            for name in "ab":
                (tmp_path / f"f{number}/{name}").symlink_to(f"../f{number + 1}")
        with pytest.raises(PackagingError, match="multiply"):
            tree_of(tmp_path)

    def test_a_link_to_what_never_ships(self, tmp_path: Path) -> None:
        put(tmp_path, "pkg/mod.py", ".git/config", ".venv/pyvenv.cfg", ".venv/x.py")
        (tmp_path / "pkg/config").symlink_to("../.git/config")
        (tmp_path / "pkg/env").symlink_to("../.venv")
        tree = tree_of(tmp_path)
        assert list(shipped(tree)) == ["pkg/mod.py"]
        assert left_out(tree)["pkg/config"] == "link to built-in: version control (.git)"
        assert left_out(tree)["pkg/env/"] == "built-in: virtual environment"


class TestOddFiles:
    def test_special_files(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(tmp_path, "pkg/mod.py")
        monkeypatch.chdir(tmp_path / "pkg")  # the address of a socket is short
        os.mkfifo(tmp_path / "pkg/pipe")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
            tree = tree_of(tmp_path)
        assert list(shipped(tree)) == ["pkg/mod.py"]
        assert tree.warnings == ("left out, special file: pkg/pipe, pkg/socket",)

    def test_a_name_that_is_not_utf8(self, tmp_path: Path) -> None:
        put(tmp_path, "pkg/mod.py")
        (tmp_path / "pkg" / os.fsdecode(b"\xff.csv")).touch()
        tree = tree_of(tmp_path)
        assert list(shipped(tree)) == ["pkg/mod.py"]
        assert left_out(tree) == {"pkg/\\udcff.csv": "file name is not UTF-8"}

    def test_a_folder_that_cannot_be_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(tmp_path, "pkg/mod.py")
        scandir = os.scandir

        def refuse(path: str) -> object:
            if path.endswith("pkg"):
                raise PermissionError(13, "Permission denied")
            return scandir(path)

        monkeypatch.setattr(walk_module.os, "scandir", refuse)
        with pytest.raises(PackagingError, match=r"pkg cannot be read: Permission denied"):
            tree_of(tmp_path)

    def test_a_file_that_went_away(self, tmp_path: Path) -> None:
        tree = tree_of(put(tmp_path, "mod.py", "other.py"))
        (tmp_path / "mod.py").unlink()
        with pytest.raises(PackagingError, match=r"mod.py went away"):
            digest_tree(tree)


class TestDigest:
    def project(self, root: Path) -> Project:
        put(root, "pkg/mod.py", "pkg/a.csv")
        return load_project(root)

    def test_place_and_time_do_not_count(self, tmp_path: Path) -> None:
        first, second = self.project(tmp_path / "a/same"), self.project(tmp_path / "b/same")
        os.utime(second.root / "pkg/mod.py", (0, 0))
        assert digest_tree(scan(first)) == digest_tree(scan(second))

    def test_what_decides_the_wheel_counts(self, tmp_path: Path) -> None:
        project = self.project(tmp_path)
        before = digest_tree(scan(project))
        seen = {before}
        for changed in (
            replace(project, name="other"),
            replace(project, version="1"),
            replace(project, requires_python=">=3.11"),
            replace(project, dependencies=("pandas",)),
            replace(project, optional_dependencies=(("x", ("pandas",)),)),
        ):
            seen.add(digest_tree(scan(changed)))
        (project.root / "pkg/mod.py").chmod(0o755)
        seen.add(digest_tree(scan(project)))
        (project.root / "pkg/mod.py").write_text("x = 1\n")
        seen.add(digest_tree(scan(project)))
        (project.root / "pkg/mod.py").rename(project.root / "pkg/mod2.py")
        seen.add(digest_tree(scan(project)))
        assert len(seen) == 9

    def test_what_does_not_ship_does_not_count(self, tmp_path: Path) -> None:
        project = self.project(tmp_path)
        before = digest_tree(scan(project))
        put(tmp_path, "README.md", "pkg/__pycache__/x.pyc")
        assert digest_tree(scan(project)) == before


class TestCopy:
    def test_the_copy_is_the_tree(self, tmp_path: Path) -> None:
        root = put(tmp_path / "root", "pkg/mod.py", "pkg/run.sh", "src.py")
        (root / "pkg/run.sh").chmod(0o700)
        (root / "pkg/big.bin").write_bytes(bytes(range(256)) * 9000)
        tree = tree_of(root)
        old = os.umask(0o077)
        try:
            snapshot = copy_tree(tree, tmp_path / "copy")
        finally:
            os.umask(old)
        assert snapshot.digest == digest_tree(tree)
        for entry in tree.entries:
            copied = snapshot.directory / entry.path
            assert copied.read_bytes() == entry.source.read_bytes()
            assert stat.S_IMODE(copied.stat().st_mode) == (0o755 if entry.executable else 0o644)

    def test_a_file_that_grew_is_copied_and_hashed_whole(self, tmp_path: Path) -> None:
        root = put(tmp_path / "root", "mod.py")
        tree = tree_of(root)
        (root / "mod.py").write_text("x = 1\n" * 1000)
        snapshot = copy_tree(tree, tmp_path / "copy")
        assert (snapshot.directory / "mod.py").read_text() == "x = 1\n" * 1000
        assert snapshot.digest == digest_tree(tree_of(root))

    def test_a_copy_that_cannot_be_written(self, tmp_path: Path) -> None:
        tree = tree_of(put(tmp_path / "root", "mod.py"))
        (tmp_path / "file").touch()
        with pytest.raises(PackagingError, match="cannot be written") as caught:
            copy_tree(tree, tmp_path / "file")
        assert "TMPDIR" in str(caught.value.hint)

    def test_a_full_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tree = tree_of(put(tmp_path / "root", "mod.py"))

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("wheelrun.packaging.snapshot.os.write", full)
        with pytest.raises(PackagingError, match=r"the copy of mod.py cannot be written: No space left"):
            copy_tree(tree, tmp_path / "copy")
