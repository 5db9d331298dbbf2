from __future__ import annotations

from pathlib import Path

import pytest

from wheelrun.errors import BuildError, PackagingError
from wheelrun.packaging.assemble import add_setup_py, generated_wheel, wheel_from_setup_py
from wheelrun.packaging.project import PackageSettings, load_project
from wheelrun.packaging.snapshot import Snapshot, copy_tree, scan


def snapshot_of(tmp_path: Path, *names: str, include: tuple[str, ...] = ()) -> Snapshot:
    root = tmp_path / "repo"
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n", encoding="utf-8")
        path.chmod(0o755 if name.endswith(".sh") else 0o644)
    (tmp_path / "out").mkdir()
    return copy_tree(scan(load_project(root, PackageSettings(include=include))), tmp_path / "copy")


@pytest.mark.parametrize(
    ("names", "include"),
    [
        (["main.py", "pkg/__init__.py", "pkg/a.csv", "pkg/run.sh", "My Dir/x.py"], ()),
        (["src/pkg/mod.py", "src/pkg/data/é", "src/single.py", "src/top.txt", "jobs/x.py"], ("jobs",)),
        (["main.py", "conf/a.yaml"], ("conf",)),
        (["build/__init__.py", "build/x.py"], ()),
    ],
)
def test_a_generated_setup_py_gives_the_builders_wheel(
    tmp_path: Path, names: list[str], include: tuple[str, ...]
) -> None:
    snapshot = snapshot_of(tmp_path, *names, include=include)
    direct = generated_wheel(snapshot, tmp_path / "out", allow=())
    content = direct.read_bytes()
    add_setup_py(snapshot)
    again = wheel_from_setup_py(snapshot.directory, tmp_path / "out")
    assert again == direct
    assert again.read_bytes() == content


@pytest.mark.slow
def test_an_edited_setup_py_is_built_by_setuptools_and_gives_the_same_wheel(tmp_path: Path) -> None:
    snapshot = snapshot_of(tmp_path, "main.py", "pkg/__init__.py", "pkg/a.csv")
    content = generated_wheel(snapshot, tmp_path / "out", allow=()).read_bytes()
    setup = add_setup_py(snapshot)
    setup.write_text(setup.read_text() + "\n# Looked at.\n")
    assert wheel_from_setup_py(snapshot.directory, tmp_path / "out").read_bytes() == content
    # What that build left in the folder does not ship when it is built once more.
    add_setup_py(snapshot)
    assert wheel_from_setup_py(snapshot.directory, tmp_path / "out").read_bytes() == content


@pytest.mark.slow
def test_a_broken_setup_py_shows_its_output(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("raise SystemExit('no such day')\n")
    with pytest.raises(BuildError) as caught:
        wheel_from_setup_py(tmp_path, tmp_path / "out")
    assert "no such day" in str(caught.value.detail)


def test_no_setup_py(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"setup\.py cannot be read"):
        wheel_from_setup_py(tmp_path, tmp_path)
