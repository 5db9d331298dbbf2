"""What `resume` and `rerun` share: a recorded run is started again, and followed."""

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


def again(verb: str, *, short: str, text: str, continues: bool) -> click.Command:
    """Return the command of a verb that starts a recorded run again.

    Args:
        verb: Its name, which is that of the client's method too.
        short: Its line in the list of commands.
        text: Its help.
        continues: Whether the run goes on under its own id, so that its output so far is not shown again.
    """

    @click.command(verb, cls=Verb, short_help=short, help=text)
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
        from wheelrun.cli.following import announce, conclude, document_of_failure, lines_so_far, tell_warnings, watch
        from wheelrun.cli.views import view_for

        client = client_of(project)
        before = client.run(run)
        skip = lines_so_far(before) if wait and continues else None
        with document_of_failure(client, output), view_for(follow=wait, job_to_stderr=output == "json") as view:
            view.stage("submitting")
            started = getattr(client, verb)(before.id, env=pairs(env), conf=pairs(conf))
            tell_warnings(started, view)
            outcome = watch(started, view, skip=skip) if wait else None
        return announce(started, output=output) if outcome is None else conclude(outcome, output=output)

    return command
