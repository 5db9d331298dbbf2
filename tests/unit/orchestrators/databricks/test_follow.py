"""What of the service's own output is among a run's logs."""

from __future__ import annotations

import json

import pytest

from wheelrun.orchestrators.databricks.follow import LogReader
from wheelrun.orchestrators.databricks.state import NativeRun
from wheelrun.orchestrators.roots import NAMES, Root
from wheelrun.runtime.parts import EVENTS, Part

TRACE = "Traceback (most recent call last):\n  somewhere\nOSError: no wheel\n"
BEGUN = [
    {"time": 1.0, "event": "task", "start": 1, "service_task": "5"},
    {"time": 1.1, "event": "step", "step": "a", "state": "running", "attempt": 1},
]
FAILED = [*BEGUN, {"time": 1.2, "event": "step", "step": "a", "state": "failed", "attempt": 1}]
BEFORE = [{**BEGUN[0], "service_task": "4"}, *FAILED[1:]]


def logs(folder, events):
    """The logs of a task that failed and wrote nothing, but told these events."""
    data = "".join(f"{json.dumps(event)}\n" for event in events).encode()
    path = folder / NAMES.run("run").task("a")
    path.mkdir(parents=True)
    if events:
        (path / Part(1, EVENTS, 0, len(data)).name).write_bytes(data)
    state = {"life_cycle_state": "TERMINATED", "result_state": "FAILED"}
    native = NativeRun.of({"run_id": 9, "state": state}, [{"task_key": "a", "run_id": 5, "state": state}])
    said = {"logs": f"pip says\n{TRACE}", "error_trace": TRACE, "error": "OSError: no wheel"}
    reader = LogReader(Root.open(str(folder)), "run", lambda: native, lambda task: said)
    return [line.text for line in reader.tasks(["a"], None, follow=False)]


def test_what_its_step_told_is_not_told_by_the_service_again(tmp_path):
    assert logs(tmp_path, FAILED) == []


@pytest.mark.parametrize("events", [[], BEGUN, BEFORE, BEFORE + BEGUN])
def test_a_process_that_could_not_tell_is_told_by_the_service_once(tmp_path, events):
    assert logs(tmp_path, events) == ["pip says", *TRACE.splitlines()]
