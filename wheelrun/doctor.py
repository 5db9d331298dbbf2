"""Checks of this machine, the project and its targets, each with what to do about it.

Each check returns findings; nothing is printed here.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wheelrun.client import Client
from wheelrun.config import Stack, cache_dir, data_dir, resolve_stack
from wheelrun.errors import ConfigurationError, UsageError, WheelrunError
from wheelrun.findings import Finding
from wheelrun.probe import probe

OLDEST_PYTHON = (3, 10)


def examine(
    client: Client,
    entry: str | None = None,
    params: Mapping[str, Any] | None = None,
    *,
    target: str | None = None,
    deep: bool = False,
    on_check: Callable[[str], None] = lambda _: None,
) -> Iterator[Finding]:
    """Check everything, and yield what was found as soon as it is known.

    Args:
        client: The project and its configuration.
        entry: An entry to import from the built wheel.
        params: Parameters for the entry; without them only its import is checked.
        target: Only this target is checked, not all.
        deep: Whether to run a probe on the target, too.
        on_check: Called with what is looked at next.
    """
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("Python", _python),
        ("Spark", lambda: _spark(client)),
        ("Java", lambda: _java(client)),
        ("run store", lambda: _store(client)),
        ("wheel cache", lambda: _writable(cache_dir(client.environ), "wheel cache", "set WHEELRUN_CACHE_DIR")),
        ("temporary folder", lambda: _writable(Path(tempfile.gettempdir()), "temporary folder", "set TMPDIR")),
        ("configuration", lambda: _configuration(client)),
        ("project", lambda: _project(client)),
    ]
    if entry is not None:
        checks.append(("entry", lambda: _entry(client, entry, params or {})))
    names = [target] if target else list(client.settings.targets)
    checks.append(("targets", lambda: _targets(client, names)))
    if deep:
        checks.append((f"probe of {target or client.settings.target}", lambda: probe(client, target)))
    for name, check in checks:
        on_check(name)
        try:
            yield from check()
        except WheelrunError as error:
            yield _failed(name, error)
        except OSError as error:
            yield Finding(
                check=name,
                ok=False,
                detail=error.strerror or str(error),
                remedy="make room or make it accessible, or name another place: TMPDIR, WHEELRUN_HOME",
            )


def _failed(check: str, error: WheelrunError) -> Finding:
    return Finding(check=check, ok=False, detail=error.message, remedy=error.hint, traceback=error.detail)


def _python() -> Iterator[Finding]:
    ok = sys.version_info >= OLDEST_PYTHON
    yield Finding(
        check="Python",
        ok=ok,
        detail=f"{platform.python_version()} ({sys.executable})",
        remedy=None if ok else f"use Python {'.'.join(map(str, OLDEST_PYTHON))} or newer",
    )


def _spark(client: Client) -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    from wheelrun.runtime.java import find_spark

    spark = find_spark(client.environ)
    try:
        metadata = importlib.metadata.metadata("pyspark").json
    except importlib.metadata.PackageNotFoundError:  # the one of SPARK_HOME
        metadata = {}
    wanted, python = str(metadata.get("requires_python", "")), platform.python_version()
    if not SpecifierSet(wanted).contains(python, prereleases=True):
        yield Finding(
            check="Spark",
            ok=False,
            detail=f"pyspark {spark.version} needs Python {wanted}, this is {python}",
            remedy="install a pyspark for this Python, or use another Python",
        )
        return
    made_for = [
        line.rpartition(" ")[2]
        for line in metadata.get("classifier", ())
        if line.startswith("Programming Language :: Python :: 3.")
    ]
    remark = f"; it was made for Python {', '.join(made_for)}"
    known = not made_for or "{}.{}".format(*sys.version_info) in made_for
    yield Finding(check="Spark", ok=True, detail=f"{spark.version} in {spark.home}{'' if known else remark}")


def _java(client: Client) -> Iterator[Finding]:
    from wheelrun.runtime.java import find_java

    java = find_java(client.environ, cache=cache_dir(client.environ))
    shim = ", behind a shim" if java.shim else ""
    yield Finding(check="Java", ok=True, detail=f"{java.version} in {java.home} (from {java.source}{shim})")


def _store(client: Client) -> Iterator[Finding]:
    yield from _writable(data_dir(client.environ), "data folder", "set WHEELRUN_HOME")
    client.store.list(limit=1)
    yield Finding(check="run store", ok=True, detail=str(client.store.path))


def _writable(folder: Path, check: str, remedy: str) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        yield Finding(
            check=check,
            ok=False,
            detail=f"{folder} cannot be written: {error.strerror or error}",
            remedy=f"{remedy} to a folder that can be written",
        )
        return
    yield Finding(check=check, ok=True, detail=str(folder))


def _configuration(client: Client) -> Iterator[Finding]:
    settings = client.settings
    source = str(settings.source) if settings.source else "none; the defaults hold"
    yield Finding(
        check="configuration", ok=True, detail=f"{source}; targets: {', '.join(settings.targets)} ({settings.target})"
    )


def _project(client: Client) -> Iterator[Finding]:
    project = client.project
    made = f"built by {project.backend}" if project.backend else f"{project.layout.value} layout"
    yield Finding(check="project", ok=True, detail=f"{project.name} {project.version} in {project.root}, {made}")
    for warning in project.warnings:
        yield Finding(check="project", ok=True, detail=f"warning: {warning}")


def _entry(client: Client, entry: str, params: Mapping[str, Any]) -> Iterator[Finding]:
    """Import an entry as a run would: from the unpacked wheel, with the working tree off the path."""
    from wheelrun.client.compiling import Compilation

    built = client.build()
    yield Finding(
        check="wheel", ok=True, detail=f"{built.wheel.name} {built.wheel.version}, {len(built.shipped)} files"
    )
    for warning in dict.fromkeys(built.warnings):
        yield Finding(check="wheel", ok=True, detail=f"warning: {warning}")
    roots = [client.cache.unpacked(wheel) for wheel in (built.wheel, *built.also)]
    with tempfile.TemporaryDirectory(prefix="wheelrun-") as elsewhere:
        compilation = Compilation(
            _in_wheel(client, entry),
            params,
            roots=roots,
            argv=(),
            cwd=Path(elsewhere),
            name=None,
            python=None,
            environ=client.environ,
            hidden=client.root,
        )
        try:
            deployment = compilation.result()
        except UsageError as error:  # it was imported: only its parameters are missing
            if params or "is not an entry" in error.message:
                raise
            yield Finding(check="entry", ok=True, detail=f"{entry} imports from the wheel; {error.message}")
            return
        except ConfigurationError as error:
            yield Finding(
                check="entry",
                ok=False,
                detail=f"from the built wheel: {error.message}",
                remedy=error.hint or "`wheelrun build --explain` tells what ships",
                traceback=error.detail,
            )
            return
    count = len(deployment.steps)
    yield Finding(
        check="entry", ok=True, detail=f"{entry} imports from the wheel: {count} {'step' if count == 1 else 'steps'}"
    )


def _in_wheel(client: Client, entry: str) -> str:
    """Return an entry that names a file as it is named below the wheel's root."""
    head, colon, attribute = entry.partition(":")
    if not (head.endswith(".py") or "/" in head):
        return entry
    for folder in (Path.cwd(), client.root, *client.project.import_roots):
        path = (folder / head).resolve()
        if path.is_file():
            for root in client.project.import_roots:
                if path.is_relative_to(root.resolve()):
                    return f"{path.relative_to(root.resolve()).as_posix()}{colon}{attribute}"
    return entry


def _targets(client: Client, names: Sequence[str]) -> Iterator[Finding]:
    for name in names:
        check = f"target {name}"
        try:
            stack = resolve_stack(client.settings, name, environ=client.environ)
            findings = list(_target(client, stack, check))
        except WheelrunError as error:
            findings = [_failed(check, error)]
        yield from findings


def _target(client: Client, stack: Stack, check: str) -> Iterator[Finding]:
    orchestrator = client.orchestrator_for(stack)
    wrong, found = False, [stack.orchestrator]
    for what, problem, remedy in orchestrator.preflight(stack):
        if problem is not None:
            wrong = True
            yield Finding(check=f"{check}: {what}", ok=False, detail=problem, remedy=remedy)
        elif what != "artifact root":
            found.append(what)
    if not wrong:
        where = [f"artifacts in {stack.artifact_root}"] if stack.artifact_root else []
        yield Finding(check=check, ok=True, detail=", ".join([*found, *where]))
