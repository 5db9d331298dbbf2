"""A run's folder as its client sees it."""

from __future__ import annotations

import json

import pytest

from wheelrun.deployment import Deployment, StepSpec
from wheelrun.orchestrators.remote_run import REVOKED, RemoteRun, ended
from wheelrun.orchestrators.roots import Root
from wheelrun.runtime.events import EventLog
from wheelrun.states import ErrorInfo, RunStatus, StepStatus
from wheelrun.states import RunState as S


@pytest.fixture
def run(tmp_path):
    run = RemoteRun(Root.open(str(tmp_path)), "r1")
    deployment = Deployment(name="d", entry="m:d", steps=tuple(StepSpec(name=n, function=f"m:{n}") for n in "ab"))
    run.root.write(run.names.deployment.as_posix(), deployment.to_json().encode())
    return run


@pytest.fixture
def log(run, tmp_path):
    log = EventLog(tmp_path / run.names.events)
    yield log
    log.close()


def test_a_run_of_which_nothing_is_there_is_queued(tmp_path):
    assert RemoteRun(Root.open(str(tmp_path)), "r1").status().state is S.QUEUED


def test_events_are_read_as_they_grow(run, log):
    log.emit("run", state=S.RUNNING)
    assert run.status().state is S.RUNNING
    log.emit("step", step="a", state=S.SUCCEEDED, attempt=1)
    assert [step.state for step in run.status().steps] == [S.SUCCEEDED, S.QUEUED]


def test_half_a_line_waits_for_its_other_half(run, log, tmp_path):
    log.emit("run", state=S.RUNNING)
    path = tmp_path / run.names.events
    with path.open("ab") as stream:
        stream.write(b'{"time": 1, "event": "run", ')
    assert len(run.events()) == 1
    with path.open("ab") as stream:
        stream.write(b'"state": "failed"}\n')
    assert run.status().state is S.FAILED


def test_a_driver_is_found_by_its_start(run, log):
    log.emit("driver", start=1, id="d1")
    log.emit("driver", start=2, id="d2")
    assert run.driver(2)["id"] == "d2"
    assert run.driver(3) is None


def test_a_run_that_is_reopened_keeps_what_it_said(run, log):
    log.emit("step", step="a", state=S.SUCCEEDED, attempt=1)
    log.emit("run", state=S.FAILED)
    run.reopen(["b"])
    fresh = RemoteRun(run.root, run.id)
    assert fresh.status().state is S.QUEUED
    assert [step.state for step in fresh.status().steps] == [S.SUCCEEDED, S.QUEUED]


def test_a_start_that_nobody_has_can_be_revoked_and_stays_so(run):
    assert run.revoke(1)
    assert run.revoke(1)
    assert run.root.read(run.names.claim(1).as_posix()).decode() == REVOKED


def test_a_start_that_a_driver_has_cannot_be_revoked(run):
    run.root.write(run.names.claim(1).as_posix(), b"driver-1")
    assert not run.revoke(1)


def test_silence(run):
    assert run.silence() is None
    run.root.write(run.names.heartbeat.as_posix(), b"100.0")
    assert run.silence(now=130.0) == 30.0
    assert run.silence(now=90.0) == 0.0  # another clock


def test_an_end_that_the_run_did_not_tell_itself():
    steps = (StepStatus(name="a", state=S.SUCCEEDED), StepStatus(name="b", state=S.RUNNING), StepStatus(name="c"))
    error = ErrorInfo(category="cluster", message="gone")
    found = ended(RunStatus(state=S.RUNNING, steps=steps), S.FAILED, error, now=5.0)
    assert [step.state for step in found.steps] == [S.SUCCEEDED, S.FAILED, S.SKIPPED]
    assert (found.state, found.error, found.ended_at) == (S.FAILED, error, 5.0)
    assert json.dumps([step.reason for step in found.steps]) == '[null, null, "gone"]'
