"""What a cluster has before anything is installed on it: this Python's pyspark, and what belongs to it.

The packages appear in a folder of links. An environment has that folder on its path, after its own packages; and it
has a record of each distribution among its own, so that installers take it for installed. Replacing one removes but the
record, and what is installed in its place comes first on the path.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

ROOTS = ("pyspark", "databricks-sdk")
_RECORDED = ("METADATA", "entry_points.txt", "top_level.txt", "WHEEL")


@dataclass(frozen=True, slots=True)
class Preinstalled:
    """What was found, once.

    Attributes:
        links: The folder of links.
        records: The files of each record: `pyspark-4.0.0.dist-info/METADATA` and its content.
    """

    links: Path
    records: dict[str, bytes]

    def add_to(self, packages: Path) -> None:
        """Give it to an environment.

        Args:
            packages: The environment's own packages.
        """
        (packages / "preinstalled.pth").write_text(f"{self.links}\n", encoding="utf-8")
        for name, content in self.records.items():
            path = packages / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)


def find(links: Path) -> Preinstalled:
    """Find what is installed here.

    Args:
        links: The folder of links, which is made.
    """
    links.mkdir(parents=True, exist_ok=True)
    records: dict[str, bytes] = {}
    for distribution in _distributions():
        site = Path(str(distribution.locate_file("")))
        for name in _top_names(distribution):
            link = links / name
            if not link.is_symlink() and (site / name).exists():
                link.symlink_to(site / name)
        records |= _record(distribution)
    return Preinstalled(links, records)


def _distributions() -> Iterator[importlib.metadata.Distribution]:
    """Yield the roots and what they ask for, with every extra of the first, as far as it is installed."""
    wanted = [(name, True) for name in ROOTS]
    seen: set[str] = set()
    while wanted:
        name, extras = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        yield found
        wanted += [(needed, False) for needed in _needed(found, extras=extras and name == ROOTS[0])]


def _needed(distribution: importlib.metadata.Distribution, *, extras: bool) -> Iterator[str]:
    names = ["", *(distribution.metadata.get_all("Provides-Extra") or ())] if extras else [""]
    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": name}) for name in names):
            yield canonicalize_name(requirement.name)


def _top_names(distribution: importlib.metadata.Distribution) -> set[str]:
    tops = {Path(file).parts[0] for file in distribution.files or ()}
    return {top for top in tops if top != ".." and not re.search(r"\.dist-info$|\.egg-info$|\.pth$|^__pycache__$", top)}


def _record(distribution: importlib.metadata.Distribution) -> dict[str, bytes]:
    folder = f"{distribution.name.replace('-', '_')}-{distribution.version}.dist-info"
    texts = {name: distribution.read_text(name) for name in _RECORDED}
    files = {f"{folder}/{name}": text.encode() for name, text in texts.items() if text is not None}
    files[f"{folder}/INSTALLER"] = b"wheelrun\n"
    files[f"{folder}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{folder}/RECORD"]).encode()
    return files
