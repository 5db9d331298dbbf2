"""The project: which folder is the source root, how it is laid out, what it declares."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from wheelrun.errors import ConfigurationError
from wheelrun.packaging.declared import LEGACY_BACKEND, read_declared

__all__ = [
    "LEGACY_BACKEND",
    "MARKERS",
    "Layout",
    "PackageSettings",
    "Project",
    "distribution_name",
    "find_root",
    "load_project",
]

#: What marks a folder as a project's root.
MARKERS = (
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "wheelrun.toml",
    "requirements.txt",
    ".wheelrunignore",
    ".git",
)
_LONGEST_NAME = 100
_IMPORTS_SRC = re.compile(rb"^[ \t]*(?:from|import)[ \t]+src\b", re.MULTILINE)


class Layout(str, Enum):
    """Where a project's importable code stands, and so who builds its wheel."""

    FLAT = "flat"
    SRC = "src"
    BACKEND = "backend"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSettings:
    """What `[tool.wheelrun.package]` sets.

    Attributes:
        also: Root-relative folders of sibling projects that are built as further wheels.
        include: Root-relative files and folders that ship although the layout would leave them out.
        max_size: Bytes that may ship at most; 0 is no limit.
        build_timeout: Seconds that a build backend may take.
        allow_secrets: Paths or globs that the secret guard lets through.
    """

    also: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    max_size: int = 200 * 1024 * 1024
    build_timeout: float = 600.0
    allow_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A source root and what it declares.

    Attributes:
        root: Absolute, resolved.
        name: As declared, else the folder's name.
        version: The base version, "0.0.0" if none is declared.
        layout: FLAT and SRC are built by wheelrun, BACKEND by the project's own backend.
        backend: `module` or `module:object` of that backend.
        requires_python: As declared.
        dependencies: PEP 508 strings as declared, those that the cluster brings included.
        optional_dependencies: Extra and its PEP 508 strings.
        entry_points: Group and its `name = module:object` lines.
        import_roots: The folders that stand on `sys.path` when the project runs locally.
        settings: How it is packaged.
        warnings: What the user should know; never printed here.
    """

    root: Path
    name: str
    version: str = "0.0.0"
    layout: Layout = Layout.FLAT
    backend: str | None = None
    requires_python: str | None = None
    dependencies: tuple[str, ...] = ()
    optional_dependencies: tuple[tuple[str, tuple[str, ...]], ...] = ()
    entry_points: tuple[tuple[str, tuple[str, ...]], ...] = ()
    import_roots: tuple[Path, ...] = ()
    settings: PackageSettings = PackageSettings()
    warnings: tuple[str, ...] = ()

    @property
    def distribution(self) -> str:
        """The name in wheel file names: see `distribution_name`."""
        return distribution_name(self.name)


def distribution_name(name: str) -> str:
    """Return the distribution of a project called `name`, as file names spell it (PEP 503, PEP 625).

    Never empty, at most 100 characters; a longer name ends in a hash, so that two long names stay two.
    """
    text = name
    if not text.isascii():
        import unicodedata

        text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    normal = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "project"
    if len(normal) <= _LONGEST_NAME:
        return normal
    import hashlib

    mark = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{normal[: _LONGEST_NAME - 9].rstrip('_')}_{mark}"


def find_root(given: Path | None = None, *, cwd: Path | None = None, main_file: Path | None = None) -> Path:
    """Return the source root, absolute and resolved.

    Args:
        given: What the user named; taken as it is.
        cwd: Where to look for the nearest marked folder, upwards; the working directory by default. The home
            folder and the file system's top are not projects when only their children were meant.
        main_file: The script whose folder it is when nothing else is found.

    Raises:
        ConfigurationError: `given` is no folder, or nothing was found.
    """
    if given is not None:
        root = given.expanduser().resolve()
        if not root.is_dir():
            raise ConfigurationError(
                f"{given} is not a folder", hint="Name the folder that holds the project, with --project."
            )
        return root
    start = (cwd or Path.cwd()).resolve()
    beyond = {Path(os.path.expanduser("~")).resolve(), Path(start.anchor)}  # noqa: PTH111
    for folder in (start, *start.parents):
        if folder != start and folder in beyond:
            break
        if any((folder / marker).exists() for marker in MARKERS):
            return folder
    if main_file is not None:
        return main_file.resolve().parent
    raise ConfigurationError(
        f"no project found at or above {start}",
        hint=f"Name one with --project, or mark its folder with one of {', '.join(MARKERS)}.",
    )


def load_project(root: Path, settings: PackageSettings = PackageSettings()) -> Project:
    """Read what the project at `root` declares and how it is laid out. Nothing of it is run.

    Raises:
        ConfigurationError: A file of it is not valid, or a setting cannot be honoured.
    """
    root = root.resolve()
    if not root.is_dir():
        raise ConfigurationError(f"{root} is not a folder", hint="Name the folder that holds the project.")
    declared = read_declared(root)
    src = _is_src_layout(root)
    if declared.backend is not None:
        layout = Layout.BACKEND
        if settings.include:
            raise ConfigurationError(
                f"[tool.wheelrun.package] include cannot be honoured: {declared.backend} decides what ships",
                hint="Name the files in that backend's own table, and remove include.",
            )
    else:
        layout = Layout.SRC if src else Layout.FLAT
    return Project(
        root=root,
        name=declared.name or root.name or "project",
        version=declared.version or "0.0.0",
        layout=layout,
        backend=declared.backend,
        requires_python=declared.requires_python,
        dependencies=declared.dependencies,
        optional_dependencies=declared.optional_dependencies,
        entry_points=declared.entry_points,
        import_roots=(root / "src",) if src else (root,),
        settings=settings,
        warnings=declared.warnings,
    )


def _is_src_layout(root: Path) -> bool:
    """Tell whether `src` is what stands on the path: a folder with Python that is no package itself."""
    src = root / "src"
    if not src.is_dir() or src.is_symlink() or (src / "__init__.py").exists():
        return False
    # Many repositories import `src.module` from the root: their `src` is a (namespace) package.
    nearby = [*root.glob("*.py"), *src.glob("*.py")]
    return _holds_python(src) and not any(_imports_src(path) for path in nearby)


def _imports_src(path: Path) -> bool:
    try:
        return _IMPORTS_SRC.search(path.read_bytes()) is not None
    except OSError:
        # Not readable: the scan tells, with a hint.
        return False


def _holds_python(folder: Path) -> bool:
    """Tell whether any `.py` stands below, hidden folders and environments left out."""
    for _, folders, files in os.walk(folder):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        if any(name.endswith(".py") for name in files):
            return True
        folders[:] = [name for name in folders if name[0] != "." and name not in ("__pycache__", "node_modules")]
    return False
