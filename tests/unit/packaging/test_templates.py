from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wheelrun.errors import PackagingError
from wheelrun.packaging import templates
from wheelrun.packaging.backend import build_with_backend
from wheelrun.packaging.templates import read_template, template_root

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).resolve().parents[3]
WHERE = """
import site, sys
from pathlib import Path
site.addsitedir(sys.argv[1])
sys.path.insert(0, sys.argv[1])
from wheelrun.packaging.templates import template_root
import wheelrun.packaging
print(template_root())
print(wheelrun.packaging.__file__)
"""


def shipped_templates() -> set[str]:
    return {
        path.relative_to(CHECKOUT / "templates").as_posix()
        for path in (CHECKOUT / "templates").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def copy_of_checkout(folder: Path) -> Path:
    """A copy to build in, with a few templates whose names a careless pattern would miss."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("wheelrun", "templates"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(CHECKOUT / name, folder)
    (folder / "README.md").write_text("# wheelrun\n", encoding="utf-8")
    for name in (
        ".hidden",
        ".github/workflows/ci.yml",
        "a/.gitignore",
        "a/.b/c/d",
        "a/.b/.c",
        "a/b/plain",
        "a/mod.py",
    ):
        path = folder / "templates" / "probe" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("probe\n", encoding="utf-8")
    return folder


def ask(target: Path, cwd: Path) -> list[Path]:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", WHERE, str(target)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(line) for line in done.stdout.splitlines()]


def test_the_checkout_has_templates() -> None:
    assert template_root() == CHECKOUT / "templates"
    assert "setup(" in read_template("setup.py.in")


def test_an_installation_without_templates_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "_PACKAGE", tmp_path / "wheelrun")
    with pytest.raises(PackagingError, match="templates are missing") as caught:
        template_root()
    assert caught.value.hint is not None


def test_pyproject_lists_every_package() -> None:
    table = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    listed = set(table["tool"]["setuptools"]["packages"]) - {"wheelrun.templates"}
    folders = {
        path.parent.relative_to(CHECKOUT).as_posix().replace("/", ".") for path in (CHECKOUT / "wheelrun").rglob("*.py")
    }
    assert folders <= listed, "add the new folders to [tool.setuptools] packages in pyproject.toml"
    assert all((CHECKOUT / name.replace(".", "/")).is_dir() for name in listed)


@pytest.mark.slow
def test_an_installed_wheel_finds_its_templates(tmp_path: Path) -> None:
    source = copy_of_checkout(tmp_path / "source")
    wheel = build_with_backend(source, tmp_path / "out", timeout=300, isolated=False)
    expected = {path.relative_to(source / "templates").as_posix() for path in (source / "templates").rglob("*")}
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    inside = {name.removeprefix("wheelrun/templates/") for name in names if name.startswith("wheelrun/templates/")}
    assert inside == {name for name in expected if (source / "templates" / name).is_file()}
    assert inside >= shipped_templates()
    assert not [name for name in names if name.split("/")[0] != "wheelrun" and ".dist-info/" not in name]
    root, package = ask(tmp_path / "site", tmp_path)
    assert root == tmp_path / "site" / "wheelrun" / "templates"
    assert package.is_relative_to(tmp_path / "site")


@pytest.mark.slow
def test_an_editable_install_finds_the_checkouts_templates(tmp_path: Path) -> None:
    source = copy_of_checkout(tmp_path / "source")
    (tmp_path / "out").mkdir()
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import setuptools.build_meta as b, sys; b.build_editable(sys.argv[1])",
            tmp_path / "out",
        ],
        cwd=source,
        capture_output=True,
        check=True,
    )
    with zipfile.ZipFile(next((tmp_path / "out").glob("*.whl"))) as archive:
        archive.extractall(tmp_path / "site")
    root, package = ask(tmp_path / "site", tmp_path)
    assert root == source / "templates"
    assert package.is_relative_to(source)
