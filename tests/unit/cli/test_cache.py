"""`wheelrun cache prune --target`."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wheelrun.client import Client
from wheelrun.orchestrators.roots import Root

Run = Callable[..., Any]

UNUSED = f"wheels/shop/{'a' * 64}"


@pytest.fixture
def artifacts(project: Path, tmp_path: Path) -> Path:
    """The artifact root of the project's target `shared`."""
    folder = tmp_path / "artifacts"
    (project / "wheelrun.toml").write_text(
        f'[targets.shared]\norchestrator = "local"\nartifact_root = "{folder}"\n'
        f'[targets.memory]\norchestrator = "local"\nartifact_root = "memory://{uuid.uuid4().hex}"\n'
        '[targets.nowhere]\norchestrator = "local"\nartifact_root = "nope://x"\n'
    )
    return folder


def leave_unused(folder: Path) -> None:
    path = folder / UNUSED / "shop-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 4200)


def make_old(folder: Path) -> None:
    then = time.time() - 7200
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def wheels(folder: Path) -> list[str]:
    return sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob("*.whl"))


def test_prune_a_target(artifacts: Path, wheelrun: Run) -> None:
    assert wheelrun("submit", "jobs:main", "-t", "shared").code == 0
    used = wheels(artifacts)
    leave_unused(artifacts)
    assert wheelrun("cache", "prune", "-t", "shared", "-o", "json").json["removed"] == 0  # nothing is old enough
    make_old(artifacts)

    result = wheelrun("cache", "prune", "-t", "shared", "--dry-run")
    assert result.code == 0
    assert UNUSED in result.out
    assert f"would remove 1 artifact, 4.2 kB, from {artifacts}" in result.err
    assert UNUSED in wheels(artifacts)

    document = wheelrun("cache", "prune", "-t", "shared", "-o", "json").json
    assert document == {
        "target": "shared",
        "root": str(artifacts),
        "dry_run": False,
        "removed": 1,
        "bytes": 4200,
        "items": [{"name": UNUSED, "bytes": 4200}],
    }
    assert wheels(artifacts) == used
    result = wheelrun("cache", "prune", "-t", "shared")
    assert (result.out, result.err) == ("", f"removed 0 artifacts, 0 B, from {artifacts}\n")
    assert wheelrun("rerun").code == 0


def test_prune_from_a_machine_with_another_store(
    artifacts: Path, wheelrun: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wheelrun("submit", "jobs:main", "-t", "shared").code == 0
    used = wheels(artifacts)
    leave_unused(artifacts)
    make_old(artifacts)
    monkeypatch.setenv("WHEELRUN_HOME", str(tmp_path / "another-home"))
    assert wheelrun("runs", "-o", "json").json == []
    items = wheelrun("cache", "prune", "-t", "shared", "-o", "json").json["items"]
    assert [item["name"] for item in items] == [UNUSED]
    assert wheels(artifacts) == used


def test_prune_forgotten_runs(artifacts: Path, wheelrun: Run) -> None:
    run_id = wheelrun("submit", "jobs:main", "-t", "shared", "-o", "json").json["run_id"]
    kept_id = wheelrun("submit", "jobs:daily", "-t", "shared", "-o", "json").json["run_id"]
    client = Client()
    client.store.delete(run_id)
    client.store.close()
    make_old(artifacts)
    assert wheelrun("cache", "prune", "-t", "shared", "-o", "json").json["removed"] == 0
    assert wheelrun("cache", "prune", "-t", "shared", "--forgotten-runs", "1d", "-o", "json").json["removed"] == 0
    items = wheelrun("cache", "prune", "-t", "shared", "--forgotten-runs", "90m", "-o", "json").json["items"]
    assert [item["name"] for item in items] == [f"runs/{run_id}"]
    assert [path.name for path in (artifacts / "runs").iterdir()] == [kept_id]
    assert wheelrun("status", kept_id).code == 0


def test_prune_behind_a_url(artifacts: Path, wheelrun: Run, project: Path) -> None:
    url = Client().settings.targets["memory"].artifact_root
    Root.open(url).write(f"{UNUSED}/shop.whl", b"young")
    result = wheelrun("cache", "prune", "-t", "memory")
    assert result.code == 0
    assert f"removed 0 artifacts, 0 B, from {url}" in result.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-t", "shared", "--all"], 2, "not for a target"),
        (["-t", "shared", "--older-than", "1d"], 2, "not for a target"),
        (["--dry-run"], 2, "want a --target"),
        (["--all", "--forgotten-runs", "30d"], 2, "want a --target"),
        ([], 2, "Say what to remove"),
        (["-t", "sharde"], 3, "did you mean"),
        (["-t", "nowhere"], 3, "nope://x"),
    ],
)
def test_words_that_do_not_fit(artifacts: Path, wheelrun: Run, words: list[str], code: int, said: str) -> None:
    result = wheelrun("cache", "prune", *words)
    assert result.code == code
    assert said in result.err
