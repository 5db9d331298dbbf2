"""The group of verbs, each loaded when it is named, and the one place where errors become messages and exit codes.

0    done; for a run that was waited for: it succeeded
1    the run failed in the user's code; for `cluster status` and `emulator status`: it is not up, or not all of it
2    the command line cannot be understood
3    configuration, project, machine or store are not fit
4    the run was cancelled
5    the wheel could not be made
6    the target refused, did not answer, or lost the run
70   a defect in wheelrun
124  the run or a step took longer than it may
130  Ctrl-C
141  the reader of the output went away
143  SIGTERM (129: SIGHUP)
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

import click
from click.shell_completion import CompletionItem

from wheelrun._version import __version__
from wheelrun.cli import INTERRUPTED
from wheelrun.cli.console import complain, say
from wheelrun.errors import ConfigurationError, WheelrunError, nearest

INTERNAL_ERROR = 70
COMPLETE_VARIABLE = "_WHEELRUN_COMPLETE"

VERBS: Mapping[str, str] = {
    "init": "Write a new project from a template.",
    "build": "Build the project's wheel.",
    "submit": "Run a function, pipeline, module or file on a target.",
    "runs": "List runs, the newest first.",
    "status": "Show where a run is.",
    "logs": "Show what a run wrote.",
    "cancel": "End a run.",
    "resume": "Take up a run that failed or was cancelled.",
    "rerun": "Run a run's wheel and parameters again.",
    "schedule": "Run an entry on a schedule; list, pause and remove schedules.",
    "targets": "List the configured targets.",
    "cluster": "Start, show and end a Spark cluster on this machine.",
    "emulator": "Start, show and end a Databricks emulator on this machine.",
    "doctor": "Check this machine, the project and its targets.",
    "cache": "Show and prune the cache of built wheels.",
    "completion": "Print the completion script for a shell.",
}
"""The verbs and their one-line helps. The verb NAME is `command` in `wheelrun.cli.NAME`."""

_MACHINE_ERRORS: Mapping[int, str] = {
    errno.ENOSPC: "Make room on that disk, or name another place: TMPDIR, WHEELRUN_HOME or WHEELRUN_CACHE_DIR.",
    errno.EDQUOT: "Make room, or name another place: TMPDIR, WHEELRUN_HOME or WHEELRUN_CACHE_DIR.",
    errno.EROFS: "Name a place that can be written: TMPDIR, WHEELRUN_HOME or WHEELRUN_CACHE_DIR.",
    errno.EACCES: "Make it accessible, or name another place: TMPDIR, WHEELRUN_HOME or WHEELRUN_CACHE_DIR.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n).",
}


class Verbs(click.Group):
    """A group whose commands load when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs, in the order of a first day's work."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a verb."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command = importlib.import_module(f"wheelrun.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, and name the nearest one if there is none."""
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            near = nearest(name, VERBS)
            ctx.fail(f"There is no command {name!r}." + (f" Did you mean {near!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a verb without loading any."""
        verbs = [CompletionItem(name, help=text) for name, text in VERBS.items() if name.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
@click.version_option(__version__, "--version", message="wheelrun %(version)s")
def cli() -> None:
    """Get the Python repository in front of you onto a Spark cluster.

    A repository becomes a wheel, a wheel becomes a deployment, a deployment becomes a run.
    """


def run(words: Sequence[str]) -> int:
    """Run one command line; return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # names of files that are not in the terminal's encoding do not end us
            stream.reconfigure(errors="backslashreplace")
    if COMPLETE_VARIABLE in os.environ:
        return _complete()
    debug = "--debug" in (words[: words.index("--")] if "--" in words else words)
    try:
        with _asked_to_end(), cli.make_context("wheelrun", list(words)) as context:
            result = cli.invoke(context)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return INTERRUPTED
    except _Ended as ended:
        say(f"ended by {ended.signal.name}")
        return 128 + ended.signal
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the top: everything becomes a message and an exit code here
        return _failed(error, debug=debug)


class _Ended(BaseException):
    """Somebody asked this process to end."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)


@contextlib.contextmanager
def _asked_to_end() -> Iterator[None]:
    """Let a signal that ends the process end it in order: temporary folders and processes go with it.

    A signal that is ignored, as `nohup` has it, stays ignored.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        raise _Ended(number)

    mine = threading.current_thread() is threading.main_thread()
    caught = [each for each in (signal.SIGTERM, signal.SIGHUP) if mine and signal.getsignal(each) is signal.SIG_DFL]
    for each in caught:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in caught:
            signal.signal(each, signal.SIG_DFL)


def _failed(error: Exception, *, debug: bool) -> int:
    if debug:
        import traceback

        say(traceback.format_exc().rstrip())
    if isinstance(error, NotImplementedError):
        error = ConfigurationError(f"not available on this target: {error}")
    elif isinstance(error, FileNotFoundError) and "temporary directory" in str(error.strerror):  # so says tempfile
        error = ConfigurationError(str(error.strerror), hint="Make room in one of them, or name another with TMPDIR.")
    elif isinstance(error, OSError) and error.errno is not None and error.errno in _MACHINE_ERRORS:
        where = f"{error.filename}: " if error.filename else ""
        error = ConfigurationError(f"{where}{error.strerror}", hint=_MACHINE_ERRORS[error.errno])
    if isinstance(error, WheelrunError):
        complain(error)
        return error.exit_code
    text = f"internal error: {type(error).__name__}: {error}".rstrip(": ")
    say(text if debug else f"{text}; run it again with --debug for the traceback")
    return INTERNAL_ERROR


def _complete() -> int:
    from click.shell_completion import shell_complete

    arguments: dict[str, Any] = {}
    return shell_complete(cli, arguments, "wheelrun", COMPLETE_VARIABLE, os.environ[COMPLETE_VARIABLE])
