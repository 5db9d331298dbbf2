"""`wheelrun cancel`."""

from __future__ import annotations

from pathlib import Path

import click

from wheelrun.cli.console import out_json, say
from wheelrun.cli.options import Verb, client_of, options, output_option, project_option, run_argument


@click.command("cancel", cls=Verb, short_help="End a run.")
@options(run_argument, project_option(), output_option)
def command(run: str, project: Path | None, output: str) -> None:
    """End RUN and everything that it started. RUN is an id, the start or the end of one, or "last"."""
    handle = client_of(project).run(run)
    record = handle.status()
    ended_before = record.state.is_terminal
    if not ended_before:
        record = handle.cancel()
    if output == "json":
        from wheelrun.cli.documents import run_document

        out_json(run_document(record))
        return
    if ended_before:
        say(f"run {record.id} has ended already: {record.state}")
        return
    say(f"run {record.id} is {record.state}; to take it up again: wheelrun resume {record.id}")
