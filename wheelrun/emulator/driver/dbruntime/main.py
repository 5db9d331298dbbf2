"""The main program of a task's process: it runs the entry point or file, and reports the exception that ends it."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import sys
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .spark import Attaching
from .task import Task, receive

_HERE = str(Path(__file__).parent)
_DBUTILS = "pyspark.dbutils"


def main(payload: int, report: int, channel: int) -> int:
    """Run a task and return the exit status.

    Args:
        payload: The descriptor that says which.
        report: The descriptor for what `get-output` has to give.
        channel: The descriptor of the socket at which the cluster's Spark can be had.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    task = receive(payload)
    sys.meta_path.append(_DBUtilsFinder())
    sys.meta_path.insert(0, Attaching(channel))
    ((kind, details),) = task.task.items()
    try:
        KINDS[kind](details, task)
    except SystemExit as error:
        if error.code is None or error.code == 0:
            return 0
        _tell(report, error)
        if not isinstance(error.code, int):
            print(error.code, file=sys.stderr)  # noqa: T201 - as Python does
        return error.code if isinstance(error.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - told, whatever it is
        _tell(report, error)
        sys.stderr.write(_trace(error))
        return 1
    return 0


def run_wheel(details: Mapping[str, Any], task: Task) -> None:
    """Call an entry point that a package's metadata name, else a function of the package.

    Raises:
        ModuleNotFoundError: there is no such package.
        AttributeError: it has neither.
    """
    del task
    package, name = details["package_name"], details["entry_point"]
    sys.argv = [package, *arguments(details)]
    entry_point(package, name)()


def entry_point(package: str, name: str) -> Callable[[], Any]:
    """Return the entry point of a distribution that has this name, of whatever group, else `package.name`."""
    try:
        points = importlib.metadata.distribution(package).entry_points
    except importlib.metadata.PackageNotFoundError:
        points = importlib.metadata.EntryPoints()
    for point in points:
        if point.name == name:
            found: Callable[[], Any] = point.load()
            return found
    value: Any = importlib.import_module(package.replace("-", "_"))
    for part in name.split("."):
        value = getattr(value, part)
    return value  # type: ignore[no-any-return]


def arguments(details: Mapping[str, Any]) -> list[str]:
    """Return what a task's parameters are on its command line."""
    named = [f"--{key}={value}" for key, value in (details.get("named_parameters") or {}).items()]
    return [*(details.get("parameters") or ()), *named]


def run_file(details: Mapping[str, Any], task: Task) -> None:
    """Run a file as the main program.

    Raises:
        FileNotFoundError: there is none.
    """
    del task
    path = details["python_file"]
    sys.argv = [path, *arguments(details)]
    sys.path[0] = str(Path(path).parent)
    module = types.ModuleType("__main__")
    module.__file__ = path
    code = compile(Path(path).read_bytes(), path, "exec")
    sys.modules["__main__"] = module
    exec(code, module.__dict__)  # noqa: S102 - it is what the task is


KINDS: Mapping[str, Callable[[Mapping[str, Any], Task], None]] = {
    "python_wheel_task": run_wheel,
    "spark_python_task": run_file,
}
"""How each kind of task is run."""


class _DBUtilsFinder(importlib.abc.MetaPathFinder):
    """`pyspark.dbutils`, which a cluster's pyspark has and others have not."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != _DBUTILS:
            return None
        return importlib.util.spec_from_loader(fullname, _DBUtilsLoader())


class _DBUtilsLoader(importlib.abc.Loader):
    def exec_module(self, module: types.ModuleType) -> None:
        from .dbutils import DBUtils

        module.DBUtils = DBUtils  # type: ignore[attr-defined]


def _tell(report: int, error: BaseException) -> None:
    last = "".join(traceback.format_exception_only(type(error), error)).strip().splitlines()[-1]
    os.write(report, json.dumps({"error": last, "trace": _trace(error)}).encode())


def _trace(error: BaseException) -> str:
    """Return the traceback, without what calls the task."""
    frames = error.__traceback__
    while frames is not None and _is_own(frames.tb_frame.f_code.co_filename) and frames.tb_next is not None:
        frames = frames.tb_next
    return "".join(traceback.format_exception(type(error), error, frames))


def _is_own(filename: str) -> bool:
    return filename.startswith((_HERE, "<frozen importlib")) or filename == importlib.__file__


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[-3:])))
