"""Pruning a target's artifact root: what the store knows, put together with what lies there."""

from __future__ import annotations

import json
from dataclasses import dataclass

from wheelrun.client.client import Client
from wheelrun.config import resolve_stack
from wheelrun.orchestrators.collect import Item, collect, digests_in, unreferenced
from wheelrun.orchestrators.roots import Root
from wheelrun.store import RunStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was removed, or would be.

    Attributes:
        target: The target's name.
        root: Its artifact root, without credentials.
        items: What was removed below it.
    """

    target: str
    root: str
    items: tuple[Item, ...]

    @property
    def bytes(self) -> int:
        """How much that is."""
        return sum(item.bytes for item in self.items)


def prune_target(
    client: Client, target: str | None, *, runs_older_than: float | None = None, dry_run: bool = False
) -> Pruned:
    """Remove what no run refers to: what lies below a target's artifact root, and what its own system keeps (images).

    Args:
        client: Whose store and configuration it is.
        target: The target's name; None for the configured one.
        runs_older_than: Also the folders of ended runs that the store does not know and that were not written to for
            so many seconds. They may be runs of others.
        dry_run: Remove nothing, and return what would be removed.

    Raises:
        ConfigurationError: There is no such target, or it has no artifact root that can be opened.
        SubmissionError: The root cannot be read or written.
    """
    stack = resolve_stack(client.settings, target, environ=client.environ)
    orchestrator = client.orchestrator_for(stack)
    root = Root.open(orchestrator.settled(stack).artifact_root)
    wheels, runs = _in_use(client.store)
    prune = unreferenced if dry_run else collect
    items = list(prune(root, wheels_in_use=wheels, runs_in_use=runs, runs_older_than=runs_older_than))
    items += orchestrator.prune(lambda: [record.metadata for record in client.store.list(limit=None)], dry_run=dry_run)
    return Pruned(target=stack.name, root=root.url, items=tuple(items))


def _in_use(store: RunStore) -> tuple[set[str], set[str]]:
    """Return the digests that recorded runs mention, and the ids of the runs."""
    records = store.list(limit=None)
    said = [json.dumps([record.wheel, record.metadata], default=str) for record in records]
    wheels = {digest for text in (*said, *store.deployments()) for digest in digests_in(text.encode())}
    return wheels, {record.id for record in records}
