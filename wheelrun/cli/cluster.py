"""`wheelrun cluster`."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import click

from wheelrun.cli import words
from wheelrun.cli.console import out, out_json, out_table, say
from wheelrun.cli.options import SIZE, Verb, options, output_option

if TYPE_CHECKING:
    from wheelrun.cluster import Cluster

NOT_WELL = 1
"""What `status` exits with when the cluster is not up, or a part of it has crashed."""


@click.group("cluster", short_help="Start, show and end a Spark cluster on this machine.")
def command() -> None:
    """Start, show and end a Spark standalone cluster, and a Spark Connect server on it, on this machine.

    While it is up there are two more targets: `cluster` runs a job on it, and `connect` runs one through the Connect
    server, which is quicker since Spark runs already.
    """


@command.command("up", cls=Verb)
@options(
    click.option("--workers", type=click.IntRange(min=1), metavar="N", help="How many workers; by default 2."),
    click.option(
        "--cores",
        type=click.IntRange(min=1),
        metavar="N",
        help="Cores of each worker; by default enough for the machine's cores, a driver and the Connect server.",
    ),
    click.option(
        "--memory",
        type=SIZE,
        metavar="SIZE",
        help="Memory of each worker: 4g; by default a share of half the machine's, at least 2g.",
    ),
    click.option("--connect/--no-connect", default=None, help="With a Connect server (the default), or without."),
    output_option,
)
def up(workers: int | None, cores: int | None, memory: int | None, connect: bool | None, output: str) -> None:
    """Bring the cluster up, or mend what has crashed of it.

    Returns when it does its work. It listens on this machine only, and stays when you log out.
    """
    from wheelrun.cluster import up as bring_up

    began = time.monotonic()
    cluster = bring_up(
        os.environ,
        workers=workers,
        cores=cores,
        memory=memory,
        connect=connect,
        on_stage=lambda name: say(f"{name} …"),
    )
    if output == "json":
        out_json(_document(cluster))
        return
    _show(cluster)
    say()
    say(f"the cluster is up, after {words.duration(time.monotonic() - began)}")
    _say_next(cluster)


@command.command("status", cls=Verb)
@options(output_option)
def status(output: str) -> int:
    """Show whether the cluster is up, and its pages.

    Exits with 1 if it is not up or a part of it has crashed.
    """
    from wheelrun.cluster import status as look

    cluster = look(os.environ)
    if output == "json":
        out_json(_document(cluster))
        return 0 if cluster is not None and cluster.healthy else NOT_WELL
    if cluster is None:
        say("no cluster is up; to start one: wheelrun cluster up")
        return NOT_WELL
    _show(cluster)
    say()
    if cluster.healthy:
        _say_next(cluster)
        return 0
    crashed = [part.name for part in cluster.parts if not part.alive]
    if len(crashed) == len(cluster.parts):
        say("all of it has ended; to start it again: wheelrun cluster up")
    else:
        say(f"not running: {', '.join(crashed)}; to mend it: wheelrun cluster up")
    return NOT_WELL


@command.command("down", cls=Verb)
@options(output_option)
def down(output: str) -> None:
    """End the cluster and every job on it. Its logs stay until it is started again."""
    from wheelrun.cluster import down as bring_down

    ended = bring_down(os.environ)
    if output == "json":
        out_json({"ended": ended})
        return
    say(f"the cluster is down; ended {words.many(ended, 'process', 'processes')}" if ended else "no cluster is up")


def _show(cluster: Cluster) -> None:
    colours = {True: "green", False: "red"}
    rows = [
        (
            part.name,
            "running" if part.alive else "not running",
            str(part.pid) if part.alive else "",
            part.url if part.alive else "",
            str(part.log),
        )
        for part in cluster.parts
    ]
    styles = [colours[part.alive] for part in cluster.parts]
    out_table(("PART", "STATE", "PID", "PAGE", "LOG"), rows, styles, needed=4)
    out()
    out(f"master   {cluster.master}")
    if cluster.connect:
        out(f"connect  {cluster.connect}")


def _say_next(cluster: Cluster) -> None:
    say("to run a job on it:  wheelrun submit ENTRY -t cluster")
    if cluster.connect:
        say("without a start-up:  wheelrun submit ENTRY -t connect")
    say("to end it:           wheelrun cluster down")


def _document(cluster: Cluster | None) -> dict[str, Any]:
    """Return what `up` and `status` write; without a cluster every address is null."""
    if cluster is None:
        return {"master": None, "rest": None, "connect": None, "web": None, "workers": [], "parts": []}
    return {
        "master": cluster.master,
        "rest": cluster.rest,
        "connect": cluster.connect or None,
        "web": cluster.web,
        "workers": list(cluster.workers),
        "parts": [
            {
                "name": part.name,
                "pid": part.pid,
                "alive": part.alive,
                "url": part.url,
                "log": str(part.log),
            }
            for part in cluster.parts
        ],
    }
