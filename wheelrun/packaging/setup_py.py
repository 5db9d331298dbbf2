"""The setup.py of a project that has no build backend: what it names, its text, and back.

It names every file that ships, so setuptools discovers nothing, and `wheel.write_wheel` can make the same
wheel without setuptools. Only a setup.py that a person edited is built by setuptools for real.
"""

from __future__ import annotations

import ast
import glob
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING, Any

from wheelrun.packaging.project import Layout
from wheelrun.packaging.templates import read_template

if TYPE_CHECKING:
    from wheelrun.packaging.snapshot import Entry, Tree

#: Distributions that the cluster brings: a second copy of them breaks the first.
CLUSTER_DISTRIBUTIONS = ("pyspark", "databricks-connect")
#: What a cluster calls; in every project's wheel.
ENTRY_POINTS: Mapping[str, Mapping[str, str]] = {
    "console_scripts": {"wheelrun-entrypoint": "wheelrun.runtime.entrypoint:main"}
}

# A dot would end the package's name, and setuptools takes the others in a package's folder for wildcards.
_NO_PACKAGE = re.compile(r"[.*?\[\]]")
_DECLARABLE_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupSpec:
    """All that a generated setup.py says.

    Attributes:
        name: The distribution's name.
        version: The stamped version.
        packages: Dotted names of the packages whose folders hold modules or own data, sorted.
        py_modules: Modules at the wheel's root, sorted.
        package_data: Package and the escaped globs of its data, relative to the package's folder.
        loose: Files that stand in no package: path in the wheel, path beside setup.py.
        source_folder: Where the wheel's root stands beside setup.py: "" or "src".
        install_requires: PEP 508 dependencies.
        extras_require: Extra and its PEP 508 dependencies.
        python_requires: Versions of Python, "" for any.
        entry_points: Group and its `name = module:object` lines.
    """

    name: str
    version: str
    packages: tuple[str, ...] = ()
    py_modules: tuple[str, ...] = ()
    package_data: tuple[tuple[str, tuple[str, ...]], ...] = ()
    loose: tuple[tuple[str, str], ...] = ()
    source_folder: str = ""
    install_requires: tuple[str, ...] = ()
    extras_require: tuple[tuple[str, tuple[str, ...]], ...] = ()
    python_requires: str = ""
    entry_points: tuple[tuple[str, tuple[str, ...]], ...] = ()


