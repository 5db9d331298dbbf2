"""Whose images are whose, and which of them are not wanted any more."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wheelrun.orchestrators.collect import Item
from wheelrun.orchestrators.docker.engine import owner
from wheelrun.orchestrators.docker.images import BASE, KEEPER

if TYPE_CHECKING:
    import docker

_IN_USE, _GONE = 409, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image on an engine: its id, its names, its size in bytes with all that it stands on, and its labels."""

    id: str
    tags: Sequence[str]
    size: int
    labels: Mapping[str, str]

    @property
    def name(self) -> str:
        """What it is called by."""
        return self.tags[0] if self.tags else self.id

    @property
    def base(self) -> str:
        """The name of the image that it stands on, empty if that is not one of ours."""
        return self.labels.get(BASE, "")


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

    found = client.api.images(filters={"label": f"{KEEPER}={keeper}"})
    images = [
        Image(id=each["Id"], tags=each["RepoTags"] or (), size=each["Size"], labels=each["Labels"]) for each in found
    ]
    by_tag = {tag: image for image in images for tag in image.tags}
    needed = {each.id for image in images if image.id in kept for each in _chain(image, by_tag)}
    unwanted = [image for image in images if image.id not in needed]
    removed = []
    for image in sorted(unwanted, key=lambda image: -len(_chain(image, by_tag))):  # what stands on others goes first
        if not dry_run:
            try:
                for name in image.tags or [image.id]:
                    client.api.remove_image(name)
            except docker.errors.APIError as error:
                if error.status_code == _IN_USE:
                    continue
                if error.status_code != _GONE:
                    raise
        below = by_tag.get(image.base)
        removed.append(Item(name=image.name, bytes=max(image.size - (below.size if below else 0), 0)))
    return removed


def _chain(image: Image, by_tag: Mapping[str, Image]) -> list[Image]:
    """Return an image and those that it stands on."""
    below = by_tag.get(image.base)
    return [image, *(_chain(below, by_tag) if below else ())]
