"""The tree that ships: which files, which not and why, one digest, and a private copy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wheelrun.packaging.project import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the tree.

    Attributes:
        path: Posix, relative to the project's root.
        source: The real file to read.
        size: Bytes.
        executable: Whether its owner may execute it.
        arcname: Its path in the wheel; "" when the project's own backend decides.
    """

    path: str
    source: Path
    size: int
    executable: bool = False
    arcname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A file or a whole folder (its path ends with "/") that does not ship, and the rule that did it."""

    path: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What ships of a project and what does not, both sorted by path."""

    project: Project
    entries: tuple[Entry, ...]
    excluded: tuple[Excluded, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A private copy of a tree. `digest` was computed from the bytes that were copied."""

    directory: Path
    tree: Tree
    digest: str


def scan(project: Project) -> Tree:
    """Walk the project and decide what ships."""
    raise NotImplementedError


def digest_tree(tree: Tree) -> str:
    """Return the sha256 (64 hex digits) of all that decides the wheel's bytes."""
    raise NotImplementedError


def copy_tree(tree: Tree, directory: Path) -> Snapshot:
    """Copy the tree's files below `directory` (entry.path below it), hashing what is copied."""
    raise NotImplementedError
