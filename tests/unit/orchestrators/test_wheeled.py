"""Names, and the open road from a repository to a wheel."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelrun.errors import BuildError, UploadError
from wheelrun.orchestrators.local import LocalOrchestrator, LocalOrchestratorConfig
from wheelrun.orchestrators.roots import Root
from wheelrun.packaging.wheel import Wheel
from wheelrun.runtime.layout import ArtifactRoot


def orchestrator(**options):
    return LocalOrchestrator(LocalOrchestratorConfig(), **options)


@given(st.text())
def test_sanitize_name_follows_the_seed_rules(name):
    found = orchestrator().sanitize_name(name)
    one_for_one = "".join(c if re.fullmatch("[a-z0-9-]", c) else "-" for c in name.lower())
    assert found == one_for_one.strip("-")
    assert orchestrator().sanitize_name(found) == found


@pytest.mark.parametrize(
    ("name", "clean"), [("a__b", "a--b"), ("Ünï.Code", "n--code"), ("---", ""), ("My Repo (v1.2)", "my-repo--v1-2")]
)
def test_sanitize_name_examples(name, clean):
    assert orchestrator().sanitize_name(name) == clean


@given(st.text(), st.integers(16, 100))
def test_strict_names_are_taken_by_any_target(name, limit):
    found = orchestrator().strict_name(name, limit=limit)
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", found)
    assert len(found) <= limit


def test_two_long_names_stay_two():
    long = "x" * 200
    first, second = (orchestrator().strict_name(long + end, limit=63) for end in "ab")
    assert first != second
    assert orchestrator().strict_name("") != orchestrator().strict_name("---")


@pytest.fixture
def repository(tmp_path):
    root = tmp_path / "My Repo (v1.2)"
    (root / "jobs").mkdir(parents=True)
    (root / "jobs" / "daily.py").write_text("def main(): pass\n")
    (root / "requirements.txt").write_text("requests>=2\npyspark\n")
    return root


def test_the_open_road_from_repository_to_wheel(repository, monkeypatch):
    made = orchestrator(source_root=repository)
    directory = made.copy_repository_to_temp_dir_and_add_setup_py()
    try:
        assert isinstance(directory, str)
        assert "jobs" in (Path(directory) / "setup.py").read_text()
        wheel = made.create_wheel(directory)
        assert Path(wheel).is_absolute()
        with zipfile.ZipFile(wheel) as archive:
            assert "jobs/daily.py" in archive.namelist()
            (metadata,) = [n for n in archive.namelist() if n.endswith("METADATA")]
            assert "Requires-Dist: requests>=2" in archive.read(metadata).decode()
    finally:
        shutil.rmtree(directory)


def test_an_edited_setup_py_is_run_by_setuptools(repository):
    made = orchestrator(source_root=repository)
    directory = Path(made.copy_repository_to_temp_dir_and_add_setup_py())
    try:
        setup = directory / "setup.py"
        setup.write_text(setup.read_text() + "\nprint('edited')\n")
        with zipfile.ZipFile(made.create_wheel(str(directory))) as archive:
            assert "jobs/daily.py" in archive.namelist()
        setup.write_text("raise SystemExit('on purpose')\n")
        with pytest.raises(RuntimeError) as error:
            made.create_wheel(str(directory))
        assert isinstance(error.value, BuildError)
        assert "on purpose" in error.value.detail
    finally:
        shutil.rmtree(directory)


def test_shipping_writes_once(tmp_path):
    path = tmp_path / "a-1-py3-none-any.whl"
    path.write_bytes(b"wheel")
    wheel = Wheel(path=path, name="a", version="1", digest="0" * 64, files=(), size=5)
    made, root = orchestrator(wheels=[wheel]), Root.open(str(tmp_path / "root"))
    assert made.ship(root) == 5
    assert made.ship(root) == 0
    assert ArtifactRoot(root.local).wheel("a", "0" * 64, path.name).read_bytes() == b"wheel"


def test_shipping_to_a_place_that_cannot_be_written(tmp_path):
    path = tmp_path / "a-1-py3-none-any.whl"
    path.write_bytes(b"wheel")
    (tmp_path / "root").touch()
    wheel = Wheel(path=path, name="a", version="1", digest="0" * 64, files=(), size=5)
    with pytest.raises(UploadError) as error:
        orchestrator(wheels=[wheel]).ship(Root.open(str(tmp_path / "root")))
    assert error.value.exit_code == 6
    assert error.value.hint
