"""The working tree beside a local run: off the import path, and told when a run leans on it all the same.

A cluster has the wheel and nothing of the tree, so what does not ship must be missing here too, or at least be told.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def hide(source_root: Path) -> None:
    """Take the working tree off this process's import path: plain entries, `.pth` entries and editable finders.

    A virtual environment inside the tree stays: it holds what is installed.

    Args:
        source_root: The project's root.
    """
    root = source_root.resolve()
    sys.path[:] = outside(sys.path, root)
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_editable_of(finder, root)]
    sys.path_importer_cache.clear()


def outside(entries: Sequence[str], source_root: Path) -> list[str]:
    """Return the entries of a path that do not lie in the working tree."""
    root = source_root.resolve()
    return [entry for entry in entries if not _is_in_tree(Path(entry or "."), root)]


def tell_reads(
    source_root: Path,
    code: Sequence[Path],
    tell: Callable[[str], None],
    *,
    own: Sequence[Path] = (),
    limit: int = 10,
) -> None:
    """From now on, tell of each file of the tree that this process opens for reading, once: a cluster has none of it.

    Files that are newer than this call are the run's own. Reads by the JVM are not seen.

    Args:
        source_root: The project's root.
        code: The unpacked wheels.
        tell: Called with a sentence.
        own: Folders of the run's own, which may lie in the tree: its artifacts, as the unpacked wheels.
        limit: How many files are told.
    """
    root, began = source_root.resolve(), time.time()
    told: set[str] = set()
    prefix = f"{root}{os.sep}"
    ours = tuple(f"{place}{os.sep}" for folder in (*code, *own) for place in (folder.absolute(), folder.resolve()))

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or len(told) >= limit or not isinstance(arguments[0], str):
            return
        path = os.path.abspath(arguments[0])  # noqa: PTH100 - called for each file that is opened
        if (
            not path.startswith(prefix)
            or path.startswith(ours)
            or path in told
            or not _reads(arguments[1], arguments[2])
        ):
            return
        if _is_own_file(path, began) and _is_in_tree(Path(path), root):
            told.add(path)
            tell(_told(Path(path).relative_to(root), code))

    sys.addaudithook(hook)


def _reads(mode: str | None, flags: int) -> bool:
    if mode is not None:
        return mode.startswith("r")
    return flags & os.O_ACCMODE == os.O_RDONLY


def _is_own_file(path: str, began: float) -> bool:
    """Whether it is a file that was there before the run."""
    try:
        status = os.stat(path)  # noqa: PTH116 - called for each file that is opened
    except OSError:
        return False
    return status.st_mtime < began and os.path.isfile(path)  # noqa: PTH113


def _told(path: Path, code: Sequence[Path]) -> str:
    if any((folder / path).exists() for folder in code):
        return (
            f"{path} was read from the working tree, which a cluster has not; "
            "it ships in the wheel: open it through importlib.resources"
        )
    return f"{path} was read from the working tree; it does not ship, so a cluster will not have it"


def hint_for(error: BaseException, source_root: Path, code: Sequence[Path]) -> str | None:
    """Return what to do about an error that came because something of the tree does not ship, else None.

    Args:
        error: What a step raised.
        source_root: The project's root.
        code: The unpacked wheels.
    """
    wanted: list[Path] = []
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = Path(*error.name.split("."))
        wanted = [module.with_name(f"{module.name}.py"), module]
    elif isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        wanted = [
            Path(error.filename).relative_to(folder) for folder in code if Path(error.filename).is_relative_to(folder)
        ]
    for path in wanted:
        for root in (source_root, source_root / "src"):
            if (root / path).exists():
                return f"{path} is in the working tree but does not ship: wheelrun build --explain tells by which rule"
    return None


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
