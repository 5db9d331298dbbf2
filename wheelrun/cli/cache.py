"""`wheelrun cache`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from wheelrun.cli import words
from wheelrun.cli.console import out, out_json, out_table, say
from wheelrun.cli.options import (
    DURATION,
    SIZE,
    Verb,
    client_of,
    options,
    output_option,
    project_option,
    target_option_of,
)

if TYPE_CHECKING:
    from pathlib import Path

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
    target_option_of("Remove what no recorded run refers to below this target's artifact root instead."),
    click.option(
        "--forgotten-runs",
        type=DURATION,
        metavar="DURATION",
        help="With --target: also folders of ended runs that are not recorded here and were not written to for so long:"
        " 30d. Those of others who use the root are not recorded here either.",
    ),
    click.option("--dry-run", is_flag=True, help="With --target: show what would be removed."),
    project_option(),
    output_option,
)
def prune(
    everything: bool,
    max_size: int | None,
    older_than: float | None,
    target: str | None,
    forgotten_runs: float | None,
    dry_run: bool,
    project: Path | None,
    output: str,
) -> None:
    """Remove what the cache holds. A wheel that is wanted again is built again; runs keep copies of their own.

    With --target, remove those copies instead that no run refers to: neither one that is recorded here, nor one whose
    folder lies below the same artifact root.
    """
    here = everything or max_size is not None or older_than is not None
    if target is not None:
        if here:
            raise click.UsageError("--all, --max-size and --older-than are for the cache, not for a target.")
        _prune_target(project, target, forgotten_runs, dry_run=dry_run, output=output)
        return
    if forgotten_runs is not None or dry_run:
        raise click.UsageError("--forgotten-runs and --dry-run want a --target.")
    if not here:
        raise click.UsageError("Say what to remove: --all, --max-size or --older-than, or from where: --target.")
    removed = _cache().prune(max_bytes=max_size, older_than=older_than, everything=everything)
    freed = sum(entry.size for entry in removed)
    if output == "json":
        out_json({"removed": len(removed), "bytes": freed})
        return
    say(f"removed {words.many(len(removed), 'entry', 'entries')}, {words.size(freed)}")


def _prune_target(
    project: Path | None, target: str, forgotten_runs: float | None, *, dry_run: bool, output: str
) -> None:
    from wheelrun.client.pruning import prune_target

    pruned = prune_target(client_of(project), target, runs_older_than=forgotten_runs, dry_run=dry_run)
    if output == "json":
        from wheelrun.cli.documents import pruned_document

        out_json(pruned_document(pruned, dry_run=dry_run))
        return
    if pruned.items:
        out_table(("NAME", "SIZE"), [(item.name, words.size(item.bytes)) for item in pruned.items])
    done = "would remove" if dry_run else "removed"
    say(f"{done} {words.many(len(pruned.items), 'artifact')}, {words.size(pruned.bytes)}, from {pruned.root}")


def _cache() -> WheelCache:
    from wheelrun.client.building import Workspace

    return Workspace().cache
