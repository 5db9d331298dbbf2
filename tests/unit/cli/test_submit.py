from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wheelrun.cli import following
from wheelrun.client import Client

Run = Callable[..., Any]

DOCUMENT = [
    "run_id", "state", "target", "orchestrator", "entry", "params", "wheel", "steps", "error", "exit_code", "url",
    "created_at", "started_at", "ended_at",
]  # fmt: skip


def test_a_function(project: Path, wheelrun: Run) -> None:
    result = wheelrun("submit", "jobs:main", "-p", "n=3")
    assert result.code == 0
    assert result.out == "hello 3\n"
    assert "careful" in result.err
    assert "main: succeeded" in result.err


def test_a_file_gets_what_is_behind_the_dashes(project: Path, wheelrun: Run) -> None:
    result = wheelrun("submit", "jobs.py", "--", "--out", "x.csv", "--", "-p")
    assert result.out == "arguments ['--out', 'x.csv', '--', '-p']\n"


def test_words_without_dashes_are_refused(project: Path, wheelrun: Run) -> None:
    result = wheelrun("submit", "jobs:main", "n=3")
    assert result.code == 2
    assert "behind --" in result.err


def test_the_document_of_a_success(project: Path, wheelrun: Run) -> None:
    result = wheelrun("submit", "jobs:main", "-p", "n=3", "-o", "json")
    document = result.json
    assert list(document) == DOCUMENT
    assert document["state"] == "succeeded"
    assert document["exit_code"] == 0
    assert document["params"] == {"n": 3}
    assert list(document["wheel"]) == ["path", "name", "version", "digest"]
    (step,) = document["steps"]
    assert list(step) == ["name", "state", "attempts", "seconds", "error"]
    assert isinstance(step["seconds"], float)
    assert document["created_at"].endswith("Z")
    assert "hello 3" in result.err


def test_a_failure_is_told_with_what_to_type(project: Path, wheelrun: Run) -> None:
    result = wheelrun("submit", "jobs:main", "-p", "fail=true")
    assert result.code == 1
    assert "ValueError: bad row 7" in result.err
    assert 'File "jobs.py", line 11, in main' in result.err
    assert "wheelrun resume " in result.err
    assert "wheelrun logs " in result.err
    document = wheelrun("status", "-o", "json").json
    assert document["exit_code"] == 1
    assert list(document["error"]) == ["type", "category", "message", "traceback", "hint"]
    assert document["error"]["category"] == "user code"


def test_no_wait_writes_the_id_alone(project: Path, wheelrun: Run) -> None:
    result = wheelrun("submit", "jobs:main", "--no-wait")
    assert result.code == 0
    run_id = result.out.strip()
    assert "\n" not in run_id
    assert f"wheelrun logs -f {run_id}" in result.err
    assert wheelrun("logs", "-f", "--stream", "stdout", run_id).out == "hello 1\n"
    assert wheelrun("status", run_id, "-o", "json").json["state"] == "succeeded"


def test_a_second_submission_with_the_key_is_the_first_run(project: Path, wheelrun: Run) -> None:
    first = wheelrun("submit", "jobs:main", "--idempotency-key", "k", "-o", "json").json
    second = wheelrun("submit", "jobs:main", "--idempotency-key", "k", "-o", "json")
    assert second.json["run_id"] == first["run_id"]
    assert "before" in second.err


