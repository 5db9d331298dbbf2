"""Whose images are whose, and which of them are not wanted any more."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelrun.orchestrators.collect import Item
from wheelrun.orchestrators.docker.engine import owner
from wheelrun.orchestrators.docker.images import BASE, KEEPER

if TYPE_CHECKING:
    import docker


def keeper_of(folder: Path) -> str:
    """Return what images are labelled with that are for the runs of a store.

    Args:
        folder: The store's folder.
    """
    return f"{owner()}:{folder}"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from making and pruning images for the runs of a store, until the block ends.

    Args:
        folder: The store's folder.
    """
    with (folder / "images.lock").open("a") as file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def prune(client: docker.DockerClient, keeper: str, kept: Collection[str], *, dry_run: bool) -> list[Item]:
    """Remove the images that are for the runs of a store and that no kept run refers to; return them.

    Args:
        client: The engine.
        keeper: Whose images.
        kept: Ids of images that kept runs refer to.
        dry_run: Remove nothing.
    """
    import docker

    images = client.images.list(filters={"label": f"{KEEPER}={keeper}"})
    needed = _with_bases([image for image in images if image.id in kept], images)
    sizes = {tag: image.attrs["Size"] for image in images for tag in image.tags}
    removed = []
    # what stands on others goes first
    for image in sorted((image for image in images if image.id not in needed), key=_depth(images), reverse=True):
        if not dry_run:
            try:
                for name in image.tags or [image.id]:
                    client.images.remove(name)
            except docker.errors.APIError as error:
                if error.status_code == 409:  # a container runs from it
                    continue
                raise
        own = image.attrs["Size"] - sizes.get(image.labels.get(BASE, ""), 0)
        removed.append(Item(name=(image.tags or [image.id])[0], bytes=max(own, 0)))
    return removed


def _with_bases(chosen: Iterable[Any], images: Sequence[Any]) -> set[str]:
    by_tag = {tag: image for image in images for tag in image.tags}
    needed: set[str] = set()
    for image in chosen:
        for each in _chain(image, by_tag):
            needed.add(each.id)
    return needed


def _depth(images: Sequence[Any]) -> Any:
    by_tag = {tag: image for image in images for tag in image.tags}
    return lambda image: sum(1 for _ in _chain(image, by_tag))


def _chain(image: Any, by_tag: Mapping[str, Any]) -> Iterator[Any]:
    """Yield an image and those that it stands on."""
    while image is not None:
        yield image
        image = by_tag.get(image.labels.get(BASE, ""))
