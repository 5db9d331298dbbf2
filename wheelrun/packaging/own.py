"""The wheel of wheelrun itself, for the cluster: of an installed wheel, an editable install or a checkout."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wheelrun._version import __version__
from wheelrun.deployment import OWN_DISTRIBUTION
from wheelrun.errors import PackagingError
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.setup_py import SetupSpec
from wheelrun.packaging.templates import template_root
from wheelrun.packaging.wheel import PACKAGING_VERSION, Wheel, stamped_version, verify_record, write_wheel

_PACKAGE = Path(__file__).resolve().parent.parent


def own_wheel(cache: WheelCache) -> Wheel:
    """Return the wheel of the wheelrun that is running. It has no dependencies: a cluster needs no index.

    Raises:
        PackagingError: The package's files cannot be read, or the cache cannot be written.
    """
    files = _files()
    digest = _digest(files)
    key = hashlib.sha256(f"own {PACKAGING_VERSION} {__version__} {digest}".encode()).hexdigest()
    if (wheel := cache.get(key)) is not None:
        return wheel
    spec = SetupSpec(
        name=OWN_DISTRIBUTION,
        version=stamped_version(__version__, digest),
        packages=(OWN_DISTRIBUTION,),
        python_requires=">=3.10",
    )
    with tempfile.TemporaryDirectory(prefix="wheelrun-") as folder:
        path = write_wheel(spec, files, Path(folder))
        verify_record(path)
        return cache.put(key, path, {"name": OWN_DISTRIBUTION, "version": spec.version, "digest": digest})


def _files() -> list[tuple[str, Path, bool]]:
    """Return the package's files by their path in the wheel, the templates below the package."""
    if not _PACKAGE.is_dir():
        raise PackagingError(
            f"wheelrun cannot read its own files: {_PACKAGE} is no folder",
            hint="Install wheelrun unpacked, not inside an archive.",
        )
    templates = template_root()
    places = [(OWN_DISTRIBUTION, _PACKAGE)]
    if _PACKAGE not in templates.parents:
        places.append((f"{OWN_DISTRIBUTION}/templates", templates))
    return sorted(file for prefix, place in places for file in _below(prefix, place))


def _below(prefix: str, place: Path) -> Iterator[tuple[str, Path, bool]]:
    for folder, names, files in os.walk(place):
        names[:] = [name for name in names if name != "__pycache__"]
        for name in files:
            path = Path(folder, name)
            if not name.endswith((".pyc", ".pyo")):
                relative = path.relative_to(place).as_posix()
                yield f"{prefix}/{relative}", path, os.access(path, os.X_OK)


def _digest(files: list[tuple[str, Path, bool]]) -> str:
    digest = hashlib.sha256()
    for name, path, executable in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name}\0{executable:d}\0{content}\n".encode())
    return digest.hexdigest()
