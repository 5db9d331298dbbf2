"""Modules that stand in for those of an archive which is unpacked where nobody looks for modules.

A Connect server keeps Python files that it is sent packed, where compiled code does not load; what it unpacks, it puts
into the session's folder, off the path. The first stand-in that is imported puts that folder in the place of the
stand-ins' own archive, and then itself makes room for the module that it stands for.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

_SHIM = """\
import sys
from importlib import import_module
from os.path import basename, join

from pyspark import SparkFiles

folder = join(SparkFiles.getRootDirectory(), {folder!r})
sys.path[:] = [folder if basename(entry) == {shims!r} else entry for entry in sys.path]
del sys.modules[__name__]
import_module(__name__)
"""


def write_shims(archive: Path, folder: str, target: Path) -> None:
    """Write an archive of stand-ins.

    Args:
        archive: The zip file whose modules they stand in for.
        folder: The name of the folder, in the session's, into which it is unpacked.
        target: Where to write; its name is what it is known by on the path, and has to be no other archive's.
    """
    text = _SHIM.format(folder=folder, shims=target.name)
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(target, "w") as shims:
        for name in modules(source.namelist()):
            shims.writestr(f"{name}.py", text)


def modules(names: list[str]) -> list[str]:
    """Return the top-level modules and packages among the names of an archive's files, sorted."""
    tops = {name.partition("/")[0] if "/" in name else _module(name) for name in names}
    return sorted(top for top in tops if top.isidentifier())


def _module(file: str) -> str:
    name, _, suffix = file.partition(".")
    return name if suffix.endswith(("py", "so", "pyd")) else ""
