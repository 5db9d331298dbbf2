"""`wheelrun resume`."""

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


@click.command("resume", cls=Verb, short_help="Take up a run that failed or was cancelled.")
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
    """Take up RUN, which failed or was cancelled: what succeeded keeps its outputs, the rest runs again.

    Settings that were secret were not recorded and have to be given again, by -e or in the environment.
    """
    from wheelrun.cli.following import announce, conclude, document_of_failure, lines_so_far, tell_warnings, watch
    from wheelrun.cli.views import view_for

    client = client_of(project)
    before = client.run(run)
    skip = lines_so_far(before) if wait else None
    with document_of_failure(client, output), view_for(follow=wait, job_to_stderr=output == "json") as view:
        view.stage("submitting")
        again = client.resume(before.id, env=pairs(env), conf=pairs(conf))
        tell_warnings(again, view)
        outcome = watch(again, view, skip=skip) if wait else None
    return announce(again, output=output) if outcome is None else conclude(outcome, output=output)
