"""`wheelrun status`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelrun.cli import words
from wheelrun.cli.console import indented, out, out_json, out_table
from wheelrun.cli.options import Verb, client_of, options, output_option, project_option, run_argument

if TYPE_CHECKING:
    from wheelrun.client import RunRecord
    from wheelrun.states import StepStatus


@click.command("status", cls=Verb, short_help="Show where a run is.")
@options(run_argument, project_option(), output_option)
def command(run: str, project: Path | None, output: str) -> None:
    """Show where RUN is: its state, its steps, its error. RUN is an id, the start or the end of one, or "last"."""
    record = client_of(project).run(run).status()
    if output == "json":
        from wheelrun.cli.documents import run_document

        out_json(run_document(record))
        return
    now = time.time()
    _head(record, now)
    if record.steps:
        out()
        rows = [_row(step, now) for step in record.steps]
        styles = [words.LOOKS[step.state].colour for step in record.steps]
        out_table(("STATE", "STEP", "ATTEMPTS", "TIME", "REMARK"), rows, styles)
    _errors(record)
    from wheelrun.cli.summary import commands

    lines = commands(record, None)
    if lines and not record.state.is_success:
        out()
        for line in lines:
            out(line)


def _head(record: RunRecord, now: float) -> None:
    from wheelrun.cli.documents import instant

    look = words.LOOKS[record.state]
    state = click.style(f"{words.symbol(record.state)} {record.state}", fg=look.colour, bold=True)
    facts = [
        ("run", record.id),
        ("state", f"{state}: {record.reason}" if record.reason else state),
        ("entry", record.entry),
        ("name", record.name),
        ("target", f"{record.target} ({record.orchestrator})"),
        ("project", record.project),
        ("wheel", f"{record.wheel['name']} {record.wheel['version']}" if record.wheel else ""),
        ("params", ", ".join(f"{name}={value}" for name, value in record.params.items())),
        ("argv", " ".join(record.argv)),
        ("submitted", instant(record.created_at) or ""),
        ("time", words.duration(words.elapsed(record, now))),
        ("repeats", record.rerun_of or ""),
        ("page", record.url or ""),
    ]
    for name, value in facts:
        if value:
            out(f"{name.ljust(10)} {value}")


def _row(step: StepStatus, now: float) -> tuple[str, ...]:
    return (
        f"{words.symbol(step.state)} {step.state}",
        step.name,
        str(step.attempts or ""),
        words.duration(words.elapsed(step, now)) if step.attempts else "",
        words.first_line(words.problem(step) or step.reason or words.outputs(step)),
    )


def _errors(record: RunRecord) -> None:
    if record.state.is_success or record.error is None:
        return
    told = [step for step in record.steps if step.error is not None and step.error.traceback]
    for step in told:
        assert step.error is not None
        out()
        out(f"{step.name}:")
        out(indented(step.error.traceback))
    if not told:
        out()
        out(f"error: {words.problem(record)}")
        if record.error.traceback:
            out(indented(record.error.traceback))
    if record.error.hint:
        out(f"hint: {record.error.hint}")
