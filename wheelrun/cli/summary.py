"""The end of a run in a few lines, and what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wheelrun.cli import words
from wheelrun.cli.console import INDENT, indented, say
from wheelrun.states import RunState, StepStatus

if TYPE_CHECKING:
    from wheelrun.client import RunRecord

_FAILED_STEPS = 3  # so many are told in full


def summarize(record: RunRecord) -> None:
    """Write how a run ended to standard error."""
    look = words.LOOKS[record.state]
    time = words.duration(words.elapsed(record, record.ended_at or 0.0)) if record.ended_at else ""
    say(
        click.style(f"{words.symbol(record.state)} run {record.id} {record.state}", fg=look.colour, bold=True)
        + (f" in {time}" if time else "")
        + (f" ({words.many(len(record.steps), 'step')}: {words.tally(record.steps)})" if len(record.steps) > 1 else "")
    )
    if record.state.is_success:
        return
    failed = [step for step in record.steps if step.state is RunState.FAILED]
    for step in failed[:_FAILED_STEPS]:
        _failed_step(step)
    if len(failed) > _FAILED_STEPS:
        say(f"{INDENT}… and {words.many(len(failed) - _FAILED_STEPS, 'more failed step')}")
    if record.state is RunState.FAILED and record.error is not None and not _told(record, failed):
        say(indented(words.problem(record)))
        if record.error.traceback:
            say(indented(record.error.traceback, INDENT * 2))
        if record.error.hint:
            say(click.style("hint: ", fg="cyan") + record.error.hint)
    for command in commands(record, failed[0].name if failed and len(record.steps) > 1 else None):
        say(command)


def commands(record: RunRecord, step: str | None) -> list[str]:
    """Return what to type next, each with what it does."""
    log = f"wheelrun logs {record.id}" + (f" --step {step}" if step else "")
    lines = [(log, "all that it wrote")] if record.started_at is not None else []
    if record.state.is_terminal and not record.state.is_success:
        lines.append((f"wheelrun resume {record.id}", "take it up again; what succeeded is kept"))
    width = max((len(command) for command, _ in lines), default=0)
    return [f"{INDENT}{command.ljust(width)}  # {text}" for command, text in lines]


def _failed_step(step: StepStatus) -> None:
    attempts = f" after {step.attempts} attempts" if step.attempts > 1 else ""
    say(f"{INDENT}step {click.style(step.name, bold=True)} failed{attempts}: {words.first_line(words.problem(step))}")
    if step.error is None:
        return
    if step.error.traceback:
        say(indented(step.error.traceback, INDENT * 2))
    if step.error.hint:
        say(INDENT + click.style("hint: ", fg="cyan") + step.error.hint)


def _told(record: RunRecord, failed: list[StepStatus]) -> bool:
    """Whether the run's own error says no more than a failed step's."""
    error = record.error
    return error is not None and any(
        step.error is not None
        and (step.error.message in error.message or step.name in error.message or step.error == error)
        for step in failed
    )
