"""Running a file of the wheel, or a module, as `__main__`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from wheelrun.errors import ConfigurationError
from wheelrun.runtime.surroundings import only_this_process


def run_script(name: str, argv: tuple[str, ...], roots: tuple[Path, ...]) -> None:
    """Run a file of the wheel, or a module, as `__main__`, with what Python itself would give it as path and argv."""
    before = sys.argv, sys.path[:]
    try:
        if name.endswith(".py"):
            path = _script_path(name, roots)
            sys.argv = [str(path), *argv]
            sys.path.insert(0, str(path.parent))
            with only_this_process():
                runpy.run_path(str(path), run_name="__main__")
        else:
            sys.argv = [name, *argv]
            with only_this_process():
                runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as error:
        if error.code not in (None, 0):
            raise
    finally:
        sys.argv, sys.path[:] = before


def _script_path(name: str, roots: tuple[Path, ...]) -> Path:
    for root in roots:
        if (root / name).is_file():
            return root / name
    import importlib.metadata

    for distribution in importlib.metadata.distributions():
        for file in distribution.files or ():
            if str(file) == name:
                return Path(str(distribution.locate_file(file)))
    raise ConfigurationError(
        f"{name} is not in the wheel", hint="wheelrun build --explain tells what ships, and why not"
    )
