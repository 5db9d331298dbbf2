"""`wheelrun submit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wheelrun.cli import words
from wheelrun.cli.console import INDENT, indented, out, out_json, say, warn
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
    wait_option,
)

if TYPE_CHECKING:
    from wheelrun.client import Client, Prepared

_ARGUMENTS = "wheelrun.arguments"


class Submit(Verb):
    """A command whose words behind `--` belong to the user's code, whatever they look like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the words behind the first `--` away before click reads the rest."""
        if "--" in args:
            at = args.index("--")
            ctx.meta[_ARGUMENTS] = tuple(args[at + 1 :])
            args = args[:at]
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "extra argument" not in error.message:
                raise
            text = f"{error.message}. The code's own arguments go behind --, its parameters behind -p."
            raise click.UsageError(text, ctx) from None

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Tell of those words in the usage."""
        return [*super().collect_usage_pieces(ctx), "[-- ARGV...]"]


@click.command("submit", cls=Submit, short_help="Run a function, pipeline, module or file on a target.")
@click.argument("entry")
@options(
    target_option,
    click.option(
        "--master", metavar="URL", help="A Spark master instead of a target: yarn, spark://host:7077, k8s://…"
    ),
    click.option("--deploy-mode", type=click.Choice(["client", "cluster"]), help="Where the driver runs."),
    click.option("--remote", metavar="URL", help="A Spark Connect server, sc://host:port, instead of the target's."),
    click.option("-p", "--param", "params", type=KeyValue(), multiple=True, metavar="K=V", help="A parameter."),
    click.option(
        "--params-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Parameters from a JSON, TOML or YAML file; -p wins.",
    ),
    env_option,
    conf_option,
    click.option("--name", metavar="TEXT", help="Another name for the run."),
    click.option("--timeout", type=DURATION, metavar="DURATION", help="The longest that the run may take: 90s, 1h30m."),
    click.option("--max-parallel-steps", type=click.IntRange(min=1), metavar="N", help="Steps that may run at once."),
    wait_option,
    click.option("--dry-run", is_flag=True, help="Build and show the request, but submit nothing."),
    click.option("--idempotency-key", metavar="KEY", help="A second submission with this key is the first one's run."),
    allow_secret_option,
    project_option(),
    output_option,
)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    entry: str,
    params: tuple[tuple[str, str], ...],
    params_file: Path | None,
    env: tuple[tuple[str, str], ...],
    conf: tuple[tuple[str, str], ...],
    remote: str | None,
    max_parallel_steps: int | None,
    master: str | None,
    deploy_mode: str | None,
    wait: bool,
    dry_run: bool,
    idempotency_key: str | None,
    project: Path | None,
    output: str,
    **given: Any,
) -> int:
    """Run ENTRY on a target: module:callable, module, file.py or file.py:callable.

    A module or a file runs as __main__, with the words behind -- as its own arguments.
    """
    from wheelrun.cli.params import read_params

    values = {**(read_params(params_file) if params_file else {}), **pairs(params)}
    request = {
        "argv": ctx.meta.get(_ARGUMENTS, ()),
        "env": pairs(env),
        "conf": pairs(conf),
        "options": {
            "max_parallel_steps": max_parallel_steps,
            "master": master,
            "deploy_mode": deploy_mode,
            "remote": remote,
        },
        **given,
    }
    client = client_of(project)
    if dry_run:
        return _show(client.prepare(entry, values, **request), output)
    return _submit(client, entry, values, {**request, "idempotency_key": idempotency_key}, wait=wait, output=output)


def _submit(
    client: Client, entry: str, values: dict[str, Any], request: dict[str, Any], *, wait: bool, output: str
) -> int:
    from wheelrun.cli.following import announce, conclude, document_of_failure, tell_warnings, watch
    from wheelrun.cli.views import view_for

    with document_of_failure(client, output), view_for(follow=wait, job_to_stderr=output == "json") as view:
        run = client.submit(entry, values, **request, on_stage=view.stage)
        tell_warnings(run, view)
        if not run.is_new:
            view.note(f"run {run.id} was submitted with this idempotency key before")
        outcome = watch(run, view) if wait else None
    return announce(run, output=output) if outcome is None else conclude(outcome, output=output)


def _show(prepared: Prepared, output: str) -> int:
    from wheelrun.cli.documents import prepared_document

    for text in prepared.warnings:
        warn(text)
    document = prepared_document(prepared)
    if output == "json":
        out_json(document)
        return 0
    import json

    wheel, deployment = document["wheel"], prepared.deployment
    out(f"wheel    {wheel['path']}")
    out(f"version  {wheel['version']}")
    out(f"entry    {deployment.entry}")
    if deployment.argv:
        out(f"argv     {' '.join(deployment.argv)}")
    out(f"steps    {words.many(len(deployment.steps), 'step')}")
    for spec in deployment.steps:
        after = f"  after {', '.join(spec.upstream)}" if spec.upstream else ""
        out(f"{INDENT}{spec.name}  {spec.function}{after}")
    out("request")
    out(indented(json.dumps(document["request"], indent=2, ensure_ascii=False, default=str)))
    say("nothing was submitted")
    return 0