def requirement_name(requirement: str) -> str:
    """Return the PEP 503 name of a PEP 508 requirement."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement, re.ASCII)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else ""


def spec_for(tree: Tree, version: str) -> SetupSpec:
    """Describe the wheel of a project without a backend.

    Args:
        tree: What ships. Each entry's `arcname` is its path in the wheel.
        version: The stamped version.

    Raises:
        ValueError: The project has its own backend, which alone decides.
    """
    project = tree.project
    if project.layout is Layout.BACKEND:
        raise ValueError(f"{project.root} has its own build backend: {project.backend}")
    folder = "src" if project.layout is Layout.SRC else ""
    regular: list[str] = []
    loose: list[tuple[str, str]] = []
    for entry in tree.entries:
        if _is_regular(entry, folder):
            regular.append(entry.arcname)
        else:
            loose.append((entry.arcname, entry.path))
    packages = _packages(regular)
    modules = sorted(name[:-3] for name in regular if "/" not in name)
    return SetupSpec(
        name=_declared_name(project.name, project.distribution),
        version=version,
        # setuptools copies nothing at all for a distribution without packages and modules; its nameless root
        # package is always there.
        packages=tuple(sorted(packages)) if packages or modules else ("",),
        py_modules=tuple(modules),
        package_data=_package_data(regular, packages),
        loose=tuple(sorted(loose)),
        source_folder=folder,
        install_requires=_without(project.dependencies, CLUSTER_DISTRIBUTIONS),
        extras_require=tuple(
            (extra, _without(requirements, CLUSTER_DISTRIBUTIONS))
            for extra, requirements in project.optional_dependencies
        ),
        python_requires=project.requires_python or "",
        entry_points=_entry_points(project.entry_points),
    )


def render(spec: SetupSpec) -> str:
    """Return the text of the setup.py that `spec` describes."""
    return Template(read_template("setup.py.in")).substitute(
        name=spec.name,
        name_literal=repr(spec.name),
        version=repr(spec.version),
        loose=_literal(dict(spec.loose), depth=0),
        python_requires=repr(spec.python_requires or None),
        package_dir=repr({"": spec.source_folder} if spec.source_folder else {}),
        packages=_literal(list(spec.packages)),
        py_modules=_literal(list(spec.py_modules)),
        package_data=_literal(_lists(spec.package_data)),
        install_requires=_literal(list(spec.install_requires)),
        extras_require=_literal(_lists(spec.extras_require)),
        entry_points=_literal(_lists(spec.entry_points)),
    )


def parse(text: str) -> SetupSpec | None:
    """Return the spec whose setup.py is exactly `text`; None if there is none: a person edited it."""
    try:
        spec = _read(ast.parse(text))
    except (SyntaxError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return spec if render(spec) == text else None


def _read(module: ast.Module) -> SetupSpec:
    values: dict[str, Any] = {}
    for node in module.body:
        if isinstance(node, ast.Assign):
            values["loose"] = ast.literal_eval(node.value)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            for keyword in node.value.keywords:
                if keyword.arg and keyword.arg != "cmdclass":
                    values[keyword.arg] = ast.literal_eval(keyword.value)
    return SetupSpec(
        name=str(values["name"]),
        version=str(values["version"]),
        packages=tuple(values["packages"]),
        py_modules=tuple(values["py_modules"]),
        package_data=_tuples(values["package_data"]),
        loose=tuple(values["loose"].items()),
        source_folder=values["package_dir"].get("", ""),
        install_requires=tuple(values["install_requires"]),
        extras_require=_tuples(values["extras_require"]),
        python_requires=values["python_requires"] or "",
        entry_points=_tuples(values["entry_points"]),
    )


def _is_regular(entry: Entry, folder: str) -> bool:
    """Say whether setuptools can find this file by a package's or a module's name."""
    if entry.path != (f"{folder}/{entry.arcname}" if folder else entry.arcname):
        return False
    top, slash, _ = entry.arcname.partition("/")
    if slash:
        return not _NO_PACKAGE.search(top)
    return top.endswith(".py") and "." not in top[:-3]


def _packages(names: Collection[str]) -> set[str]:
    """Return the top-level folders and all folders with modules, as far as their names can be dotted."""
    folders = {name.rpartition("/")[0] for name in names if name.endswith(".py")}
    folders |= {name.partition("/")[0] for name in names if "/" in name}
    return {folder.replace("/", ".") for folder in folders if folder and not _NO_PACKAGE.search(folder)}


def _package_data(names: Iterable[str], packages: Collection[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    data: dict[str, list[str]] = {}
    owners: dict[str, str] = {}
    for name in names:
        folder, slash, _ = name.rpartition("/")
        if not slash:
            continue
        if folder not in owners:
            owners[folder] = _owner(folder, packages)
        rest = name[len(owners[folder]) + 1 :]
        # setuptools finds the modules of a package by itself, unless a leading dot hides them.
        if "/" in rest or rest.startswith(".") or not rest.endswith(".py"):
            data.setdefault(owners[folder].replace("/", "."), []).append(glob.escape(rest))
    return tuple((package, tuple(sorted(data[package]))) for package in sorted(data))


def _owner(folder: str, packages: Collection[str]) -> str:
    """Return the nearest folder at or above that is a package; the top-level one always is."""
    while _NO_PACKAGE.search(folder) or folder.replace("/", ".") not in packages:
        folder = folder.rpartition("/")[0]
    return folder


def _entry_points(
    declared: Iterable[tuple[str, tuple[str, ...]]],
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    groups: dict[str, dict[str, str]] = {}
    for group, lines in declared:
        for line in lines:
            name, _, value = line.partition("=")
            groups.setdefault(group, {})[name.strip()] = value.strip()
    for group, points in ENTRY_POINTS.items():
        groups.setdefault(group, {}).update(points)
    return tuple(
        (group, tuple(f"{name} = {value}" for name, value in sorted(groups[group].items())))
        for group in sorted(groups)
        if groups[group]
    )


def _declared_name(name: str, distribution: str) -> str:
    """Keep the declared name's spelling where it is a valid name for the same distribution."""
    same = re.sub(r"[-_.]+", "_", name).lower() == distribution
    return name if same and _DECLARABLE_NAME.fullmatch(name) else distribution


def _without(requirements: Iterable[str], names: Collection[str]) -> tuple[str, ...]:
    return tuple(requirement for requirement in requirements if requirement_name(requirement) not in names)


def _lists(pairs: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, list[str]]:
    return {key: list(values) for key, values in pairs}


def _tuples(table: Mapping[str, Iterable[str]]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((key, tuple(values)) for key, values in table.items())


def _literal(value: dict[str, Any] | list[str] | str, *, depth: int = 1) -> str:
    """Write a literal, one item a line, for the eyes of whoever opens the file."""
    if isinstance(value, str) or not value:
        return repr(value)
    inner, outer = "    " * (depth + 1), "    " * depth
    if isinstance(value, dict):
        items = [f"{key!r}: {_literal(item, depth=depth + 1)}" for key, item in value.items()]
    else:
        items = [repr(item) for item in value]
    left, right = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([left, *(f"{inner}{item}," for item in items), f"{outer}{right}"])
