"""Tasks of a job service, started as the service starts them: by the entry point, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from wheelrun.deployment import Deployment, StepSpec
from wheelrun.runtime.events import fold, line, parse
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.parts import EVENTS, STDOUT, parts, task_key
from wheelrun.runtime.task import (
    PIPELINE,
    PipelineTaskEntrypointConfiguration,
    StepTaskEntrypointConfiguration,
    failing_before,
    settled,
)
from wheelrun.states import RunState as S

JOBS = """
    import os, sys
    def load(): print("loading"); return {"n": 1}
    def use(given): print("got", given); return given["n"] + 1
    def fails(): print("before"); sys.stdout.flush(); raise ValueError("no luck")
    def dies(): os._exit(9)
    def env(): return os.environ["COLOUR"]
    """

STEPS = (
    StepSpec(name="load", function="jobs:load"),
    StepSpec(
        name="use it", function="jobs:use", upstream=("load",), arguments={"given": {"$output": ["load", "result"]}}
    ),
    StepSpec(name="fails", function="jobs:fails", retries=1, retry_delay=0),
    StepSpec(name="dies", function="jobs:dies"),
    StepSpec(name="env", function="jobs:env"),
)


class Service:
    """Starts tasks of one run, each with its own id."""

    def __init__(self, folder: Path, steps=STEPS, **settings):
        self.root = ArtifactRoot(folder / "root")
        self.paths = self.root.run("r")
        self.deployment = Deployment(name="x", entry="x", steps=steps, **settings)
        self.paths.deployment.parent.mkdir(parents=True)
        self.paths.deployment.write_text(self.deployment.to_json())
        (folder / "jobs.py").write_text(textwrap.dedent(JOBS))
        self.folder, self.tasks = folder, 0

    def run(self, step=None, *, start=1, service_run="77"):
        self.tasks += 1
        values = {
            "deployment_id": self.deployment.digest,
            "run_id": "r",
            "artifact_root": str(self.root.path),
            "source": "r",
            "start": str(start),
            "service_run": service_run,
            "service_task": str(self.tasks),
        }
        if step is None:
            words = PipelineTaskEntrypointConfiguration.get_entrypoint_arguments(**values)
        else:
            words = StepTaskEntrypointConfiguration.get_entrypoint_arguments(**values, task_key=task_key(step))
        code = "import sys; from wheelrun.runtime.entrypoint import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", code, *words], cwd=self.folder, capture_output=True, text=True, check=False
        )

    def told(self, step, stream=EVENTS):
        folder = self.paths.task(task_key(step))
        found = parts((path.name for path in folder.iterdir()), stream)
        assert all((folder / part.name).stat().st_size == part.bytes for part in found)
        return b"".join((folder / part.name).read_bytes() for part in found)

    def status(self, step, key=None):
        names = [spec.name for spec in self.deployment.steps]
        return {each.name: each for each in fold(names, parse(self.told(key or step))).steps}[step]


@pytest.fixture
def service(tmp_path):
    return Service(tmp_path)


def test_steps_hand_on_values_through_the_root(service):
    first = service.run("load")
    assert (first.returncode, first.stdout) == (0, "loading\n")
    assert service.run("use it").returncode == 0
    assert service.told("use it", STDOUT) == b"got {'n': 1}\n"
    assert service.status("use it").state is S.SUCCEEDED
    assert json.loads((service.paths.output("use it", "result") / "value.json").read_text()) == 2


def test_an_attempt_that_fails_is_left_to_the_service(service):
    first = service.run("fails")
    assert first.returncode == 1
    assert "TaskFailedError: step 'fails' failed: ValueError: no luck" in first.stderr
    assert service.status("fails").reason == "retried in 0 s"
    assert service.run("fails").returncode == 1
    status = service.status("fails")
    assert (status.state, status.attempts, status.error.type) == (S.FAILED, 2, "ValueError")


def test_a_process_that_dies_has_told_that_it_began(service):
    assert service.run("dies").returncode == 9
    assert service.status("dies").state is S.RUNNING


def test_another_start_begins_anew(service):
    service.run("fails")
    service.run("fails")
    service.run("fails", start=2, service_run="78")
    assert service.status("fails").attempts == 1


def test_what_succeeded_is_not_run_again(service):
    service.run("load")
    again = service.run("load", start=2)
    assert (again.returncode, again.stdout) == (0, "")


def test_a_start_belongs_to_one_run_of_the_service(service):
    service.run("load")
    late = service.run("fails", service_run="99")
    assert late.returncode == 1
    assert "was withdrawn, or belongs to another run (77)" in late.stderr


def test_a_start_that_was_withdrawn_runs_nothing(service):
    claim = service.paths.claim(1)
    claim.parent.mkdir(parents=True)
    claim.write_text("revoked")
    assert service.run("load").returncode == 1
    assert not service.paths.task("load").exists()


def test_another_deployment_than_was_meant_is_refused(service):
    service.paths.deployment.write_text(Deployment(name="y", entry="y", steps=STEPS).to_json())
    assert "is another one than was submitted" in service.run("load").stderr


def test_all_steps_in_one_task(tmp_path):
    service = Service(tmp_path, STEPS[:3], environment={"COLOUR": "red"})
    ended = service.run()
    assert ended.returncode == 1
    status = fold([spec.name for spec in STEPS[:3]], parse(service.told(PIPELINE)))
    assert [step.state for step in status.steps] == [S.SUCCEEDED, S.SUCCEEDED, S.FAILED]
    assert status.state is S.FAILED
    assert status.steps[2].attempts == 2


def test_the_runs_variables_are_set(tmp_path):
    service = Service(tmp_path, STEPS[4:], environment={"COLOUR": "red"})
    service.run("env")
    assert json.loads((service.paths.output("env", "result") / "value.json").read_text()) == "red"


CHAIN = Deployment(
    name="x",
    entry="x",
    steps=(
        StepSpec(name="a", function="m:f"),
        StepSpec(name="b", function="m:f", upstream=("a",)),
        StepSpec(name="c", function="m:f", upstream=("b",), run_if="one_failed"),
        StepSpec(name="d", function="m:f", upstream=("c",), run_if="always"),
    ),
)


def ends(name, state):
    return parse(line("step", 1.0, {"step": name, "state": state}))


@pytest.mark.parametrize(
    ("events", "states"),
    [
        ([*ends("a", S.SUCCEEDED), *ends("b", S.SUCCEEDED)], ["succeeded", "succeeded", "skipped"]),
        (ends("a", S.FAILED), ["failed", "skipped", "failed"]),
        ([*ends("a", S.SUCCEEDED), *ends("b", S.RUNNING)], ["succeeded", "failed", "failed"]),
        ([], ["failed", "skipped", "failed"]),
    ],
)
def test_steps_that_told_no_end_have_one(events, states):
    names = ["a", "b", "c"]
    assert [step.state.value for step in fold(names, settled(CHAIN, names, events)).steps] == states


def test_failures_reach_through_steps_that_were_kept_from_running():
    assert set(failing_before(CHAIN, "b")) == {"a", "b"}
    assert set(failing_before(CHAIN, "c")) == {"c"}
