"""Events: written line by line, read once, folded into a status."""

from __future__ import annotations

import itertools

from wheelrun.runtime.events import EventLog, EventReader, fold, parse
from wheelrun.states import ErrorInfo, RunState

ERROR = ErrorInfo(category="user code", type="ValueError", message="no")


def written(tmp_path, *events):
    ticks = itertools.count(100)
    log = EventLog(tmp_path / "run" / "events.jsonl", clock=lambda: float(next(ticks)))
    for kind, fields in events:
        log.emit(kind, **fields)
    log.close()
    return EventReader(tmp_path / "run" / "events.jsonl")


def test_a_run_from_start_to_end(tmp_path):
    reader = written(
        tmp_path,
        ("run", {"state": RunState.RUNNING}),
        ("step", {"step": "a", "state": RunState.RUNNING, "attempt": 1}),
        ("application", {"step": "a", "id": "local-1"}),
        ("step", {"step": "a", "state": RunState.SUCCEEDED, "attempt": 1, "outputs": [{"name": "result"}]}),
        ("step", {"step": "b", "state": RunState.SKIPPED, "reason": "because"}),
        ("run", {"state": RunState.SUCCEEDED}),
    )
    status = fold(["a", "b"], reader.read())
    a, b = status.steps
    assert status.state is RunState.SUCCEEDED
    assert (status.started_at, status.ended_at) == (100.0, 105.0)
    assert (a.state, a.attempts, a.seconds, a.application_id) == (RunState.SUCCEEDED, 1, 2.0, "local-1")
    assert a.outputs == ({"name": "result"},)
    assert (b.state, b.attempts, b.reason, b.seconds) == (RunState.SKIPPED, 0, "because", None)
    assert reader.read() == []


def test_a_retried_attempt_is_queued_and_then_runs_again(tmp_path):
    events = [
        ("step", {"step": "a", "state": RunState.RUNNING, "attempt": 1}),
        ("step", {"step": "a", "state": RunState.FAILED, "attempt": 1, "error": ERROR, "retry_in": 0.0}),
        ("step", {"step": "a", "state": RunState.RUNNING, "attempt": 2}),
        ("step", {"step": "a", "state": RunState.FAILED, "attempt": 2, "error": ERROR}),
    ]
    all_events = written(tmp_path, *events).read()
    between = fold(["a"], all_events[:2]).steps[0]
    assert (between.state, between.attempts, between.error, between.ended_at) == (RunState.QUEUED, 1, ERROR, None)
    last = fold(["a"], all_events).steps[0]
    assert (last.state, last.attempts, last.seconds) == (RunState.FAILED, 2, 3.0)


def test_resume_forgets_the_steps_that_run_again_and_keeps_the_others(tmp_path):
    events = written(
        tmp_path,
        ("step", {"step": "a", "state": RunState.SUCCEEDED, "attempt": 1}),
        ("step", {"step": "b", "state": RunState.FAILED, "attempt": 3, "error": ERROR}),
        ("run", {"state": RunState.FAILED, "error": ERROR}),
        ("resume", {"steps": ["b"]}),
    ).read()
    status = fold(["a", "b"], events)
    assert status.state is RunState.QUEUED
    assert status.error is None
    assert [step.state for step in status.steps] == [RunState.SUCCEEDED, RunState.QUEUED]
    assert status.steps[1].attempts == 0


def test_a_line_that_is_being_written_waits(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"time": 1, "event": "run", "state": "running"}\n{"time": 2, "ev')
    reader = EventReader(path)
    assert len(reader.read()) == 1
    with path.open("ab") as stream:
        stream.write(b'ent": "run", "state": "succeeded"}\n')
    assert reader.read()[0]["state"] == "succeeded"


def test_damaged_lines_are_passed_over():
    assert parse(b'\x00\x00\n{"event": "x"}\n[1]\n{"a": 1}\n') == [{"event": "x"}]


def test_no_file_is_no_events(tmp_path):
    assert EventReader(tmp_path / "none").read() == []
    assert fold(["a"], []).state is RunState.QUEUED


def test_text_that_is_no_unicode_is_written_all_the_same(tmp_path):
    events = written(tmp_path, ("warning", {"message": "a\ud800b"})).read()
    assert events[0]["message"] == "a\ud800b"
