"""`wheelrun build`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelrun.cli import words
from wheelrun.cli.console import INDENT, out, out_json, say, warn
from wheelrun.cli.options import Verb, allow_secret_option, options, output_option, project_option

if TYPE_CHECKING:
    from wheelrun.client import BuildResult


@click.command("build", cls=Verb, short_help="Build the project's wheel.")
@options(
    click.option("--explain", is_flag=True, help="List what ships, and what does not with the rule that left it out."),
    allow_secret_option,
    project_option(),
    output_option,
)
def command(explain: bool, allow_secrets: tuple[str, ...], project: Path | None, output: str) -> None:
    """Build the project's wheel, or take it from the cache if nothing has changed. Writes the wheel's path."""
    from wheelrun.cli.documents import build_document
    from wheelrun.client.building import Workspace  # not the client, which loads what only a submission needs

    built = Workspace(project).build(allow_secrets=allow_secrets)
    for text in dict.fromkeys(built.warnings):
        warn(text)
    if output == "json":
        out_json(build_document(built))
        return
    if explain:
        _explain(built)
    wheel = built.wheel
    what = "unchanged, from the cache" if built.cached else "built"
    say(
        f"{wheel.name} {wheel.version} ({what}): {words.many(len(built.shipped), 'file')}, {words.size(wheel.size)}, "
        f"{words.many(len(built.excluded), 'path')} left out, {built.seconds:.2f} s"
    )
    for each in (wheel, *built.also):
        out(str(each.path))


def _explain(built: BuildResult) -> None:
    out(f"ships ({len(built.shipped)}):")
    for name in built.shipped:
        out(INDENT + name)
    out(f"left out ({len(built.excluded)}):")
    width = min(max((len(item.path) for item in built.excluded), default=0), 60)
    for item in built.excluded:
        out(f"{INDENT}{item.path.ljust(width)}  {item.rule}")
    out()
