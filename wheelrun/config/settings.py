"""What the files say: the project's configuration laid over the user's own."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wheelrun.config.places import user_config_file
from wheelrun.config.tables import (
    Reader,
    dotted_strings,
    duration,
    parse_toml,
    read_table,
    size,
    strings,
    subtable,
    subtables,
    text,
    texts,
)

LOCAL = "local"
"""The target, and the orchestrator, that every project has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageTable:
    """`[package]`: what goes into the wheel.

    Attributes:
        also: Folders of sibling projects that become further wheels.
        include: Data files and folders that ship although the layout would leave them out.
        max_size: The most bytes that may ship; 0 is no limit.
        build_timeout: Seconds for one build.
        allow_secrets: Paths or globs that the secret guard lets through.
    """

    also: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    max_size: int = 200 * 2**20
    build_timeout: float = 600.0
    allow_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetTable:
    """One `[targets.NAME]`, or `[defaults]`; what is not said is None or empty.

    Attributes:
        where: The files and the table that it was read from, for messages.
        orchestrator: The name of the orchestrator.
        artifact_root: A folder (absolute) or a URI.
        environment: Variables for the run.
        conf: Spark settings.
        timeout: Seconds for the run; 0 is no limit.
        config: The orchestrator's own keys, raw.
    """

    where: str
    orchestrator: str | None = None
    artifact_root: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    conf: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that a project's and the user's files say.

    Attributes:
        target: The default target.
        package: The `[package]` table.
        targets: Every target by name; `local` is always among them.
        defaults: The `[defaults]` table.
        source: The project's file, or None if it has no configuration.
    """

    target: str = LOCAL
    package: PackageTable = field(default_factory=PackageTable)
    targets: Mapping[str, TargetTable]
    defaults: TargetTable
    source: Path | None = None


def load_settings(root: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the configuration of the project at `root`, and the user's own.

    The project's is `wheelrun.toml`, or else `[tool.wheelrun]` in `pyproject.toml`.

    Raises:
        ConfigurationError: A file cannot be read or parsed, or holds a key or value that is not understood.
    """
    source, where, project = _project_table(root)
    user_file = user_config_file(environ)
    user = parse_toml(user_file) if _is_file(user_file) else {}
    own = read_table(project, _PROJECT_KEYS, where)
    private = read_table(user, _USER_KEYS, str(user_file))

    def merged(table: str, name: str | None = None) -> TargetTable:
        title = f"[{table}.{name}]" if name else f"[{table}]"
        mine, theirs = own.get(table, {}), private.get(table, {})
        return merge_targets(
            target_table(theirs.get(name, {}) if name else theirs, f"{user_file} {title}", user_file.parent),
            target_table(mine.get(name, {}) if name else mine, f"{where} {title}", root),
        )

    names = dict.fromkeys([LOCAL, *own.get("targets", ()), *private.get("targets", ())])
    return Settings(
        target=own.get("target") or private.get("target") or LOCAL,
        package=PackageTable(**read_table(own.get("package", {}), _PACKAGE_KEYS, f"{where} [package]")),
        targets={name: merged("targets", name) for name in names},
        defaults=merged("defaults"),
        source=source,
    )


def with_targets(settings: Settings, targets: Mapping[str, Mapping[str, Any]], where: str) -> Settings:
    """Return the settings with further targets; one that the files name stays as it is.

    Args:
        settings: What `load_settings` returned.
        targets: A table for each name.
        where: Where they come from, for messages.
    """
    if not targets:
        return settings
    added = {name: target_table(table, where, Path()) for name, table in targets.items()}
    return replace(
        settings, targets={**settings.targets, **{k: v for k, v in added.items() if k not in settings.targets}}
    )


def _project_table(root: Path) -> tuple[Path | None, str, Mapping[str, Any]]:
    """Return the project's file, how messages call the place in it, and what stands there."""
    own, pyproject = root / "wheelrun.toml", root / "pyproject.toml"
    if _is_file(own):
        return own, own.name, parse_toml(own)
    where = f"{pyproject.name} [tool.wheelrun]"
    tool = parse_toml(pyproject).get("tool") if _is_file(pyproject) else None
    if not isinstance(tool, Mapping) or "wheelrun" not in tool:
        return None, where, {}
    return pyproject, where, read_table({"tool": tool["wheelrun"]}, {"tool": subtable}, where)["tool"]


def _is_file(file: Path) -> bool:
    return os.path.isfile(file)  # noqa: PTH113 - a folder that may not be looked into is an answer too


TARGET_KEYS: Mapping[str, Reader] = {
    "orchestrator": text,
    "artifact_root": text,
    "environment": strings,
    "conf": dotted_strings,
    "timeout": duration,
}
_PACKAGE_KEYS: Mapping[str, Reader] = {
    "also": texts,
    "include": texts,
    "max_size": size,
    "build_timeout": duration,
    "allow_secrets": texts,
}
_USER_KEYS: Mapping[str, Reader] = {"target": text, "targets": subtables, "defaults": subtable}
_PROJECT_KEYS: Mapping[str, Reader] = {**_USER_KEYS, "package": subtable}


def target_table(table: Mapping[str, Any], where: str, base: Path) -> TargetTable:
    """Read one target; a relative `artifact_root` is below `base`, the folder of the file that says it."""
    ours = {key: value for key, value in table.items() if key in TARGET_KEYS}
    values = read_table(ours, TARGET_KEYS, where)
    place = values.get("artifact_root")
    if place is not None and not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", place):
        values["artifact_root"] = os.path.abspath(base / Path(place).expanduser())  # noqa: PTH100 - not resolved
    config = {key: value for key, value in table.items() if key not in TARGET_KEYS}
    return TargetTable(where=where if table else "", config=config, **values)


def merge_targets(*tables: TargetTable) -> TargetTable:
    """Lay target tables over each other, the last one on top; the tables inside them key by key."""
    merged = TargetTable(where=" and ".join(table.where for table in tables if table.where))
    for table in tables:
        merged = replace(
            merged,
            orchestrator=table.orchestrator or merged.orchestrator,
            artifact_root=table.artifact_root or merged.artifact_root,
            environment={**merged.environment, **table.environment},
            conf={**merged.conf, **table.conf},
            timeout=merged.timeout if table.timeout is None else table.timeout,
            config={**merged.config, **table.config},
        )
    return merged
