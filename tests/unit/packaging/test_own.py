from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from wheelrun import _version
from wheelrun.errors import PackagingError
from wheelrun.packaging import own, templates
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.own import own_wheel
from wheelrun.packaging.wheel import verify_record


@pytest.fixture
def cache(tmp_path: Path) -> WheelCache:
    return WheelCache(tmp_path / "cache")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small stand-in for an installed package, templates inside."""
    package = tmp_path / "site" / "wheelrun"
    (package / "templates" / ".github").mkdir(parents=True)
    (package / "__pycache__").mkdir()
    for name in ("__init__.py", "py.typed", "templates/setup.py.in", "templates/.github/ci.yml"):
        (package / name).write_text(name, encoding="utf-8")
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")
    (package / "templates" / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    (package / "templates" / "run.sh").chmod(0o755)
    for module in (own, templates):
        monkeypatch.setattr(module, "_PACKAGE", package)
    return package


def test_the_wheel_of_this_checkout(cache: WheelCache) -> None:
    wheel = own_wheel(cache)
    assert wheel.name == "wheelrun"
    assert wheel.version == f"{_version.__version__}+w{wheel.digest[:12]}"
    names = verify_record(wheel.path)
    assert {"wheelrun/errors.py", "wheelrun/packaging/own.py", "wheelrun/py.typed"} <= set(names)
    assert "wheelrun/templates/setup.py.in" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    with zipfile.ZipFile(wheel.path) as archive:
        metadata = message_from_string(archive.read(f"wheelrun-{wheel.version}.dist-info/METADATA").decode())
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata.get_all("Requires-Dist") is None
    assert own_wheel(cache) == wheel


def test_an_installed_package_and_a_checkout_give_the_same_bytes(
    installed: Path, cache: WheelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = own_wheel(cache).path.read_bytes()
    moved = tmp_path / "checkout"
    moved.mkdir()
    shutil.copytree(installed, moved / "wheelrun")
    (moved / "wheelrun" / "templates").rename(moved / "templates")
    for module in (own, templates):
        monkeypatch.setattr(module, "_PACKAGE", moved / "wheelrun")
    beside = own_wheel(WheelCache(tmp_path / "other"))
    assert beside.path.read_bytes() == inside
    assert "wheelrun/templates/.github/ci.yml" in beside.files


def test_another_content_is_another_version(installed: Path, cache: WheelCache) -> None:
    before = own_wheel(cache)
    (installed / "templates" / "run.sh").chmod(0o644)
    assert own_wheel(cache).version != before.version


def test_no_folder(installed: Path, cache: WheelCache) -> None:
    shutil.rmtree(installed)
    with pytest.raises(PackagingError, match="own files"):
        own_wheel(cache)


def test_it_imports_without_any_other_package(cache: WheelCache, tmp_path: Path) -> None:
    tree = cache.unpacked(own_wheel(cache))
    code = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); import wheelrun.errors as e; print(json.dumps(e.__file__))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, tree], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(json.loads(done.stdout)).is_relative_to(tree)
