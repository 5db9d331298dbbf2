"""`wheelrun emulator`."""

from __future__ import annotations

import os
import shlex
import time
from typing import TYPE_CHECKING, Any

import click

from wheelrun.cli import words
from wheelrun.cli.console import out, out_json, say
from wheelrun.cli.options import Verb, options, output_option

if TYPE_CHECKING:
    from wheelrun.emulator.folder import Standing

NOT_UP = 1
"""What `status` exits with when it is not up."""


@click.group("emulator", short_help="Start, show and end a Databricks emulator on this machine.")
def command() -> None:
    """Start, show and end a server on this machine that speaks the Databricks REST API.

    It really runs the jobs that are submitted to it, on the Spark that is installed.
    """


@command.command("up", cls=Verb)
@options(
    click.option(
        "--port",
        type=click.IntRange(1, 65535),
        metavar="N",
        help="The port; by default the one that it had, or any that is free.",
    ),
    click.option(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        show_default=True,
        help="The address to listen on. Whoever reaches it and has the token can run code here.",
    ),
    click.option(
        "--spark-master",
        metavar="URL",
        help="A standalone cluster that tasks use: spark://127.0.0.1:7077; by default each has a Spark of its own.",
    ),
    click.option("--foreground", is_flag=True, help="Serve in this process, until Ctrl-C."),
    click.option("--fresh", is_flag=True, help="Forget jobs, runs, files and the token of before."),
    output_option,
)
def up(port: int | None, host: str, spark_master: str | None, foreground: bool, fresh: bool, output: str) -> None:
    """Start the emulator, if it is not up, and return when it serves.

    It listens on this machine only unless told otherwise, and stays when you log out.
    """
    from wheelrun.emulator import standing
    from wheelrun.emulator.folder import Order

    began = time.monotonic()

    def tell(up: Standing) -> None:
        if output == "json":
            out_json(_document(up))
            return
        _show(up)
        say(f"the emulator is up, after {words.duration(time.monotonic() - began)}")
        say("to end it:  " + ("Ctrl-C" if foreground else "wheelrun emulator down"))

    order = Order(address=host, port=port, spark_master=spark_master)
    if foreground:
        standing.foreground(os.environ, order, fresh=fresh, on_ready=tell)
    else:
        tell(standing.up(os.environ, order, fresh=fresh))


@command.command("status", cls=Verb)
@options(output_option)
def status(output: str) -> int:
    """Show whether the emulator is up, and how to reach it.

    Exits with 1 if it is not.
    """
    from wheelrun.emulator.standing import status as look

    standing = look(os.environ)
    if output == "json":
        out_json(_document(standing))
    elif standing is None:
        say("no emulator is up; to start one: wheelrun emulator up")
    else:
        _show(standing)
    return NOT_UP if standing is None else 0


@command.command("down", cls=Verb)
@options(output_option)
def down(output: str) -> None:
    """End the emulator and every job on it. What it remembers stays."""
    from wheelrun.emulator.standing import down as bring_down

    ended = bring_down(os.environ)
    if output == "json":
        out_json({"ended": ended})
        return
    say("the emulator is down" if ended else "no emulator is up")


def _show(standing: Standing) -> None:
    out(f"host   {standing.host}")
    out(f"token  {standing.token}")
    out(f"web    {standing.web}")
    say()
    say("for the official clients, and for any target with the orchestrator databricks:")
    say()
    say(f"  export DATABRICKS_HOST={shlex.quote(standing.host)} DATABRICKS_TOKEN={shlex.quote(standing.token)}")
    say()


def _document(standing: Standing | None) -> dict[str, Any]:
    """Return what `up` and `status` write; all is null if it is not up."""
    return {name: getattr(standing, name, None) for name in ("host", "token", "web", "pid")}
