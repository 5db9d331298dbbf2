from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from wheelrun import cli
from wheelrun.cli import app
from wheelrun.cli.options import Verb
from wheelrun.errors import BuildError, WheelrunError

Run = Callable[..., Any]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Make the verb `targets` raise."""

    def prepare(error: BaseException) -> None:
        @click.command(cls=Verb)
        def command() -> None:
            raise error

        monkeypatch.setattr("wheelrun.cli.targets.command", command)

    return prepare


def test_every_verb_loads_and_has_the_help_that_the_group_shows() -> None:
    group = app.cli
    assert isinstance(group, app.Verbs)
    with click.Context(group) as context:
        for name, text in app.VERBS.items():
            command = group.get_command(context, name)
            assert command is not None
            assert command.name == name
            assert command.get_short_help_str(limit=100) == text


def test_help_lists_the_verbs(wheelrun: Run) -> None:
    result = wheelrun("--help")
    assert result.code == 0
    assert all(name in result.out for name in app.VERBS)


def test_an_unknown_verb_is_refused_with_the_nearest(wheelrun: Run) -> None:
    result = wheelrun("sbmit")
    assert result.code == 2
    assert "Did you mean 'submit'?" in result.err
    assert result.out == ""


def test_an_error_is_told_with_detail_and_hint(wheelrun: Run, raising: Callable[[BaseException], None]) -> None:
    raising(BuildError("it broke", hint="mend it", detail="first\nsecond"))
    result = wheelrun("targets")
    assert result.code == 5
    assert result.err == "error: it broke\n  first\n  second\nhint: mend it\n"
    assert result.out == ""


def test_an_error_names_the_run_that_it_left(wheelrun: Run, raising: Callable[[BaseException], None]) -> None:
    error = WheelrunError("it broke")
    error.run_id = "20260101-000000-0000000"
    raising(error)
    assert "wheelrun resume 20260101-000000-0000000" in wheelrun("targets").err


@pytest.mark.parametrize("words", [("--debug", "targets"), ("targets", "--debug")])
def test_debug_shows_the_traceback(
    wheelrun: Run, raising: Callable[[BaseException], None], words: tuple[str, ...]
) -> None:
    raising(BuildError("it broke"))
    result = wheelrun(*words)
    assert result.code == 5
    assert "Traceback" in result.err


def test_a_defect_is_one_line(wheelrun: Run, raising: Callable[[BaseException], None]) -> None:
    raising(KeyError("x"))
    result = wheelrun("targets")
    assert result.code == 70
    assert result.err == "internal error: KeyError: 'x'; run it again with --debug for the traceback\n"


def test_a_full_disk_is_not_a_defect(wheelrun: Run, raising: Callable[[BaseException], None]) -> None:
    raising(OSError(errno.ENOSPC, "No space left on device", "/some/where"))
    result = wheelrun("targets")
    assert result.code == 3
    assert result.err.startswith("error: /some/where: No space left on device\nhint: Make room")


def test_what_a_target_cannot_do_is_not_a_defect(wheelrun: Run, raising: Callable[[BaseException], None]) -> None:
    raising(NotImplementedError("X does not implement logs"))
    result = wheelrun("targets")
    assert result.code == 3
    assert "not available on this target" in result.err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_is_130_without_traceback(
    wheelrun: Run, raising: Callable[[BaseException], None], error: BaseException
) -> None:
    raising(error)
    result = wheelrun("targets")
    assert result.code == cli.INTERRUPTED == 130
    assert "Traceback" not in result.err


def test_a_reader_that_goes_away_is_quiet(project: Path) -> None:
    for number in range(3000):
        (project / f"m{number}.txt").write_text("")
    code = "import sys; from wheelrun.cli import main; sys.exit(main(['build', '--explain']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            "WHEELRUN_HOME": str(project.parent / "home"),
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "PATH": "/usr/bin:/bin",
        },
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == cli.BROKEN_PIPE
    assert "Error" not in err
    assert "Traceback" not in err
