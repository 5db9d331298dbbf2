"""`wheelrun logs`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wheelrun.cli import INTERRUPTED
from wheelrun.cli.console import say
from wheelrun.cli.options import Verb, client_of, options, project_option, run_argument
from wheelrun.errors import UsageError, nearest


@click.command("logs", cls=Verb, short_help="Show what a run wrote.")
@options(
    run_argument,
    click.option("-f", "--follow", is_flag=True, help="Go on until the run has ended."),
    click.option("--step", metavar="NAME", help="Only what was written while this step was running."),
    click.option("--stream", type=click.Choice(["stdout", "stderr"]), help="Only this stream."),
    project_option(),
)
def command(run: str, follow: bool, step: str | None, stream: str | None, project: Path | None) -> int:
    """Write what RUN wrote to standard output. RUN is an id, the start or the end of one, or "last"."""
    handle = client_of(project).run(run)
    if step is not None:
        _check_step(step, [known.name for known in handle.record.steps], handle.id)
    try:
        for line in handle.logs(step=step, stream=stream, follow=follow):
            sys.stdout.write(f"{line.text}\n")
            if follow:
                sys.stdout.flush()
    except KeyboardInterrupt:
        if follow:
            say(f"run {handle.id} goes on")
        return INTERRUPTED
    return 0


def _check_step(step: str, known: list[str], run_id: str) -> None:
    if step not in known:
        near = nearest(step, known)
        hint = f"did you mean {near!r}?" if near else f"it has {', '.join(known[:8]) or 'no steps'}"
        raise UsageError(f"run {run_id} has no step {step!r}", hint=hint)
