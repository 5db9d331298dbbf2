"""Keeping a run from importing out of the working tree: what does not ship must be missing here too."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def hide(source_root: Path) -> None:
    """Take the working tree off this process's import path: plain entries, `.pth` entries and editable finders.

    A virtual environment inside the tree stays: it holds what is installed.

    Args:
        source_root: The project's root.
    """
    root = source_root.resolve()
    sys.path[:] = [entry for entry in sys.path if not _is_in_tree(Path(entry or "."), root)]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_editable_of(finder, root)]
    sys.path_importer_cache.clear()


def _is_in_tree(path: Path, root: Path) -> bool:
    path = path.resolve()
    if path != root and root not in path.parents:
        return False
    inside = [path, *path.parents]
    return not any((folder / "pyvenv.cfg").is_file() for folder in inside[: inside.index(root) + 1])


def _is_editable_of(finder: Any, root: Path) -> bool:
    """Whether a finder is one that setuptools writes for an editable install of something in the tree."""
    module = sys.modules.get(getattr(finder, "__module__", ""))
    if not getattr(module, "__name__", "").startswith("__editable__"):
        return False
    mapped = [*getattr(module, "MAPPING", {}).values()]
    for paths in getattr(module, "NAMESPACES", {}).values():
        mapped.extend(paths)
    return any(_is_in_tree(Path(path), root) for path in mapped)
