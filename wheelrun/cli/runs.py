"""`wheelrun runs`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from wheelrun.cli import words
from wheelrun.cli.console import out_json, out_table, say
from wheelrun.cli.options import Verb, client_of, options, output_option, project_option
from wheelrun.states import RunState


@click.command("runs", cls=Verb, short_help="List runs, the newest first.")
@options(
    click.option(
        "--state",
        "states",
        type=click.Choice([state.value for state in RunState]),
        multiple=True,
        help="Only runs in this state; may be given several times.",
    ),
    click.option("-n", "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."),
    click.option("--before", metavar="RUN", help="Only runs older than this one: the next page."),
    project_option("Only runs of this project; by default those of all."),
    output_option,
)
def command(states: tuple[str, ...], limit: int, before: str | None, project: Path | None, output: str) -> None:
    """List the runs that were submitted from this machine, the newest first."""
    client = client_of(project)
    found = client.runs(
        all_projects=project is None,
        states=[RunState(state) for state in states],
        limit=limit,
        before=client.run(before).id if before else None,
    )
    records = [run.record for run in found]
    if output == "json":
        from wheelrun.cli.documents import run_document

        out_json([run_document(record, steps=False) for record in records])
        return
    if not records:
        say("no runs yet; to start one: wheelrun submit ENTRY" if not (states or before) else "no such runs")
        return
    now = time.time()
    rows = [
        (
            f"{words.symbol(record.state)} {record.state}",
            record.id,
            record.name,
            record.target,
            words.ago(record.created_at, now),
            words.duration(words.elapsed(record, now)),
            Path(record.project).name,
        )
        for record in records
    ]
    styles = [words.LOOKS[record.state].colour for record in records]
    out_table(("STATE", "RUN", "NAME", "TARGET", "SUBMITTED", "TIME", "PROJECT"), rows, styles, needed=3)
