"""From a private copy to a wheel: by a generated setup.py, or by the project's own backend."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path

from wheelrun.errors import BuildError, PackagingError
from wheelrun.packaging.backend import build_with_backend, in_repository, list_for_setuptools_scm
from wheelrun.packaging.guard import check_secrets, check_size
from wheelrun.packaging.restamp import restamp, wheel_version
from wheelrun.packaging.setup_py import SetupSpec, parse, render, spec_for
from wheelrun.packaging.snapshot import Snapshot
from wheelrun.packaging.wheel import stamped_version, write_wheel

_SETUP = "setup.py"
#: What a build by setuptools leaves beside a generated setup.py.
_LEFT_BY_BUILDS = frozenset({".wheelrun-build", "build", "dist"})


def add_setup_py(snapshot: Snapshot) -> Path:
    """Write the generated setup.py into the copy and return its path.

    Raises:
        PackagingError: The project's version is not valid, or the file cannot be written.
    """
    project = snapshot.tree.project
    spec = spec_for(snapshot.tree, stamped_version(project.version, snapshot.digest))
    path = snapshot.directory / _SETUP
    try:
        path.write_text(render(spec), encoding="utf-8")
    except OSError as error:
        raise PackagingError(
            f"{path} cannot be written: {error.strerror}",
            hint="Make room in the temporary folder, or name another one with TMPDIR.",
        ) from error
    return path


def wheel_from_setup_py(directory: Path, out: Path, *, timeout: float = 600.0) -> Path:
    """Make the wheel of a copy that holds a setup.py, without network.

    A setup.py as wheelrun wrote it is read and its wheel written directly; one that a person edited is run by
    setuptools. Both roads give the same bytes for the same content.

    Raises:
        PackagingError: There is no setup.py, or a file cannot be read or written.
        BuildError: setuptools failed or took longer than `timeout` seconds.
    """
    path = directory / _SETUP
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PackagingError(f"{path} cannot be read: {error}") from error
    spec = parse(text)
    if spec is not None:
        return write_wheel(spec, _files_of(spec, directory), out)
    raw = build_with_backend(directory, out / "raw", timeout=timeout, isolated=False)
    try:
        return restamp(raw, version=wheel_version(raw), directory=out)
    finally:
        shutil.rmtree(raw.parent)


def generated_wheel(snapshot: Snapshot, out: Path, *, allow: Collection[str]) -> Path:
    """Make the wheel of a project without a backend.

    Raises:
        SecretError: A secret would ship.
        PackagingError: The version or a dependency is not valid, or a file cannot be read or written.
    """
    copies = [(entry, snapshot.directory / entry.path) for entry in snapshot.tree.entries]
    check_secrets(((entry.path, copy) for entry, copy in copies), allow)
    spec = spec_for(snapshot.tree, stamped_version(snapshot.tree.project.version, snapshot.digest))
    files = [(entry.arcname, copy, entry.executable) for entry, copy in copies]
    return write_wheel(spec, files, out)


def backend_wheel(
    snapshot: Snapshot, out: Path, *, allow: Collection[str], isolated: bool, scm_version: str | None
) -> Path:
    """Let the project's backend make the wheel, look at what is in it, and restamp it.

    Args:
        snapshot: The copy; the backend may write into it.
        out: An empty folder.
        allow: Paths or globs that the secret guard lets through.
        isolated: Whether the backend gets its own environment, made from an index.
        scm_version: The version for backends that would ask the repository.

    Raises:
        BuildError: The backend failed, or left nothing to import.
        SizeError: Too much would ship.
        SecretError: A secret would ship.
    """
    project = snapshot.tree.project
    if in_repository(project.root):
        list_for_setuptools_scm(snapshot.directory)
    raw = build_with_backend(
        snapshot.directory,
        out / "raw",
        timeout=project.settings.build_timeout,
        isolated=isolated,
        scm_version=scm_version,
    )
    with zipfile.ZipFile(raw) as archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        shipped = [info for info in infos if not info.filename.partition("/")[0].endswith(".dist-info")]
        if not shipped:
            raise BuildError(
                f"{project.backend} left a wheel with nothing to import in it",
                hint=f"Tell it in {project.root} which packages to ship.",
            )
        check_size(((info.filename, info.file_size) for info in infos), project.settings.max_size)
        check_secrets(_unpacked(archive, shipped, out / "content", snapshot), allow)
    version = stamped_version(wheel_version(raw), snapshot.digest)
    return restamp(raw, version=version, directory=out)


def _unpacked(
    archive: zipfile.ZipFile, infos: list[zipfile.ZipInfo], folder: Path, snapshot: Snapshot
) -> Iterator[tuple[str, Path]]:
    """Yield each file of a wheel with the path that the user knows it by, one at a time on the disk."""
    known = {entry.path for entry in snapshot.tree.entries}
    folder.mkdir()
    # One name for all: what a wheel says about paths is not trusted here.
    copy = folder / "file"
    for info in infos:
        with archive.open(info) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
        below_src = f"src/{info.filename}"
        yield (below_src if below_src in known and info.filename not in known else info.filename), copy


def _files_of(spec: SetupSpec, directory: Path) -> Iterator[tuple[str, Path, bool]]:
    """Yield what a generated setup.py ships of its folder: path in the wheel, file, executable."""
    targets = {source: target for target, source in spec.loose}
    start = f"{spec.source_folder}/" if spec.source_folder else ""
    for path in directory.rglob("*"):
        relative = path.relative_to(directory)
        top = relative.parts[0]
        if relative == Path(_SETUP) or top in _LEFT_BY_BUILDS - set(spec.packages) or not path.is_file():
            continue
        if top.endswith(".egg-info"):
            continue
        name = relative.as_posix()
        yield targets.get(name, name.removeprefix(start)), path, bool(path.stat().st_mode & 0o100)
