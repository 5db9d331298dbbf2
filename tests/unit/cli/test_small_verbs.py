"""`init`, `targets`, `cache`, `doctor` and `completion`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "templates"
    package = root / "projects" / "tiny" / "{{name}}"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("{{name}} stays\n")
    (root / "projects" / "tiny" / "README.md.in").write_text("# {{name}}\n\n    wheelrun submit {{name}}.jobs:main\n")
    (root / "projects" / "tiny" / "run.sh").write_text("#!/bin/sh\n")
    (root / "projects" / "tiny" / "run.sh").chmod(0o755)
    monkeypatch.setattr("wheelrun.packaging.templates.template_root", lambda: root)
    return root


def test_init_fills_the_name_in(templates: Path, tmp_path: Path, wheelrun: Run) -> None:
    target = tmp_path / "My Jobs"
    result = wheelrun("init", str(target), "--template", "tiny")
    assert result.code == 0
    assert result.out.split() == ["README.md", "run.sh", "my_jobs/__init__.py"]
    assert (target / "README.md").read_text().startswith("# my_jobs\n")
    assert (target / "my_jobs" / "__init__.py").read_text() == "{{name}} stays\n"
    assert os.access(target / "run.sh", os.X_OK)
    assert "wheelrun submit my_jobs.jobs:main" in result.err


def test_init_does_not_overwrite(templates: Path, tmp_path: Path, wheelrun: Run) -> None:
    target = tmp_path / "full"
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    result = wheelrun("init", str(target), "--template", "tiny")
    assert result.code == 3
    assert [path.name for path in target.iterdir()] == ["mine.txt"]


def test_init_of_an_unknown_template(templates: Path, tmp_path: Path, wheelrun: Run) -> None:
    result = wheelrun("init", str(tmp_path / "x"), "--template", "tinny")
    assert result.code == 2
    assert "did you mean 'tiny'?" in result.err
    assert not (tmp_path / "x").exists()


def test_init_that_fails_leaves_nothing(templates: Path, tmp_path: Path, wheelrun: Run) -> None:
    (templates / "projects" / "tiny" / "zz.txt.in").write_bytes(b"\xff")
    assert wheelrun("init", str(tmp_path / "x"), "--template", "tiny").code == 70
    assert not (tmp_path / "x").exists()


def test_targets_mask_secrets_and_survive_a_broken_one(project: Path, wheelrun: Run) -> None:
    (project / "wheelrun.toml").write_text(
        'target = "prod"\n[targets.prod]\norchestrator = "local"\n[targets.prod.environment]\nAPI_TOKEN = "hush"\n'
        "[targets.empty]\ntimeout = 3\n"
    )
    result = wheelrun("targets", "-o", "json")
    assert result.code == 0
    assert [(target["name"], target["default"]) for target in result.json] == [("local", False), ("prod", True)]
    assert "hush" not in result.out
    assert "names no orchestrator" in result.err
    assert "default" in wheelrun("targets").out


def test_an_example_of_a_target_is_printed(project: Path, wheelrun: Run) -> None:
    assert "databricks-aws" in wheelrun("targets", "--example").out.split()
    (project / "wheelrun.toml").write_text(wheelrun("targets", "--example", "databricks-aws").out)
    listed = wheelrun("targets", "-o", "json").json
    assert [(target["name"], target["orchestrator"]) for target in listed][-1] == ("prod", "databricks")
    wrong = wheelrun("targets", "--example", "databricks-asw")
    assert wrong.code == 3
    assert "did you mean 'databricks-aws'?" in wrong.err


def test_cache(project: Path, wheelrun: Run) -> None:
    assert wheelrun("cache", "show", "-o", "json").json["entries"] == []
    wheelrun("build")
    document = wheelrun("cache", "show", "-o", "json").json
    (entry,) = document["entries"]
    assert entry["kind"] == "wheels"
    assert entry["bytes"] == document["bytes"] > 0
    assert entry["wheel"] in wheelrun("cache", "show").out
    assert wheelrun("cache", "prune").code == 2
    assert "removed 0 entries" in wheelrun("cache", "prune", "--older-than", "1d", "--max-size", "1GB").err
    assert wheelrun("cache", "prune", "--all", "-o", "json").json["removed"] == 1
    assert wheelrun("build", "-o", "json").json["cached"] is False


@pytest.fixture
def spark_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wheelrun.doctor._spark", lambda _client: iter(()))
    monkeypatch.setattr("wheelrun.doctor._java", lambda _client: iter(()))


def test_doctor_is_content(project: Path, wheelrun: Run, spark_is_there: None) -> None:
    result = wheelrun("doctor", "jobs:daily")
    assert result.code == 0
    assert "jobs:daily imports from the wheel: 2 steps" in result.out
    document = wheelrun("doctor", "jobs.py", "-o", "json").json
    assert document["ok"] is True
    assert all(list(check) == ["check", "ok", "detail", "remedy", "traceback"] for check in document["checks"])


def test_doctor_finds_what_does_not_ship(project: Path, wheelrun: Run, spark_is_there: None) -> None:
    (project / "local_only.py").write_text("x = 1\n")
    (project / ".wheelrunignore").write_text("local_only.py\n")
    (project / "uses.py").write_text("import local_only\ndef main(n: int): pass\n")
    result = wheelrun("doctor", "uses:main")
    assert result.code == 3
    assert "No module named 'local_only'" in result.out
    assert "remedy" in result.out


def test_doctor_needs_no_parameters_to_import(project: Path, wheelrun: Run, spark_is_there: None) -> None:
    (project / "needs.py").write_text("def main(n: int): pass\n")
    assert wheelrun("doctor", "needs:main").code == 0
    assert wheelrun("doctor", "needs:main", "-p", "n=x").code == 3


def test_doctor_goes_on_after_a_failure(project: Path, wheelrun: Run, spark_is_there: None) -> None:
    (project / "wheelrun.toml").write_text('[targets.bad]\norchestrator = "lokal"\n')
    result = wheelrun("doctor", "jobs:mian")
    assert result.code == 3
    assert "did you mean 'main'?" in result.out
    assert "did you mean 'local'?" in result.out
    assert "2 of " in result.err


@pytest.mark.parametrize(
    ("words", "at", "expected"),
    [
        ("wheelrun su", 1, "plain,submit"),
        ("wheelrun submit --params", 2, "plain,--params-file"),
        ("wheelrun submit -t lo", 3, "plain,local"),
        ("wheelrun cache ", 2, "plain,prune"),
    ],
)
def test_completion(
    project: Path, wheelrun: Run, monkeypatch: pytest.MonkeyPatch, words: str, at: int, expected: str
) -> None:
    monkeypatch.setenv("_WHEELRUN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(at))
    assert expected in wheelrun().out.split()


def test_completion_of_runs(project: Path, wheelrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = wheelrun("submit", "jobs:main", "-o", "json").json["run_id"]
    monkeypatch.setenv("_WHEELRUN_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_CWORD", "2")
    for verb in ("status", "logs", "cancel", "resume", "rerun"):
        monkeypatch.setenv("COMP_WORDS", f"wheelrun {verb} 2")
        assert wheelrun().out.strip() == f"plain,{run_id}"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_scripts(wheelrun: Run, shell: str) -> None:
    assert "_WHEELRUN_COMPLETE" in wheelrun("completion", shell).out
