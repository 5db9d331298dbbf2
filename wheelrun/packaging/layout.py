"""Which of the files found ship in the wheel of a project that wheelrun builds, and where they stand."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field

from wheelrun.errors import ConfigurationError, PackagingError
from wheelrun.packaging.project import Layout, Project
from wheelrun.packaging.walk import Entry, Excluded, Found, summary

_SRC = "src/"
#: Python files that people do not expect on a cluster.
_TOOLING = frozenset({"conftest.py", "setup.py", "noxfile.py", "docs/conf.py", "doc/conf.py"})
_TEST_FOLDERS = frozenset({"test", "tests"})


@dataclass(slots=True, kw_only=True)
class Arranged:
    """What ships and what the layout leaves out."""

    entries: list[Entry] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def strip_for(layout: Layout) -> str | None:
    """Return what a path loses on its way into the wheel; None if the project's backend decides."""
    return {Layout.FLAT: "", Layout.SRC: _SRC, Layout.BACKEND: None}[layout]


def arrange(project: Project, found: Found) -> Arranged:
    """Decide by the project's layout and its `include` which files ship.

    Raises:
        ConfigurationError: An `include` names nothing, or what an ignore rule leaves out.
        PackagingError: Two files would have one path in the wheel.
    """
    if project.layout is Layout.BACKEND:
        return Arranged(entries=found.entries)
    included = _included(project, found)
    if project.layout is Layout.SRC:
        reasons = {entry.path: "outside src/" for entry in found.entries if not entry.path.startswith(_SRC)}
    else:
        reasons = _outside_packages(found.entries)
    arranged = Arranged()
    left: list[Entry] = []
    for entry in found.entries:
        if entry.path in reasons and entry.path not in included:
            left.append(entry)
        else:
            arranged.entries.append(entry)
    arranged.excluded = _grouped(left, reasons, arranged.entries)
    if project.layout is Layout.SRC:
        _refuse_collisions(arranged.entries)
        missed = [entry.path for entry in left if _is_missed(entry.path)]
        if missed:
            arranged.warnings.append(
                f"Python outside src/ does not ship: {summary(missed)}; "
                "name it in [tool.wheelrun.package] include if the run needs it"
            )
    return arranged


def missed_modules(entries: Iterable[Entry], shipped: Iterable[str], reason: str) -> tuple[str, ...]:
    """Return a warning that names the Python files that a backend's wheel lacks, none if it has all.

    Args:
        entries: The project's files.
        shipped: The wheel's files.
        reason: How the warning begins.
    """
    names = set(shipped)
    missed = [
        entry.path
        for entry in entries
        # A backend may strip the first folder or two, as of `src/`, but keeps the rest.
        if _is_missed(entry.path) and names.isdisjoint("/".join(entry.path.split("/")[start:]) for start in range(3))
    ]
    return (f"{reason} {summary(missed)}",) if missed else ()


def _outside_packages(entries: Iterable[Entry]) -> dict[str, str]:
    """Say why a flat layout leaves out what it does: path -> reason."""
    entries = list(entries)
    with_python = {entry.path.partition("/")[0] for entry in entries if entry.path.endswith(".py")}
    reasons = {}
    for entry in entries:
        top, slash, _ = entry.path.partition("/")
        if not slash:
            if top == "__init__.py":
                reasons[entry.path] = "the root itself is no package"
            elif not top.endswith(".py"):
                reasons[entry.path] = "not inside a package"
        elif top.startswith("."):
            reasons[entry.path] = "hidden folder: [tool.wheelrun.package] include ships it"
        elif top not in with_python:
            reasons[entry.path] = "no Python in it: [tool.wheelrun.package] include ships it"
    return reasons


def _included(project: Project, found: Found) -> set[str]:
    """Return the paths that `include` names."""
    paths: set[str] = set()
    for given in project.settings.include:
        wanted = posixpath.normpath(given)
        if wanted.startswith(("/", "..")) or wanted == ".":
            raise ConfigurationError(
                f"[tool.wheelrun.package] include names {given!r}, which is not below the project's root",
                hint="Name files and folders relative to the root; sibling projects go to `also`.",
            )
        matches = {entry.path for entry in found.entries if entry.path == wanted or entry.path.startswith(f"{wanted}/")}
        if not matches:
            raise _nothing_included(given, wanted, found)
        paths |= matches
    return paths


def _nothing_included(given: str, wanted: str, found: Found) -> ConfigurationError:
    message = f"[tool.wheelrun.package] include names {given!r}, "
    for excluded in found.excluded:
        stem = excluded.path.rstrip("/")
        if stem == wanted or wanted.startswith(f"{stem}/") or stem.startswith(f"{wanted}/"):
            return ConfigurationError(
                f"{message}which is left out by {excluded.rule}",
                hint="Change that rule, or write a .wheelrunignore, which replaces all .gitignore files.",
            )
    return ConfigurationError(f"{message}which holds no file", hint="Correct the path, or remove it.")


def _grouped(left: list[Entry], reasons: dict[str, str], shipped: list[Entry]) -> list[Excluded]:
    """Name a top-level folder as one, unless a part of it ships."""
    split = {entry.path.partition("/")[0] for entry in shipped}
    excluded: dict[str, str] = {}
    for entry in left:
        top, slash, _ = entry.path.partition("/")
        path = f"{top}/" if slash and top not in split else entry.path
        excluded.setdefault(path, reasons[entry.path])
    return [Excluded(path=path, rule=rule) for path, rule in excluded.items()]


def _is_missed(path: str) -> bool:
    """Tell whether someone may expect this Python file to ship."""
    *folders, name = path.split("/")
    return (
        name.endswith(".py")
        and path not in _TOOLING
        and name not in _TOOLING
        and not _TEST_FOLDERS.intersection(folders)
        and not name.startswith("test_")
        and not name.endswith("_test.py")
        and not path.startswith(".")
    )


def _refuse_collisions(entries: Iterable[Entry]) -> None:
    seen: dict[str, str] = {}
    for entry in entries:
        other = seen.setdefault(entry.arcname, entry.path)
        if other != entry.path:
            raise PackagingError(
                f"{other} and {entry.path} would both be {entry.arcname} in the wheel",
                hint="Rename one of them, or take it out of [tool.wheelrun.package] include.",
            )
