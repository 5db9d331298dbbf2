"""What a workspace that fails, and a client that dies, make of runs: exactly one each, with the right end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from wheelrun.client import Client
from wheelrun.states import RunState as S

AT_RANDOM = (
    ({"status": 429, "retry_after": 1}, 0.06),
    ({"status": 500}, 0.06),
    ({"status": 503}, 0.06),
    ({"status": "drop-before"}, 0.06),
    ({"status": "drop-after"}, 0.06),
)
"""What goes wrong, and with how many of all calls: together 30 %."""


@pytest.mark.slow
def test_fifty_submissions_through_failures_are_fifty_runs(project, environ, workspace):
    for fault, probability in AT_RANDOM:
        workspace.fail(path="/api/*", probability=probability, **fault)

    def submit(number):
        client = Client(project, cwd=project, environ=dict(environ))
        return client.submit("jobs:add", {"n": number}, target="there" if number % 2 else "volume")

    with ThreadPoolExecutor(10) as pool:
        runs = list(pool.map(submit, range(50)))
        results = list(pool.map(lambda run: run.result(timeout=300), runs))
    workspace.heal()
    assert results == [number + 1 for number in range(50)]
    names = Counter(run.run_name for run in workspace.runs())
    ours = {run.record.metadata["name"] for run in runs}
    assert len(ours) == 50
    assert {name: count for name, count in names.items() if name in ours} == dict.fromkeys(ours, 1)


@pytest.mark.parametrize("fault", ["drop-after", "drop-before", 500, 502, 504])
@pytest.mark.parametrize("path", ["runs/submit", "create", "run-now", "reset", "runs/repair"])
def test_a_call_whose_answer_is_lost_has_its_effect_once(client, workspace, tmp_path, path, fault):
    gate = tmp_path / "gate"
    gate.touch()
    if path == "runs/submit":
        workspace.fail(path=f"/api/2.2/jobs/{path}", status=fault, count=2)
        run = client.submit("jobs:add", target="there")
        assert run.result(timeout=120) == 2
        assert len([each for each in workspace.runs() if each.run_name == run.record.metadata["name"]]) == 1
        return
    if path == "reset":
        client.submit("jobs:chain", {"gate": str(gate)}, target="there").wait(timeout=120)
        (client.root / "jobs.py").write_text((client.root / "jobs.py").read_text() + "\n# changed\n")
    if path == "runs/repair":
        run = client.submit("jobs:chain", {"gate": str(tmp_path / "later")}, target="there")
        while run.status().steps[1].state is not S.RUNNING:
            pass
        run.cancel()
        (tmp_path / "later").touch()
        workspace.fail(path=f"/api/2.2/jobs/{path}", status=fault, count=2)
        run = client.resume(run.id)
        history = workspace.client.jobs.get_run(run.record.metadata["service_run"], include_history=True).repair_history
        assert len(history) == 2
    else:
        workspace.fail(path=f"/api/2.2/jobs/{path}", status=fault, count=2)
        run = client.submit("jobs:chain", {"gate": str(gate)}, target="there")
    assert run.result(timeout=120) == [1, "second"]
    job = run.record.metadata["job"]
    name = workspace.client.jobs.get(job).settings.name
    assert len(list(workspace.client.jobs.list(name=name))) == 1
    assert len([each for each in workspace.runs() if each.job_id == job]) == (2 if path == "reset" else 1)


def test_a_pause_that_is_asked_for_is_made(client, workspace):
    workspace.fail(path="/api/2.2/jobs/runs/submit", status=429, retry_after=2, count=1)
    import time

    began = time.monotonic()
    assert client.submit("jobs:add", target="there").result(timeout=120) == 2
    assert time.monotonic() - began > 2


# Runs a submission and stops (SIGSTOP) where the patched function is called.
SUBMIT = """
    import importlib, os, signal, sys
    module, name, when = sys.argv[1:4]
    holder = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        holder = getattr(holder, part)
    original = getattr(holder, last)

    def stop(*args, **kwargs):
        if when == "before":
            os.kill(os.getpid(), signal.SIGSTOP)
        result = original(*args, **kwargs)
        if when == "after":
            os.kill(os.getpid(), signal.SIGSTOP)
        return result

    setattr(holder, last, stop)
    from wheelrun.client import Client
    Client().submit(sys.argv[4], {"gate": sys.argv[5]} if sys.argv[5] else None, target="there")
    """
JOBS = "wheelrun.orchestrators.databricks.jobs"
STAGES = {
    "before the wheels are there": ("wheelrun.orchestrators.databricks.shipping", "Shipping.send", "before"),
    "after the wheels are there": ("wheelrun.orchestrators.databricks.shipping", "Shipping.send", "after"),
    "before runs/submit": (JOBS, "Jobs.submit", "before"),
    "after runs/submit": (JOBS, "Jobs.submit", "after"),
    "before the job is made": (JOBS, "Jobs.settle", "before"),
    "after the job is made": (JOBS, "Jobs.settle", "after"),
    "before run-now": (JOBS, "Jobs.run_now", "before"),
    "after run-now": (JOBS, "Jobs.run_now", "after"),
}
GO_ON = {"after runs/submit", "after run-now"}
PIPELINE = {"before the job is made", "after the job is made", "before run-now", "after run-now"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_submission_is_told_and_taken_up(stage, project, another, workspace, tmp_path, environ):
    gate = tmp_path / "gate"
    gate.touch()
    entry, argument, result = ("jobs:chain", str(gate), [1, "second"]) if stage in PIPELINE else ("jobs:add", "", 2)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUBMIT), *STAGES[stage], entry, argument], cwd=project, env=environ
    )
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"it never came to the stage {stage!r}"
    process.returncode = -signal.SIGKILL
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)
    (run,) = another().runs()
    if stage in GO_ON:
        assert run.result(timeout=120) == result
        return
    assert run.status().state is S.FAILED
    assert "interrupted" in run.record.error.message
    resumed = another().resume(run.id)
    assert resumed.result(timeout=120) == result
    assert resumed.id == run.id
    name = resumed.record.metadata["name"]
    job = resumed.record.metadata.get("job")
    assert len([each for each in workspace.runs() if (each.job_id == job if job else each.run_name == name)]) == 1


def test_a_workspace_that_is_killed_in_the_middle_of_a_pipeline(project, environ, monkeypatch, tmp_path):
    from databricks.sdk import WorkspaceClient

    from tests.integration.databricks.conftest import NEW, write_project

    def emulator(*words):
        command = [sys.executable, "-m", "wheelrun", "emulator", *words, "-o", "json"]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout

    import json

    standing = json.loads(emulator("up"))
    try:
        for name in ("host", "token"):
            monkeypatch.setenv(f"DATABRICKS_{name.upper()}", standing[name])
            environ[f"DATABRICKS_{name.upper()}"] = standing[name]
        cluster = (
            WorkspaceClient().clusters.create(cluster_name="x", autotermination_minutes=60, **NEW).response.cluster_id
        )
        write_project(project, {"there": {"existing_cluster_id": cluster}})
        gate = tmp_path / "gate"
        client = Client(project, cwd=project, environ=environ)
        run = client.submit("jobs:chain", {"gate": str(gate)}, target="there")
        while run.status().steps[1].state is not S.RUNNING:
            pass
        first = run.record.steps[0]
        os.kill(standing["pid"], signal.SIGKILL)
        port = standing["host"].rpartition(":")[2]
        assert json.loads(emulator("up", "--port", port))["token"] == standing["token"]
        record = run.wait(timeout=120)
        assert [step.state for step in record.steps] == [S.SUCCEEDED, S.FAILED]
        assert record.error.category == "cluster"
        gate.touch()
        resumed = client.resume(run.id)
        assert resumed.result(timeout=120) == [1, "second"]
        assert resumed.record.steps[0] == first
    finally:
        emulator("down")
