"""The project: which folder is the source root, how it is laid out, what it declares."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

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
#: A project that has only `setup.py` or `setup.cfg` is built as installers build it.
LEGACY_BACKEND = "setuptools.build_meta:__legacy__"


class Layout(str, Enum):
    """Where a project's importable code stands."""

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
        dependencies: PEP 508 strings as declared, pyspark included if it is declared.
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
        """The name in wheel file names: PEP 503 and 625 normalised, at most 100 characters, never empty."""
        raise NotImplementedError


def find_root(given: Path | None = None, *, cwd: Path | None = None, main_file: Path | None = None) -> Path:
    """Return the source root: `given`, else the nearest marked folder, else the main file's parent."""
    raise NotImplementedError


def load_project(root: Path, settings: PackageSettings = PackageSettings()) -> Project:
    """Read what the project at `root` declares."""
    raise NotImplementedError
