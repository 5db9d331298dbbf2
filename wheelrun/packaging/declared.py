"""What a project's own files declare: pyproject.toml, setup.cfg, requirements.txt. Nothing is run."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wheelrun.errors import ConfigurationError
from wheelrun.packaging.requirements import read_requirements

#: A project that has only `setup.py` or `setup.cfg` is built as installers build it.
LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
_POETRY_HINT = (
    'Add to pyproject.toml:\n\n    [build-system]\n    requires = ["poetry-core"]\n'
    '    build-backend = "poetry.core.masonry.api"\n\n'
    "or, if it is no package, `package-mode = false` in [tool.poetry]."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is declared without running anything; None and empty where nothing is.

    Attributes:
        backend: The build backend, None if there is none.
        name: The distribution.
        version: Its version.
        requires_python: The versions of Python.
        dependencies: PEP 508 strings.
        optional_dependencies: Extra and its PEP 508 strings.
        entry_points: Group and its `name = module:object` lines.
        warnings: What could not be taken over.
    """

    backend: str | None = None
    name: str | None = None
    version: str | None = None
    requires_python: str | None = None
    dependencies: tuple[str, ...] = ()
    optional_dependencies: tuple[tuple[str, tuple[str, ...]], ...] = ()
    entry_points: tuple[tuple[str, tuple[str, ...]], ...] = ()
    warnings: tuple[str, ...] = ()


def read_declared(root: Path) -> Declared:
    """Read what the project at `root` declares.

    Raises:
        ConfigurationError: A file is unreadable or not valid, with file and line; or the project is Poetry's
            and does not say how it is built.
    """
    table = read_toml(root / "pyproject.toml")
    poetry = _table(table, "tool.poetry")
    declared = _from_project(_table(table, "project"))
    if poetry:
        declared = replace(
            declared,
            name=declared.name or _string(poetry, "name", "tool.poetry"),
            version=declared.version or _string(poetry, "version", "tool.poetry"),
        )
    no_package = poetry.get("package-mode") is False
    if "build-system" in table and not no_package:
        backend = _string(_table(table, "build-system"), "build-backend", "build-system") or LEGACY_BACKEND
        return replace(_with_setup_cfg(declared, root)[0], backend=backend)
    declared, configured = _with_setup_cfg(declared, root)
    if configured or (root / "setup.py").is_file():
        return replace(declared, backend=LEGACY_BACKEND)
    if poetry and not no_package:
        raise ConfigurationError(
            f"{root / 'pyproject.toml'} has [tool.poetry] but no [build-system]", hint=_POETRY_HINT
        )
    return _for_generated(declared, table, root)


def _for_generated(declared: Declared, table: Mapping[str, Any], root: Path) -> Declared:
    """Complete what a project without a backend declares: its dependencies may stand in requirements.txt."""
    warnings: tuple[str, ...] = ()
    dependencies = declared.dependencies
    requirements = root / "requirements.txt"
    if "dependencies" not in _table(table, "project") and requirements.is_file():
        dependencies, warnings = read_requirements(requirements, root)
    elif not dependencies and _table(table, "tool.poetry.dependencies"):
        warnings = ("[tool.poetry.dependencies] is Poetry's own: name them in [project] dependencies to ship them",)
    if _table(table, "tool.setuptools"):
        warnings += ("[tool.setuptools] is not read, since pyproject.toml has no [build-system]",)
    return replace(declared, dependencies=dependencies, warnings=warnings)


def _from_project(project: Mapping[str, Any]) -> Declared:
    """Read the [project] table (PEP 621)."""
    groups = {
        "console_scripts": _table(project, "scripts", "project"),
        "gui_scripts": _table(project, "gui-scripts", "project"),
    }
    for group in _table(project, "entry-points", "project"):
        groups[group] = _table(project, f"entry-points.{group}", "project")
    extras = _table(project, "optional-dependencies", "project")
    return Declared(
        name=_string(project, "name", "project"),
        version=_string(project, "version", "project"),
        requires_python=_string(project, "requires-python", "project"),
        dependencies=_strings(project, "dependencies", "project"),
        optional_dependencies=tuple(
            (extra, _strings(extras, extra, "project.optional-dependencies")) for extra in extras
        ),
        entry_points=tuple(
            (group, tuple(f"{name} = {_string(points, name, group)}" for name in points))
            for group, points in groups.items()
            if points
        ),
    )


def _with_setup_cfg(declared: Declared, root: Path) -> tuple[Declared, bool]:
    """Fill up from setup.cfg what is static there; tell whether it makes the project a package."""
    path = root / "setup.cfg"
    if not path.is_file():
        return declared, False
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=path.name)
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        line = getattr(error, "lineno", None)
        where = f"{path}:{line}" if line else str(path)
        raise ConfigurationError(
            f"{where} is not valid: {str(error).splitlines()[0]}", hint="Correct it, or remove it."
        ) from error

    def static(section: str, key: str) -> str | None:
        value = parser.get(section, key, fallback="").strip()
        return None if not value or value.startswith(("attr:", "file:")) else value

    extras: list[tuple[str, tuple[str, ...]]] = []
    if parser.has_section("options.extras_require"):
        extras = [(name, _listed(value)) for name, value in parser.items("options.extras_require")]
    return replace(
        declared,
        name=declared.name or static("metadata", "name"),
        version=declared.version or static("metadata", "version"),
        requires_python=declared.requires_python or static("options", "python_requires"),
        dependencies=declared.dependencies or _listed(static("options", "install_requires") or ""),
        optional_dependencies=declared.optional_dependencies or tuple(extras),
    ), parser.has_section("metadata") or parser.has_section("options")


def _listed(value: str) -> tuple[str, ...]:
    """Split a dangling list of setup.cfg."""
    lines = (re.sub(r"(?:^|\s)#.*", "", line).strip() for line in value.splitlines())
    return tuple(line for line in lines if line)


def read_toml(path: Path) -> Mapping[str, Any]:
    """Return what a TOML file holds, nothing if it is not there.

    Raises:
        ConfigurationError: It is unreadable or not valid, with the line.
    """
    if not path.is_file():
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors mark it
    except tomllib.TOMLDecodeError as error:
        text = str(error)
        line = re.search(r"line (\d+)", text)
        raise ConfigurationError(
            f"{path}{f':{line[1]}' if line else ''} is not valid TOML: {text}", hint="Correct that line."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error}", hint="Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="Make it readable.") from error


def _table(table: Mapping[str, Any], dotted: str, where: str = "") -> Mapping[str, Any]:
    """Return a nested table, empty if it is not there."""
    for key in dotted.split(".") if not dotted.startswith("entry-points.") else dotted.split(".", 1):
        where = f"{where}.{key}" if where else key
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise _wrong(where, table, "a table")
    return table


def _string(table: Mapping[str, Any], key: str, where: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise _wrong(f"{where}.{key}", value, "a string")
    return value


def _strings(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(f"{where}.{key}", value, "a list of strings")
    return tuple(value)


def _wrong(where: str, value: object, expected: str) -> ConfigurationError:
    return ConfigurationError(f"pyproject.toml: {where} is {value!r}, not {expected}", hint=f"Make {where} {expected}.")
