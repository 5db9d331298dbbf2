"""`wheelrun cache`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from wheelrun.cli import words
from wheelrun.cli.console import out, out_json, out_table, say
from wheelrun.cli.options import DURATION, SIZE, Verb, options, output_option

if TYPE_CHECKING:
    from wheelrun.packaging.cache import WheelCache


@click.group("cache", short_help="Show and prune the cache of built wheels.")
def command() -> None:
    """Show and prune the cache of built wheels and bundles, which all your projects share."""


@command.command("show", cls=Verb)
@options(output_option)
def show(output: str) -> None:
    """List what the cache holds, the longest unused first."""
    cache = _cache()
    entries = cache.entries()
    total = sum(entry.size for entry in entries)
    if output == "json":
        from wheelrun.cli.documents import cache_document

        out_json(cache_document(cache, entries))
        return
    if entries:
        now = time.time()
        rows = [
            (entry.kind, entry.file or "damaged", words.size(entry.size), words.ago(entry.used_at, now))
            for entry in entries
        ]
        out_table(("KIND", "FILE", "SIZE", "USED"), rows)
        out()
    count = words.many(len(entries), "entry", "entries")
    out(f"{cache.root}: {count}, {words.size(total)} of {words.size(cache.max_bytes)}")


@command.command("prune", cls=Verb)
@options(
    click.option("--all", "everything", is_flag=True, help="Remove everything."),
    click.option("--max-size", type=SIZE, metavar="SIZE", help="Remove the longest unused down to this size: 500MB."),
    click.option("--older-than", type=DURATION, metavar="DURATION", help="Remove what was not used for so long: 30d."),
    output_option,
)
def prune(everything: bool, max_size: int | None, older_than: float | None, output: str) -> None:
    """Remove what the cache holds. A wheel that is wanted again is built again; runs keep copies of their own."""
    if not everything and max_size is None and older_than is None:
        raise click.UsageError("Say what to remove: --all, --max-size or --older-than.")
    removed = _cache().prune(max_bytes=max_size, older_than=older_than, everything=everything)
    freed = sum(entry.size for entry in removed)
    if output == "json":
        out_json({"removed": len(removed), "bytes": freed})
        return
    say(f"removed {words.many(len(removed), 'entry', 'entries')}, {words.size(freed)}")


def _cache() -> WheelCache:
    from wheelrun.client.building import Workspace

    return Workspace().cache
