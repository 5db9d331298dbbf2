"""What is done as modules are imported."""

from __future__ import annotations

import importlib
import sys
import zipfile

import pytest

from wheelrun.runtime.imports import close, when_imported


@pytest.fixture(autouse=True)
def _path(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield
    for name in ("arriving", "zipped"):
        sys.modules.pop(name, None)


def test_it_is_called_at_the_end_of_the_import_and_once(tmp_path):
    (tmp_path / "arriving.py").write_text("value = 1\n")
    seen = []
    finders = len(sys.meta_path)
    when_imported("arriving", lambda module: seen.append((module.value, setattr(module, "value", 2))))
    assert importlib.util.find_spec("arriving") is not None  # to look for it is not to import it
    assert seen == []
    assert importlib.import_module("arriving").value == 2
    assert seen == [(1, None)]
    assert len(sys.meta_path) == finders


def test_it_is_called_at_once_for_what_is_there():
    seen = []
    when_imported("sys", seen.append)
    assert seen == [sys]


def test_what_raises_on_import_is_not_seen_as_arrived(tmp_path):
    (tmp_path / "arriving.py").write_text("raise ValueError('no')\n")
    seen = []
    when_imported("arriving", seen.append)
    with pytest.raises(ValueError, match="no"):
        importlib.import_module("arriving")
    (tmp_path / "arriving.py").write_text("value = 12345\n")
    importlib.invalidate_caches()
    assert importlib.import_module("arriving").value == 12345
    assert len(seen) == 1


def test_nothing_is_imported_from_a_closed_place(tmp_path, monkeypatch):
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped.py", "")
    close(str(archive))
    monkeypatch.syspath_prepend(str(archive))
    importlib.invalidate_caches()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("zipped")
