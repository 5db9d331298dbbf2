"""SIGKILL at each stage of a submission: the run is told truthfully afterwards, and can be taken up.

The stage is reached for sure: a child process submits, and stops itself at the stage it was told, where it is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from waiting import until

from wheelrun.client import Client
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.states import RunState as S

JOBS = """
    import os, time
    from pathlib import Path
    from wheelrun import pipeline, step

    @step
    def first(): return "first"

    @step
    def second(given, gate: Path):
        print("in second", flush=True)
        while not gate.exists(): time.sleep(0.02)
        return [given, "second"]

    @pipeline
    def chain(gate: Path): return second(first(), gate)
    """

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
    Client().submit("jobs:chain", {"gate": sys.argv[4]})
    """

STAGES = {
    "before the record": ("wheelrun.store", "RunStore.create", "before"),
    "after the record": ("wheelrun.store", "RunStore.create", "after"),
    "before the deployment is kept": ("wheelrun.store", "RunStore.save_deployment", "before"),
    "before packaging": ("wheelrun.client.client", "Client._package", "before"),
    "after packaging": ("wheelrun.client.client", "Client._package", "after"),
    "while shipping": ("wheelrun.orchestrators.wheeled", "WheeledOrchestrator.ship", "before"),
    "after shipping": ("wheelrun.orchestrators.wheeled", "WheeledOrchestrator.ship", "after"),
    "before the start": ("wheelrun.orchestrators.process", "spawn", "before"),
    "after the start": ("wheelrun.orchestrators.process", "spawn", "after"),
}
GOES_ON = {"after the start"}
NEVER_RECORDED = {"before the record"}
NOT_COMPILED = {"after the record", "before the deployment is kept"}


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "jobs.py").write_text(textwrap.dedent(JOBS).lstrip())
    (folder / "pyproject.toml").write_text('[project]\nname = "killed"\nversion = "1"\n')
    return folder


def killed_at(stage, project, gate, environ):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUBMIT), *STAGES[stage], str(gate)], cwd=project, env=environ
    )
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), f"it never came to the stage {stage!r}"
    process.returncode = -signal.SIGKILL
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_submission_is_told_and_taken_up(stage, project, tmp_path, environ):
    gate = tmp_path / "gate"
    killed_at(stage, project, gate, environ)
    client = Client(project, cwd=project)
    runs = client.runs()
    if stage in NEVER_RECORDED:
        assert runs == []
        return
    (run,) = runs
    if stage in GOES_ON:
        gate.touch()
        assert run.result(timeout=60) == ["first", "second"]
        return
    assert run.status().state is S.FAILED
    assert "interrupted" in run.record.error.message
    assert run.record.exit_code == 6
    gate.touch()
    if stage in NOT_COMPILED:
        from wheelrun.errors import StoreError

        with pytest.raises(StoreError, match="interrupted before it was compiled"):
            client.resume(run.id)
        return
    resumed = client.resume(run.id)
    assert resumed.result(timeout=60) == ["first", "second"]
    assert resumed.id == run.id


def test_a_killed_supervisor_is_found_out_and_its_worker_ends(project, tmp_path, environ):
    gate = tmp_path / "gate"
    client = Client(project, cwd=project)
    run = client.submit("jobs:chain", {"gate": str(gate)})
    until(lambda: run.status().steps[1].state is S.RUNNING)
    supervisor = run.record.metadata["pid"]
    os.kill(supervisor, signal.SIGKILL)
    record = until(lambda: run.status() if run.status().state.is_terminal else None)
    assert record.state is S.FAILED
    assert "ended without a word" in record.error.message
    assert [step.state for step in record.steps] == [S.SUCCEEDED, S.FAILED]
    from wheelrun.runtime import processes

    until(lambda: not processes.of_session(supervisor))
    gate.touch()
    first = record.steps[0]
    resumed = client.resume(run.id)
    assert resumed.result(timeout=60) == ["first", "second"]
    assert resumed.record.steps[0] == first


def test_a_killed_worker_fails_the_step_and_nothing_else(project, tmp_path):
    run = Client(project, cwd=project).submit("jobs:chain", {"gate": str(tmp_path / "gate")})
    until(lambda: run.status().steps[1].state is S.RUNNING)
    from wheelrun.runtime import processes

    supervisor = run.record.metadata["pid"]
    (worker,) = processes.of_session(supervisor, without={supervisor})
    os.kill(worker, signal.SIGKILL)
    record = run.wait(timeout=60)
    assert [step.state for step in record.steps] == [S.SUCCEEDED, S.FAILED]
    assert "killed by SIGKILL" in record.error.message


def test_the_run_goes_on_when_the_submitting_process_is_killed(project, tmp_path, environ):
    gate = tmp_path / "gate"
    code = "import sys; from wheelrun.client import Client; Client().submit('jobs:chain', {'gate': sys.argv[1]}).wait()"
    process = subprocess.Popen([sys.executable, "-c", code, str(gate)], cwd=project, env=environ)
    client = Client(project, cwd=project)
    (run,) = until(client.runs)
    until(lambda: run.status().steps[1].state is S.RUNNING)
    process.kill()
    process.wait()
    gate.touch()
    assert run.result(timeout=60) == ["first", "second"]


def test_a_machine_that_went_down_in_a_line_of_the_events(project, tmp_path):
    gate = tmp_path / "gate"
    client = Client(project, cwd=project)
    run = client.submit("jobs:chain", {"gate": str(gate)})
    until(lambda: run.status().steps[1].state is S.RUNNING)
    os.kill(run.record.metadata["pid"], signal.SIGKILL)
    events = ArtifactRoot(client_root(run)).run(run.id).events
    with events.open("ab") as stream:
        stream.write(b'{"time": 1, "event": "step", "ste')
    assert until(lambda: run.status() if run.status().state.is_terminal else None).state is S.FAILED
    gate.touch()
    assert client.resume(run.id).result(timeout=60) == ["first", "second"]


def client_root(run):
    from pathlib import Path

    return Path(run.record.artifact_root)
