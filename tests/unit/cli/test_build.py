from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def add_secret(package: Path) -> None:
    package.mkdir()
    (package / "__init__.py").write_text("")
    token = "ghp_" + base64.b32encode(hashlib.sha256(b"made here").digest()).decode()[:36]
    (package / "settings.py").write_text(f'TOKEN = "{token}"\n')


def test_build_writes_the_path_of_the_wheel(project: Path, wheelrun: Run) -> None:
    result = wheelrun("build")
    assert result.code == 0
    assert Path(result.out.strip()).is_file()
    assert "1 file" in result.err


def test_the_document(project: Path, wheelrun: Run) -> None:
    (project / "notes.txt").write_text("")
    document = wheelrun("build", "-o", "json").json
    assert list(document) == [
        "wheel", "name", "version", "digest", "cached", "files", "bytes", "excluded", "seconds",
    ]  # fmt: skip
    assert Path(document["wheel"]).stat().st_size == document["bytes"]
    assert document["files"] == ["jobs.py"]
    assert {"path": "notes.txt", "rule": "not inside a package"} in document["excluded"]
    assert document["version"] == f"0.0.0+w{document['digest'][:12]}"
    assert document["cached"] is False
    assert wheelrun("build", "-o", "json").json["cached"] is True


def test_explain_lists_what_ships_and_what_does_not(project: Path, wheelrun: Run) -> None:
    (project / ".gitignore").write_text("*.log\n")
    (project / "a.log").write_text("")
    out = wheelrun("build", "--explain").out
    ships, _, left_out = out.partition("left out")
    assert "jobs.py" in ships
    assert "a.log" in left_out
    assert ".gitignore:1 *.log" in left_out


def test_a_secret_is_refused_and_let_through(project: Path, wheelrun: Run) -> None:
    add_secret(project / "app")
    result = wheelrun("build")
    assert result.code == 5
    assert "app/settings.py" in result.err
    assert wheelrun("build", "--allow-secret", "app/settings.py").code == 0


def test_another_project(project: Path, tmp_path: Path, wheelrun: Run) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thing.py").write_text("")
    assert wheelrun("build", "--project", str(other), "-o", "json").json["files"] == ["thing.py"]
    result = wheelrun("build", "--project", str(tmp_path / "nowhere"))
    assert result.code == 3
    assert result.out == ""
