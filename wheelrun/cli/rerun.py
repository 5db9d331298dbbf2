"""`wheelrun rerun`."""

from __future__ import annotations

from pathlib import Path

import click

from wheelrun.cli.options import (
    Verb,
    client_of,
    conf_option,
    env_option,
    options,
    output_option,
    pairs,
    project_option,
    run_argument,
    wait_option,
)


@click.command("rerun", cls=Verb, short_help="Run a run's wheel and parameters again.")
@options(run_argument, env_option, conf_option, wait_option, project_option(), output_option)
def command(
    *,
    run: str,
    env: tuple[tuple[str, str], ...],
    conf: tuple[tuple[str, str], ...],
    wait: bool,
    project: Path | None,
    output: str,
) -> int:
    """Run the wheel of RUN with its parameters again, as a new run; the project may have changed since."""
    from wheelrun.cli.following import announce, conclude, document_of_failure, tell_warnings, watch
    from wheelrun.cli.views import view_for

    client = client_of(project)
    with document_of_failure(client, output), view_for(follow=wait, job_to_stderr=output == "json") as view:
        view.stage("submitting")
        again = client.rerun(run, env=pairs(env), conf=pairs(conf))
        tell_warnings(again, view)
        outcome = watch(again, view) if wait else None
    return announce(again, output=output) if outcome is None else conclude(outcome, output=output)
