"""`wheelrun targets`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from wheelrun.cli.console import out, out_json, out_table, warn
from wheelrun.cli.options import Verb, options, output_option, project_option
from wheelrun.config import Settings, Stack, resolve_stack
from wheelrun.errors import ConfigurationError, nearest


@click.command("targets", cls=Verb, short_help="List the configured targets.")
@options(
    click.option(
        "--example",
        is_flag=False,
        flag_value="",
        metavar="[NAME]",
        help="Print a target to begin with, for wheelrun.toml; without a name, list them.",
    ),
    project_option(),
    output_option,
)
def command(example: str | None, project: Path | None, output: str) -> None:
    """List the targets that the project's and your own configuration name; `local` is always there."""
    if example is not None:
        _show_example(example)
        return
    from wheelrun.client.building import Workspace

    settings = Workspace(project).settings
    default = os.environ.get("WHEELRUN_TARGET") or settings.target
    stacks = [stack for name in settings.targets if (stack := _resolved(settings, name)) is not None]
    if output == "json":
        out_json([_document(stack, is_default=stack.name == default) for stack in stacks])
        return
    rows = [
        (stack.name, "default" if stack.name == default else "", stack.orchestrator, stack.artifact_root, stack.where)
        for stack in stacks
    ]
    out_table(("TARGET", "", "ORCHESTRATOR", "ARTIFACTS", "CONFIGURED IN"), rows)


def _show_example(name: str) -> None:
    from wheelrun.packaging.templates import read_template, template_root

    known = sorted(path.stem for path in (template_root() / "targets").glob("*.toml"))
    if not name:
        for each in known:
            out(each)
        return
    if name not in known:
        near = nearest(name, known)
        raise ConfigurationError(
            f"there is no example {name!r}", hint=f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
        )
    out(read_template(f"targets/{name}.toml").rstrip())


def _resolved(settings: Settings, name: str) -> Stack | None:
    """Return a target's stack; of one that is not fit, tell why, so that the others are listed all the same."""
    try:
        return resolve_stack(settings, name)
    except ConfigurationError as error:
        warn(error.message)
        return None


def _document(stack: Stack, *, is_default: bool) -> Mapping[str, Any]:
    from wheelrun.runtime.masking import masked

    return {
        "name": stack.name,
        "default": is_default,
        "orchestrator": stack.orchestrator,
        "artifact_root": stack.artifact_root,
        "timeout": stack.timeout,
        "environment": masked(stack.environment),
        "conf": masked(stack.conf),
        "config": masked(stack.config),
    }
