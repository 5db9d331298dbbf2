"""This process as that of a task."""

from __future__ import annotations

import json
import os

import pytest

from wheelrun.emulator.driver.dbruntime import task as module


@pytest.fixture
def task(tmp_path, monkeypatch):
    """Make this process the one of a task; return what reads it."""
    monkeypatch.setattr(module, "_given", None)
    module.current.cache_clear()

    def make(details=None, *, host="http://127.0.0.1:9"):
        roots = {path: str(tmp_path / path[1:]) for path in ("/Workspace", "/Volumes", "/dbfs")}
        for folder in roots.values():
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        payload = {"task": details or {}, "folder": str(tmp_path), "host": host, "token": "token", "roots": roots}
        reading, writing = os.pipe()
        with os.fdopen(writing, "w") as stream:
            stream.write(json.dumps(payload))
        module.current.cache_clear()
        return reading

    yield make
    module.current.cache_clear()
