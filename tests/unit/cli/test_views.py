from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from wheelrun.cli.views import JobOutput, PlainView, frame, shown
from wheelrun.client import LogLine, RunRecord
from wheelrun.states import ErrorInfo, RunState, StepStatus


def record(*steps: StepStatus, state: RunState = RunState.RUNNING) -> RunRecord:
    return RunRecord(
        id="20260101-000000-0000000",
        project="/p",
        name="daily",
        target="local",
        orchestrator="local",
        entry="jobs:daily",
        state=state,
        steps=steps,
        started_at=100.0,
    )


def picture(run: RunRecord, width: int, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    with console.capture() as captured:
        console.print(frame(run, 103.0, (width, height)))
    return captured.get().splitlines()


STEPS = (
    StepStatus(name="load", state=RunState.SUCCEEDED, attempts=1, started_at=100.0, ended_at=101.0),
    StepStatus(
        name="a_rather_long_name_for_a_step",
        state=RunState.FAILED,
        attempts=2,
        started_at=101.0,
        ended_at=102.5,
        error=ErrorInfo(category="user code", type="ValueError", message="bad row 7 in a file of some name"),
    ),
    StepStatus(name="report"),
)


@pytest.mark.parametrize("width", [20, 40, 46, 80, 200])
def test_the_picture_is_no_wider_than_the_terminal(width: int) -> None:
    lines = picture(record(*STEPS), width)
    assert len(lines) == 4
    assert all(len(line.rstrip()) <= width for line in lines)
    assert "failed" in lines[2] or width < 40


def test_a_wide_picture_tells_everything() -> None:
    lines = picture(record(*STEPS), 120)
    assert "running 3.0 s  daily" in lines[0]
    assert "1.0 s" in lines[1]
    assert "attempt 2; ValueError: bad row 7 in a file of some name" in lines[2]


def test_many_steps_do_not_flood() -> None:
    steps = [StepStatus(name=f"s{number}", state=RunState.SUCCEEDED, attempts=1) for number in range(1000)]
    steps[300] = replace(steps[300], state=RunState.FAILED)
    steps[301:360] = [replace(step, state=RunState.RUNNING) for step in steps[301:360]]
    lines = picture(record(*steps), 100, height=20)
    assert len(lines) <= 18
    assert any("s300" in line for line in lines)
    assert "1,000 steps: 940 succeeded, 1 failed, 59 running" in lines[-1]


def test_few_steps_are_all_shown() -> None:
    assert shown(STEPS, 10) == list(STEPS)


def test_plain_lines_tell_each_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    view = PlainView(job_to_stderr=False)
    first = record(replace(STEPS[0], state=RunState.RUNNING, ended_at=None), STEPS[2])
    view.show(first)
    view.show(first)
    view.show(record(STEPS[0], STEPS[2]))
    assert capsys.readouterr().err.splitlines() == [
        "run 20260101-000000-0000000 running",
        "  load: running",
        "  load: succeeded in 1.0 s",
    ]


LINES = [
    LogLine(stream="stdout", text="a"),
    LogLine(stream="stdout", text="b"),
    LogLine(stream="stderr", text="c"),
    LogLine(stream="stdout", text="d"),
]


def test_the_jobs_lines_keep_their_streams(capsys: pytest.CaptureFixture[str]) -> None:
    JobOutput(to_stderr=False).write(LINES)
    captured = capsys.readouterr()
    assert captured.out == "a\nb\nd\n"
    assert captured.err == "c\n"


def test_standard_output_is_kept_for_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    JobOutput(to_stderr=True).write(LINES)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "a\nb\nc\nd\n"


def test_a_reader_that_goes_away_does_not_end_the_following(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Gone())
    output = JobOutput(to_stderr=False)
    output.write(LINES)
    output.write(LINES)
    assert capsys.readouterr().err == "c\nc\n"
