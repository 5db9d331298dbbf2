"""`wheelrun schedule`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelrun.cli.console import out, out_json, out_table
from wheelrun.cli.options import (
    DURATION,
    KeyValue,
    Verb,
    allow_secret_option,
    client_of,
    conf_option,
    env_option,
    options,
    output_option,
    pairs,
    project_option,
    target_option,
)

if TYPE_CHECKING:
    from wheelrun.orchestrators.schedules import Scheduled


@click.group("schedule", short_help="Run an entry on a schedule; list, pause and remove schedules.")
def command() -> None:
    """Run an entry on a schedule that its target keeps, and list, pause, resume and remove schedules."""


@command.command("set", cls=Verb)
@click.argument("entry")
@options(
    target_option,
    click.option(
        "--cron",
        required=True,
        metavar="'M H D M W'",
        help="The five fields of cron: minute, hour, day of the month, month, day of the week.",
    ),
    click.option("--timezone", default="UTC", metavar="ZONE", help="The time zone, as Europe/Berlin; by default UTC."),
    click.option("--paused", is_flag=True, help="Keep it, but do not follow it yet."),
    click.option("--now", is_flag=True, help="Run it once at once, too; otherwise nothing runs before its time."),
    click.option("-p", "--param", "params", type=KeyValue(), multiple=True, metavar="K=V", help="A parameter."),
    click.option(
        "--params-file", type=click.Path(path_type=Path), metavar="FILE", help="Parameters from a file; -p wins."
    ),
    env_option,
    conf_option,
    click.option("--name", metavar="TEXT", help="Another name for it."),
    click.option("--timeout", type=DURATION, metavar="DURATION", help="The longest that a run may take: 90s, 1h30m."),
    allow_secret_option,
    project_option(),
    output_option,
)
def set_(
    *,
    entry: str,
    target: str | None,
    cron: str,
    timezone: str,
    paused: bool,
    now: bool,
    params: tuple[tuple[str, str], ...],
    params_file: Path | None,
    env: tuple[tuple[str, str], ...],
    conf: tuple[tuple[str, str], ...],
    name: str | None,
    timeout: float | None,
    allow_secrets: tuple[str, ...],
    project: Path | None,
    output: str,
) -> None:
    """Run ENTRY on a schedule, as it is now; it takes the place of the schedule that it had."""
    from wheelrun.cli.params import read_params
    from wheelrun.client.scheduling import set_schedule
    from wheelrun.orchestrators.schedules import Cron, Schedule

    schedule = Schedule(cron=Cron.parse(cron), timezone=timezone, paused=paused)
    values = {**(read_params(params_file) if params_file else {}), **pairs(params)}
    found = set_schedule(
        client_of(project),
        entry,
        schedule,
        values,
        target=target,
        env=pairs(env),
        conf=pairs(conf),
        name=name,
        timeout=timeout,
        allow_secrets=allow_secrets,
        now=now,
    )
    _tell(found, "set", output)


@command.command("list", cls=Verb)
@options(target_option, project_option(), output_option)
def list_(*, target: str | None, project: Path | None, output: str) -> None:
    """List the schedules of a target."""
    from wheelrun.client.scheduling import scheduler_of

    found = scheduler_of(client_of(project), target).all()
    if output == "json":
        out_json([asdict(each) for each in found])
        return
    rows = [
        (each.name, each.id, each.when, each.timezone, "paused" if each.paused else "", each.url or "")
        for each in found
    ]
    out_table(("NAME", "ID", "WHEN", "TIME ZONE", "", "PAGE"), rows)


@command.command("pause", cls=Verb)
@click.argument("name")
@options(target_option, project_option(), output_option)
def pause(*, name: str, target: str | None, project: Path | None, output: str) -> None:
    """Stop following the schedule NAME; what runs goes on."""
    from wheelrun.client.scheduling import scheduler_of

    _tell(scheduler_of(client_of(project), target).pause(name, paused=True), "paused", output)


@command.command("resume", cls=Verb)
@click.argument("name")
@options(target_option, project_option(), output_option)
def resume(*, name: str, target: str | None, project: Path | None, output: str) -> None:
    """Go on with the schedule NAME."""
    from wheelrun.client.scheduling import scheduler_of

    _tell(scheduler_of(client_of(project), target).pause(name, paused=False), "resumed", output)


@command.command("remove", cls=Verb)
@click.argument("name")
@options(target_option, project_option(), output_option)
def remove(*, name: str, target: str | None, project: Path | None, output: str) -> None:
    """Remove the schedule NAME; what runs goes on."""
    from wheelrun.client.scheduling import scheduler_of

    _tell(scheduler_of(client_of(project), target).remove(name), "removed", output)


def _tell(found: Scheduled, done: str, output: str) -> None:
    if output == "json":
        out_json(asdict(found))
        return
    where = f", {found.url}" if found.url and done != "removed" else ""
    out(f"schedule {found.name} {done}: {found.when} ({found.timezone}){where}")
