"""What is done as modules are imported: something at the end of one's import, and nothing at a place on the path."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Nothing:
    """Finds no modules: takes the place of a path's finder."""

    def find_spec(self, _name: str, _target: ModuleType | None = None) -> None:
        return None


class _Arrival(MetaPathFinder):
    """Has a module's import call something at its end, before anybody else can see the module."""

    def __init__(self, name: str, then: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._then = then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None or finder is self else find(fullname, path, target)
            if spec is not None and spec.loader is not None:
                self._wrap(spec.loader)
                return spec
        return None

    def _wrap(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            with contextlib.suppress(ValueError):
                sys.meta_path.remove(self)
            self._then(module)

        loader.exec_module = exec_module


def when_imported(name: str, then: Callable[[ModuleType], None]) -> None:
    """Call `then` with a module: now if it is there, else at the end of its import."""
    if name in sys.modules:
        then(sys.modules[name])
    else:
        sys.meta_path.insert(0, _Arrival(name, then))


def close(place: str) -> None:
    """Have nothing be imported from a place, though it may come on the path."""
    sys.path_importer_cache[place] = _Nothing()
