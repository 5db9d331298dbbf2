"""The dependencies of a run as one archive, for clusters that install nothing.

uv resolves for the target's Python and platform, and installs into a folder; the folder becomes a zip file with
the packages at its root, the same bytes for the same packages. It is kept in the cache by what it was made from:
the lock, or the requirements; the platform; uv's configuration. So what is not locked is resolved once: the
same requirements give the same bundle, also after newer versions are out, until it leaves the cache.

    <cache>/bundles/<key[:2]>/<key>/{meta.json, bundle-<digest[:12]>.zip}
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wheelrun.errors import PackagingError
from wheelrun.packaging.archive import new_archive
from wheelrun.packaging.builder import temporary_folder
from wheelrun.packaging.declared import read_toml
from wheelrun.packaging.lock_files import Wanted, read_wanted
from wheelrun.packaging.platforms import Platform, compiled_extensions, fits, is_compiled
from wheelrun.packaging.project import Project
from wheelrun.packaging.resolver import Uv, find_uv
from wheelrun.packaging.setup_py import requirement_name
from wheelrun.packaging.shelf import Shelf, sha256_of
from wheelrun.packaging.wheel import Wheel

__all__ = ["Bundle", "Platform", "compiled_extensions", "fits", "make_bundle"]

_KIND = "bundles"
# Counts up whenever the same content would give another archive.
_FORMAT = 1
# Scripts name this machine's Python, locks are uv's, and what installers note says how and when, not what. A
# signature is of the RECORD that is written anew.
_LEFT_OUT_FOLDERS = frozenset({"__pycache__"})
_LEFT_OUT_TOPS = frozenset({"bin", ".lock", ".gitignore"})
_INSTALLERS_MARKS = frozenset(
    {"INSTALLER", "RECORD.jws", "RECORD.p7s", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}
)
_RECORD = re.compile(r"[^/]+\.dist-info/RECORD")
# The variables by which uv chooses where packages come from, and which.
_UV_VARIABLES = re.compile(
    r"UV_(?:(?:DEFAULT_|EXTRA_|NO_)?INDEX(?:_URL|_STRATEGY)?|FIND_LINKS|CONFIG_FILE|NO_CONFIG|CONSTRAINT|OVERRIDE|EXCLUDE"
    r"|EXCLUDE_NEWER|PRERELEASE|RESOLUTION|TORCH_BACKEND)"
)
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@'\"]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """An archive of dependencies, to be unpacked and put on `sys.path`.

    Attributes:
        path: The zip file, in the cache.
        digest: SHA-256 of its bytes, 64 hex digits.
        packages: The distributions in it: PEP 503 name and version, sorted.
        compiled: Whether there is compiled code in it, which is for one platform and loads only when unpacked.
        size: Bytes of the archive.
        cached: Whether it was there already.
        source: What it was made from: "uv.lock", "requirements.txt" or "the wheel's metadata".
    """

    path: Path
    digest: str
    packages: tuple[tuple[str, str], ...]
    compiled: bool
    size: int
    cached: bool
    source: str


def make_bundle(
    project: Project,
    wheels: Sequence[Wheel],
    cache_folder: Path,
    platform: Platform,
    *,
    environ: Mapping[str, str],
    timeout: float = 600.0,
) -> Bundle | None:
    """Return the bundle of what the wheels need on the platform, made at most once; None if they need nothing.

    Processes that want the same bundle at the same moment wait for the one that makes it.

    Args:
        project: The project, whose folder holds the lock and uv's configuration.
        wheels: The wheels that travel on their own: the project's and its siblings'. None of them is bundled.
        cache_folder: The cache of wheels and bundles; made if it is not there.
        platform: The target's.
        environ: The environment that uv gets: its indexes and credentials may be in it.
        timeout: Seconds for uv; 0 is no limit.

    Raises:
        PackagingError: uv found no solution, no wheel or no index, or took too long; `detail` holds its words. Or
            the cache cannot be written.
        ConfigurationError: uv is not there, or the lock does not hold what the wheels ask for.
    """
    wanted = read_wanted(project, wheels)
    if wanted is None:
        return None
    shelf = Shelf(cache_folder, time.time)
    key = _key(wanted, project, platform, environ)
    if (bundle := _load(shelf, key)) is not None:
        return bundle
    program = find_uv(environ)
    with shelf.writing(), shelf.alone(key):
        if (bundle := _load(shelf, key)) is not None:
            return bundle
        # The tree on the cache's disk, which uv's own is likely to share, so that uv links instead of copying; its
        # input elsewhere: older ones take a blank in a path for the end of it.
        with shelf.new() as folder, temporary_folder() as work:
            uv = Uv(
                program=program,
                root=project.root,
                environ=environ,
                platform=platform,
                work=work,
                timeout=timeout,
            )
            tree = folder / "tree"
            uv.install(wanted, tree)
            packages = _packages(tree)
            if not packages:
                return None
            out = folder / "out"
            out.mkdir()
            meta = {**_pack(tree, out), "packages": packages, "source": wanted.source, "created_at": time.time()}
            shelf.publish(out, shelf.folder(_KIND, key), meta)
            bundle = _load(shelf, key)
    if bundle is None:
        raise PackagingError(f"the bundle cannot be kept in {cache_folder}: another process removes it at once")
    return replace(bundle, cached=False)


def _key(wanted: Wanted, project: Project, platform: Platform, environ: Mapping[str, str]) -> str:
    """Return the cache's key: all that decides what is in the bundle, and no credential."""
    configuration = [_CREDENTIALS.sub("", text) for text in _configuration(wanted, project, environ)]
    facts = [_FORMAT, platform.python, platform.tag, wanted.content, configuration]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _configuration(wanted: Wanted, project: Project, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what uv is configured by: the user's file and the nearest of the project, the lock's, variables."""
    home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/"), ".config")
    files = [Path(home, "uv", "uv.toml")]
    if "UV_CONFIG_FILE" in environ:
        files.append(Path(environ["UV_CONFIG_FILE"]))
    folders = [project.root, *project.root.parents]
    nearest = next((folder for folder in folders if (folder / "uv.toml").is_file() or _tool_uv(folder)), project.root)
    for folder in dict.fromkeys([nearest, wanted.lock.parent if wanted.lock else nearest]):
        files.append(folder / "uv.toml")
        yield repr(_tool_uv(folder))
    for path in files:
        if path.is_file():
            yield path.read_text(encoding="utf-8", errors="replace")
    for name in sorted(environ):
        if _UV_VARIABLES.fullmatch(name):
            yield f"{name}={environ[name]}"


def _tool_uv(folder: Path) -> Any:
    return read_toml(folder / "pyproject.toml").get("tool", {}).get("uv")


def _load(shelf: Shelf, key: str) -> Bundle | None:
    """Return the bundle of `key` if it is there and whole; a damaged one is removed."""
    folder = shelf.folder(_KIND, key)
    try:
        meta = shelf.meta(folder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        meta = {}
    try:
        bundle = _read(folder, meta)
    except (OSError, ValueError, KeyError, TypeError):
        # In a cache that cannot be written it stays, and is passed over each time.
        with suppress(OSError):
            shelf.remove(folder)
        return None
    shelf.touch(folder)
    return bundle


def _read(folder: Path, meta: Mapping[str, Any]) -> Bundle:
    path = folder / str(meta["bundle"])
    if path.parent != folder or path.stat().st_size != meta["size"] or sha256_of(path) != meta["sha256"]:
        raise ValueError(f"{path} is not what was stored")
    return Bundle(
        path=path,
        digest=meta["sha256"],
        packages=tuple((name, version) for name, version in meta["packages"]),
        compiled=bool(meta["compiled"]),
        size=meta["size"],
        cached=True,
        source=str(meta["source"]),
    )


def _packages(tree: Path) -> list[tuple[str, str]]:
    from importlib.metadata import distributions

    found = distributions(path=[str(tree)])
    return sorted((requirement_name(each.metadata["Name"]), each.version) for each in found)


def _pack(tree: Path, out: Path) -> dict[str, Any]:
    """Write what is installed in `tree` as an archive into the folder `out` and return its facts."""
    temporary = out / "bundle.zip"
    files = dict(sorted(_files(tree)))
    with new_archive(temporary, None) as archive:
        for name, path in files.items():
            if _RECORD.fullmatch(name):
                archive.add_bytes(name, _record(path, files))
            else:
                archive.add_file(name, path, executable=os.access(path, os.X_OK))
    digest = sha256_of(temporary)
    path = temporary.rename(out / f"bundle-{digest[:12]}.zip")
    return {
        "bundle": path.name,
        "sha256": digest,
        "size": path.stat().st_size,
        "compiled": any(is_compiled(name) for name in files),
    }


def _files(tree: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and path of what goes into the archive."""
    for folder, folders, names in os.walk(tree):
        relative = Path(folder).relative_to(tree)
        top = _LEFT_OUT_TOPS if not relative.parts else frozenset[str]()
        folders[:] = [name for name in folders if name not in _LEFT_OUT_FOLDERS | top]
        # A copy that a package brings inside itself is its own business.
        own = len(relative.parts) == 1 and relative.name.endswith(".dist-info")
        marks = _INSTALLERS_MARKS if own else frozenset[str]()
        for name in names:
            if name not in top | marks and not name.endswith((".pyc", ".pyo")):
                yield (relative / name).as_posix(), Path(folder, name)


def _record(path: Path, files: Mapping[str, Path]) -> bytes:
    """Return a RECORD that lists what is in the archive, in one order."""
    rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(row for row in rows if row and row[0] in files))
    return text.getvalue().encode()
