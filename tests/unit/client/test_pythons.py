"""What is remembered of the Python of targets that run elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wheelrun.client.pythons import TargetPythons, check_python
from wheelrun.errors import ConfigurationError
from wheelrun.packaging.project import load_project


def test_what_was_put_is_remembered(tmp_path):
    pythons = TargetPythons(tmp_path / "pythons")
    assert pythons.get("a") is None
    pythons.put("a", "3.11.7")
    assert TargetPythons(tmp_path / "pythons").get("a") == "3.11.7"
    assert pythons.get("b") is None
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "pythons").iterdir())


def test_what_cannot_be_read_is_asked_again(tmp_path):
    pythons = TargetPythons(tmp_path)
    pythons.put("a", "3.11.7")
    next(tmp_path.iterdir()).write_text("{")
    assert pythons.get("a") is None


def test_where_it_cannot_be_written_it_is_asked_again(tmp_path):
    (tmp_path / "file").touch()
    pythons = TargetPythons(tmp_path / "file" / "pythons")
    pythons.put("a", "3.11.7")
    assert pythons.get("a") is None


@pytest.mark.parametrize(
    ("wanted", "python", "fits"),
    [
        (None, "3.9.1", True),
        (">=3.10", "3.11.7", True),
        (">=3.12", "3.11.7", False),
        ("<3.11", "3.11.0", False),
    ],
)
def test_a_project_and_a_targets_python(tmp_path, wanted, python, fits):
    (tmp_path / "a.py").touch()
    project = replace(load_project(tmp_path), requires_python=wanted)
    if fits:
        check_python(project, python, "prod")
    else:
        with pytest.raises(ConfigurationError, match=f"'prod' runs Python {python}"):
            check_python(project, python, "prod")
