"""The tree that ships: which files, which not and why, one digest, and a private copy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wheelrun.errors import PackagingError
from wheelrun.packaging.layout import arrange, strip_for
from wheelrun.packaging.project import Project
from wheelrun.packaging.walk import Entry, Excluded, unreadable, walk

__all__ = ["Entry", "Excluded", "Snapshot", "Tree", "copy_tree", "digest_tree", "scan"]

# Files up to this size are read at once; larger ones pass in pieces of it, so that memory stays flat.
_PIECE = 1024 * 1024
_BINARY = getattr(os, "O_BINARY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
_HAS_MODES = hasattr(os, "fchmod")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What ships of a project and what does not, both sorted by path."""

    project: Project
    entries: tuple[Entry, ...]
    excluded: tuple[Excluded, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A private copy of a tree. `digest` was computed from the bytes that were copied.

    Attributes:
        directory: Where each entry stands under its `path`.
        tree: What was copied.
        digest: 64 hex digits.
    """

    directory: Path
    tree: Tree
    digest: str


def scan(project: Project) -> Tree:
    """Walk the project and decide what ships.

    Raises:
        PackagingError: Something is unreadable, or there is nothing to ship.
        ConfigurationError: An `include` cannot be honoured.
    """
    found = walk(project.root, strip=strip_for(project.layout))
    arranged = arrange(project, found)
    if not any(entry.path.endswith(".py") for entry in arranged.entries):
        what = "no Python file" if found.entries else "nothing"
        raise PackagingError(
            f"{project.root} holds {what} that could ship",
            hint="Is it the right folder? `wheelrun build --explain` tells what is left out by which rule."
            if found.excluded or arranged.excluded
            else "Name the folder that holds the project with --project, or put a module into it.",
        )
    return Tree(
        project=project,
        entries=tuple(sorted(arranged.entries, key=_path)),
        excluded=tuple(sorted((*found.excluded, *arranged.excluded), key=_path)),
        warnings=(*project.warnings, *found.warnings, *arranged.warnings),
    )


def digest_tree(tree: Tree) -> str:
    """Return the sha256 of all that decides the wheel's bytes.

    That is each file's path, path in the wheel, executable bit and content, and what the project declares.

    Raises:
        PackagingError: A file cannot be read.
    """
    return _digest(tree, _hash_file)


def copy_tree(tree: Tree, directory: Path) -> Snapshot:
    """Copy the tree's files below `directory`, hashing what is copied.

    Modes become 0644 and 0755, links become what they point to.

    Raises:
        PackagingError: A file cannot be read or written.
    """
    made: set[str] = set()
    target = str(directory)

    def copy(entry: Entry) -> bytes:
        path = f"{target}/{entry.path}"
        parent = path.rpartition("/")[0]
        try:
            if parent not in made:
                os.makedirs(parent, exist_ok=True)  # noqa: PTH103 - no Path objects for each of many files
                made.add(parent)
            sink = os.open(path, _CREATE, 0o755 if entry.executable else 0o644)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            if _HAS_MODES:  # past the umask
                os.fchmod(sink, 0o755 if entry.executable else 0o644)
            return _hash_file(entry, sink)
        finally:
            os.close(sink)

    return Snapshot(directory=directory, tree=tree, digest=_digest(tree, copy))


def _path(item: Entry | Excluded) -> str:
    return item.path


def _digest(tree: Tree, read: Callable[[Entry], bytes]) -> str:
    project = tree.project
    declared = (
        project.name,
        project.version,
        project.layout.value,
        project.backend,
        project.requires_python,
        project.dependencies,
        project.optional_dependencies,
        project.entry_points,
    )
    whole = hashlib.sha256(repr(declared).encode("utf-8", "backslashreplace"))
    for entry in tree.entries:
        content = read(entry)
        whole.update(f"{entry.path}\0{entry.arcname}\0{'x' if entry.executable else '-'}\0".encode())
        whole.update(content)
    return whole.hexdigest()


def _hash_file(entry: Entry, sink: int | None = None) -> bytes:
    """Return the sha256 of a file, writing its bytes to the descriptor `sink` on the way."""
    hasher = hashlib.sha256()
    try:
        source = os.open(entry.source, os.O_RDONLY | _BINARY)
    except OSError as error:
        raise unreadable(str(entry.source), error) from error
    try:
        wanted = min(entry.size + 1, _PIECE)
        while piece := _read(source, wanted, entry):
            hasher.update(piece)
            if sink is not None:
                _write(sink, piece, entry)
            wanted = _PIECE
    finally:
        os.close(source)
    return hasher.digest()


def _read(source: int, wanted: int, entry: Entry) -> bytes:
    try:
        return os.read(source, wanted)
    except OSError as error:
        raise unreadable(str(entry.source), error) from error


def _write(sink: int, piece: bytes, entry: Entry) -> None:
    try:
        written = os.write(sink, piece)
        while written < len(piece):
            written += os.write(sink, memoryview(piece)[written:])
    except OSError as error:
        raise _unwritable(f"the copy of {entry.path}", error) from error


def _unwritable(path: str, error: OSError) -> PackagingError:
    return PackagingError(
        f"{path} cannot be written: {error.strerror}",
        hint="Make room in the temporary folder, or name another one with TMPDIR.",
    )