def test_parameters_from_a_file_give_way_to_flags(project: Path, wheelrun: Run) -> None:
    (project / "params.json").write_text(json.dumps({"n": 5, "fail": True}))
    result = wheelrun("submit", "jobs:main", "--params-file", "params.json", "-p", "fail=false")
    assert result.out == "hello 5\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["jobs:mian"], 3, "did you mean 'main'?"),
        (["jobs:main", "-p", "n=x"], 2, "'n'"),
        (["jobs:main", "-p", "n"], 2, "key=value"),
        (["jobs:main", "-t", "locl"], 3, "local"),
        (["jobs:main", "--timeout", "soon"], 2, "duration"),
        (["jobs:main", "--master", "mesos://h"], 3, "is not a Spark master"),
        (["jobs:main", "--master", "local", "--deploy-mode", "cluster"], 3, "has no cluster mode"),
        (["jobs:main", "--deploy-mode", "there"], 2, "'there' is not one of"),
        (["jobs:main", "--params-file", "none.json"], 3, "cannot be read"),
        ([], 2, "ENTRY"),
    ],
)
def test_bad_input(project: Path, wheelrun: Run, words: list[str], code: int, said: str) -> None:
    result = wheelrun("submit", *words)
    assert result.code == code
    assert said in result.err
    assert result.out == ""
    assert "Traceback" not in result.err


def test_dry_run_submits_nothing(project: Path, wheelrun: Run) -> None:
    words = ("submit", "jobs:daily", "--dry-run", "--max-parallel-steps", "2", "-e", "API_TOKEN=hush", "-e", "A=b")
    document = wheelrun(*words, "-o", "json").json
    assert list(document) == ["request", "wheel", "deployment"]
    assert document["request"]["max_parallel_steps"] == 2
    assert document["request"]["environment"] == {"API_TOKEN": "****", "A": "b"}
    assert [step["name"] for step in document["deployment"]["steps"]] == ["load", "check"]
    text = wheelrun(*words)
    assert "check  jobs:check  after load" in text.out
    assert "hush" not in text.out
    assert wheelrun("runs", "-o", "json").json == []


def test_dry_run_says_what_a_submission_would(project: Path, wheelrun: Run) -> None:
    (project / "large.py").write_text(
        "from wheelrun import Resources, step\n\n@step(resources=Resources(executors=4))\ndef large(): ...\n"
    )
    result = wheelrun("submit", "large:large", "--dry-run")
    assert result.err.count("cannot honour the resources of step 'large'; they are ignored") == 1


def test_a_master_chooses_the_orchestrator(project: Path, wheelrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    submit = project.parent / "bin" / "my-submit"
    submit.parent.mkdir()
    submit.write_text("#!/bin/sh\n")
    submit.chmod(0o755)
    (project / "wheelrun.toml").write_text(
        f'[targets.t]\norchestrator = "spark-submit"\nmaster = "yarn"\nsubmit_command = "{submit}"\n'
    )
    local = wheelrun("submit", "jobs:main", "--master", "local[2]", "--dry-run", "-o", "json").json["request"]
    assert (local["orchestrator"], local["conf"]["spark.master"]) == ("local", "local[2]")
    words = ("submit", "jobs:main", "-t", "t", "--master", "spark://h:7077", "--deploy-mode", "client", "--dry-run")
    request = wheelrun(*words, "-e", "API_TOKEN=hush", "-o", "json").json["request"]
    assert request["orchestrator"] == "spark-submit"
    assert request["argv"][:5] == [str(submit), "--master", "spark://h:7077", "--deploy-mode", "client"]
    assert request["environment"]["API_TOKEN"] == request["conf"]["spark.executorEnv.API_TOKEN"] == "****"


def test_a_failed_submission_still_has_its_document(project: Path, wheelrun: Run) -> None:
    package = project / "app"
    package.mkdir()
    (package / "__init__.py").write_text("")
    token = "ghp_" + base64.b32encode(hashlib.sha256(b"made here").digest()).decode()[:36]
    (package / "settings.py").write_text(f'TOKEN = "{token}"\n')
    result = wheelrun("submit", "jobs:main", "-o", "json")
    assert result.code == 5
    assert result.json["state"] == "failed"
    assert result.json["exit_code"] == 5
    assert result.json["error"]["category"] == "packaging"


def test_resume_and_rerun(project: Path, tmp_path: Path, wheelrun: Run) -> None:
    flag = tmp_path / "flag"
    failed = wheelrun("submit", "jobs:daily", "-p", f"flag={flag}", "-o", "json")
    assert failed.code == 1
    flag.touch()
    resumed = wheelrun("resume")
    assert resumed.code == 0
    assert resumed.out == ""  # what the first attempt wrote is not written again
    document = wheelrun("status", "-o", "json").json
    assert document["run_id"] == failed.json["run_id"]
    assert document["state"] == "succeeded"
    assert wheelrun("resume").code == 3
    rerun = wheelrun("rerun", "-o", "json").json
    assert rerun["run_id"] != document["run_id"]
    assert rerun["state"] == "succeeded"
    assert len(wheelrun("runs", "-o", "json").json) == 2


def test_ctrl_c_cancels_the_run(project: Path, wheelrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "slow.py").write_text("import time\ndef main():\n    time.sleep(60)\n")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following, "follow", interrupted)
    result = wheelrun("submit", "slow:main")
    assert result.code == 130
    assert "cancelling run" in result.err
    assert "wheelrun resume" in result.err
    monkeypatch.undo()


