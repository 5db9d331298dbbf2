"""A wheel: its facts, the version that its content gives it, and the direct road from files to it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wheelrun.errors import BuildError, PackagingError
from wheelrun.packaging.archive import archive_order, new_archive, verify_record
from wheelrun.packaging.setup_py import SetupSpec

__all__ = [
    "PACKAGING_VERSION",
    "Wheel",
    "entry_points_text",
    "normalised",
    "read_wheel",
    "stamped_version",
    "verify_record",
    "wheel_file_text",
    "write_wheel",
]

#: Counts up whenever the same content would give other bytes, so that no older cached wheel is taken.
PACKAGING_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel on disk.

    Attributes:
        path: Where it is.
        name: The distribution, normalised with underscores.
        version: The stamped version.
        digest: The snapshot's, 64 hex digits.
        files: The archive's names, sorted.
        size: Bytes of the archive.
    """

    path: Path
    name: str
    version: str
    digest: str
    files: tuple[str, ...]
    size: int


def normalised(name: str) -> str:
    """Return a distribution's name as file names spell it (PEP 503, with underscores)."""
    return re.sub(r"[-_.]+", "_", name).lower()


def stamped_version(base: str, digest: str) -> str:
    """Return the version of a content: `1.2+w0123456789ab` for the base `1.2`, `1.2+x.w…` for `1.2+x`.

    Raises:
        PackagingError: `base` is not a PEP 440 version.
    """
    from packaging.version import InvalidVersion, Version

    try:
        version = Version(base)
    except InvalidVersion:
        raise PackagingError(
            f"the project's version {base!r} is not a valid version",
            hint='Write it as PEP 440 has it, such as "1.2.0".',
        ) from None
    return f"{version}{'.' if version.local else '+'}w{digest[:12]}"


def read_wheel(path: Path, digest: str) -> Wheel:
    """Return the facts of the wheel at `path`, whose name this package made.

    Raises:
        BuildError: It is no readable wheel.
    """
    try:
        name, version = path.name.split("-")[:2]
        with zipfile.ZipFile(path) as archive:
            files = sorted(info.filename for info in archive.infolist() if not info.is_dir())
        size = path.stat().st_size
    except (ValueError, zipfile.BadZipFile, OSError) as error:
        raise BuildError(f"{path} is not a readable wheel: {error}") from error
    return Wheel(path=path, name=name, version=version, digest=digest, files=tuple(files), size=size)


def write_wheel(spec: SetupSpec, files: Iterable[tuple[str, Path, bool]], directory: Path) -> Path:
    """Write the wheel that setuptools would build of the spec's setup.py, restamped, byte for byte.

    Args:
        spec: What the setup.py says.
        files: Path in the wheel, the file to read, whether it is executable. In any order.
        directory: Where the wheel goes; an older wheel of that name there is replaced at once.

    Raises:
        PackagingError: A dependency is not valid, a name is not fit for a wheel, or a file cannot be read
            or written.
    """
    stem = f"{normalised(spec.name)}-{spec.version}"
    dist_info = f"{stem}.dist-info"
    extra = {
        "METADATA": metadata_text(spec),
        "WHEEL": wheel_file_text(purelib=True, tags=["py3-none-any"]),
        "top_level.txt": _top_level_text(spec),
    }
    if spec.entry_points:
        groups = {group: dict(_point(line) for line in lines) for group, lines in spec.entry_points}
        extra["entry_points.txt"] = entry_points_text(groups)
    path = directory / f"{stem}-py3-none-any.whl"
    with new_archive(path, dist_info) as archive:
        for name, source, executable in sorted(files, key=lambda item: archive_order(item[0], dist_info)):
            archive.add_file(name, source, executable=executable)
        for name in sorted(extra):
            archive.add_bytes(f"{dist_info}/{name}", extra[name].encode())
    return path


def wheel_file_text(*, purelib: bool, tags: Iterable[str], build: str | None = None) -> str:
    """Return the text of the WHEEL file. Its generator names no version of anything that may be upgraded."""
    lines = [
        "Wheel-Version: 1.0",
        f"Generator: wheelrun ({PACKAGING_VERSION})",
        f"Root-Is-Purelib: {str(purelib).lower()}",
        *([f"Build: {build}"] if build else []),
        *(f"Tag: {tag}" for tag in tags),
    ]
    return "\n".join(lines) + "\n\n"


def entry_points_text(groups: Mapping[str, Mapping[str, str]]) -> str:
    """Return the text of entry_points.txt: group -> name -> `module:object`, all sorted."""
    sections = []
    for group in sorted(group for group in groups if groups[group]):
        points = (f"{name} = {value}\n" for name, value in sorted(groups[group].items()))
        sections.append(f"[{group}]\n{''.join(points)}")
    return "\n".join(sections)


def metadata_text(spec: SetupSpec) -> str:
    """Return the text of METADATA, field for field what setuptools writes for a setup.py of this spec.

    Raises:
        PackagingError: A dependency or the range of Python versions is not valid.
    """
    lines = ["Metadata-Version: 2.4", f"Name: {spec.name}", f"Version: {spec.version}"]
    dynamic = []
    if spec.python_requires:
        _check_specifier(spec.python_requires)
        lines.append(f"Requires-Python: {spec.python_requires}")
    lines += [f"Requires-Dist: {_requirement(text)}" for text in spec.install_requires]
    lines += _extra_lines(spec.extras_require)
    if spec.extras_require:
        dynamic.append("provides-extra")
    if spec.install_requires:
        dynamic.append("requires-dist")
    if spec.python_requires:
        dynamic.append("requires-python")
    lines += [f"Dynamic: {field}" for field in dynamic]
    return "\n".join(lines) + "\n"


def _extra_lines(extras: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[str]:
    provided = set()
    for extra, requirements in extras:
        name = re.sub("[^A-Za-z0-9]+", "-", extra).strip("-").lower()
        if name not in provided:
            provided.add(name)
            yield f"Provides-Extra: {name}"
        for text in requirements:
            yield f"Requires-Dist: {_requirement(text, extra=name)}"


def _requirement(text: str, *, extra: str | None = None) -> str:
    from packaging.markers import Marker
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise PackagingError(
            f"the dependency {text!r} is not valid: {reason}",
            hint="Write it as PEP 508 has it, such as \"pandas>=2; python_version < '3.13'\".",
        ) from None
    if extra is not None:
        condition = f"({requirement.marker}) and " if requirement.marker else ""
        requirement.marker = Marker(f"{condition}extra == {extra!r}")
    return str(requirement)


def _check_specifier(text: str) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        raise PackagingError(
            f"requires-python {text!r} is not a valid range of versions",
            hint='Write it as PEP 440 has it, such as ">=3.10".',
        ) from None


def _top_level_text(spec: SetupSpec) -> str:
    tops = {package.partition(".")[0] for package in spec.packages} | set(spec.py_modules)
    return "\n".join(sorted(tops)) + "\n"


def _point(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name.strip(), value.strip()