def test_ctrl_c_while_submitting_leaves_nothing(project: Path, wheelrun: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "build", interrupted)
    result = wheelrun("submit", "jobs:main")
    assert result.code == 130
    assert "Traceback" not in result.err
    assert wheelrun("runs", "-o", "json").json[0]["state"] == "cancelled"


def test_cancel_a_run_that_has_ended(project: Path, wheelrun: Run) -> None:
    wheelrun("submit", "jobs:main")
    result = wheelrun("cancel")
    assert result.code == 0
    assert "has ended already: succeeded" in result.err


def test_cancel(project: Path, wheelrun: Run) -> None:
    (project / "slow.py").write_text("import time\ndef main():\n    time.sleep(60)\n")
    run_id = wheelrun("submit", "slow:main", "--no-wait").out.strip()
    document = wheelrun("cancel", run_id, "-o", "json").json
    assert document["state"] == "cancelled"
    assert document["exit_code"] == 4


def test_status_and_runs_as_text(project: Path, wheelrun: Run) -> None:
    assert "no runs yet" in wheelrun("runs").err
    wheelrun("submit", "jobs:daily", "-p", "flag=/nowhere/at/all")
    status = wheelrun("status").out
    assert "ValueError: no flag" in status
    assert "check" in status
    assert "wheelrun resume" in status
    runs = wheelrun("runs").out.splitlines()
    assert runs[0].split() == ["STATE", "RUN", "NAME", "TARGET", "SUBMITTED", "TIME", "PROJECT"]
    assert "failed" in runs[1]
    assert "steps" not in wheelrun("runs", "-o", "json").json[0]
    assert wheelrun("runs", "--state", "succeeded", "-o", "json").json == []
    assert wheelrun("status", "nothing").code == 3


def test_logs_of_a_step(project: Path, wheelrun: Run) -> None:
    wheelrun("submit", "jobs:daily", "-p", "n=4")
    assert wheelrun("logs", "--step", "load").out == "loading 4\n"
    assert wheelrun("logs", "--step", "check").out == ""
    result = wheelrun("logs", "--step", "laod")
    assert result.code == 2
    assert "did you mean 'load'?" in result.err


def test_a_connect_server_is_named_without_its_token(project: Path, wheelrun: Run) -> None:
    words = ("submit", "jobs:main", "--dry-run", "-o", "json", "--remote", "sc://h:7/;token=S3CR3T")
    result = wheelrun(*words)
    assert "S3CR3T" not in result.out + result.err
    request = result.json["request"]
    assert (request["orchestrator"], request["remote"]) == ("spark-connect", "sc://h:7")
    assert wheelrun(*words, "-t", "local").code == 3
    result = wheelrun("submit", "jobs:main", "--remote", "h:7/;token=S3CR3T")
    assert result.code == 3
    assert "sc://host:port" in result.err
    assert "S3CR3T" not in result.out + result.err
