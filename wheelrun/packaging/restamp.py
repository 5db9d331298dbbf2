"""Any backend's wheel with our version: the same content, METADATA and entry points amended, RECORD anew."""

from __future__ import annotations

import configparser
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wheelrun.errors import BuildError
from wheelrun.packaging.archive import archive_order, check_name, new_archive
from wheelrun.packaging.setup_py import CLUSTER_DISTRIBUTIONS, ENTRY_POINTS, requirement_name
from wheelrun.packaging.wheel import entry_points_text, normalised, wheel_file_text

# Made anew, or void once the content changes: RECORD and its signatures, marks of installers.
_DROPPED = frozenset({"RECORD", "RECORD.jws", "RECORD.p7s", "WHEEL.json", "INSTALLER", "REQUESTED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What a wheel's file name says."""

    name: str
    version: str
    build: str | None
    tags: str


def wheel_version(path: Path) -> str:
    """Return the version in the METADATA of the wheel at `path`.

    Raises:
        BuildError: It is no readable wheel or has no version.
    """
    with _opened(path) as archive:
        dist_info = _dist_info(archive, path)
        metadata = _text(archive, f"{dist_info}/METADATA", path)
    for field, value in _fields(_split_head(metadata)[0]):
        if field == "version":
            return value
    raise BuildError(f"{path.name}: METADATA has no version")


def restamp(
    wheel: Path,
    *,
    version: str,
    directory: Path,
    drop: Collection[str] = CLUSTER_DISTRIBUTIONS,
    entry_points: Mapping[str, Mapping[str, str]] = ENTRY_POINTS,
) -> Path:
    """Write `wheel` again as `version`, byte for byte the same whenever and wherever its content was built.

    Args:
        wheel: A wheel of any backend.
        version: The stamped version, which METADATA, file name, dist-info and .data folders take.
        directory: Where the new wheel goes. It may be the old one's own folder.
        drop: PEP 503 names of dependencies to leave out of METADATA.
        entry_points: Group -> name -> `module:object`, added to the wheel's own.

    Raises:
        BuildError: `wheel` is no valid wheel.
        PackagingError: A name in it may lead out of its folder, or the new one cannot be written.
    """
    parts = _parts(wheel)
    with _opened(wheel) as archive:
        infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        for name in infos:
            check_name(name)
        if len(infos) != sum(not info.is_dir() for info in archive.infolist()):
            raise BuildError(f"{wheel.name} holds two files of one name")
        old = _dist_info(archive, wheel).removesuffix(".dist-info")
        new = f"{normalised(parts.name)}-{version}"
        written = _amended(archive, old, wheel, version=version, drop=drop, entry_points=entry_points)
        sources = {
            _renamed(name, old, new): info
            for name, info in infos.items()
            if name.rpartition("/")[0] != f"{old}.dist-info" or name.rpartition("/")[2] not in _DROPPED
        }
        names = sources.keys() | {f"{new}.dist-info/{name}" for name in written}
        build = f"-{parts.build}" if parts.build else ""
        path = directory / f"{new}{build}-{parts.tags}.whl"
        with new_archive(path, f"{new}.dist-info") as target:
            for name in sorted(names, key=lambda name: archive_order(name, f"{new}.dist-info")):
                folder, _, last = name.rpartition("/")
                if folder == f"{new}.dist-info" and last in written:
                    target.add_bytes(name, written[last])
                    continue
                info = sources[name]
                with archive.open(info) as stream:
                    mode = info.external_attr >> 16
                    target.add_stream(name, stream, info.file_size, executable=bool(mode & 0o111))
    return path


def _amended(
    archive: zipfile.ZipFile,
    old: str,
    wheel: Path,
    *,
    version: str,
    drop: Collection[str],
    entry_points: Mapping[str, Mapping[str, str]],
) -> dict[str, bytes]:
    """Return the dist-info files that change."""
    metadata = _text(archive, f"{old}.dist-info/METADATA", wheel)
    about = _text(archive, f"{old}.dist-info/WHEEL", wheel)
    amended = {
        "METADATA": _amended_metadata(metadata, version, drop, wheel),
        "WHEEL": _amended_about(about, wheel),
    }
    own = f"{old}.dist-info/entry_points.txt"
    text = _text(archive, own, wheel) if own in archive.NameToInfo else ""
    groups = _parsed_entry_points(text, wheel)
    for group, points in entry_points.items():
        groups.setdefault(group, {}).update(points)
    if any(groups.values()):
        amended["entry_points.txt"] = entry_points_text(groups)
    return {name: content.encode("utf-8", "surrogateescape") for name, content in amended.items()}


def _amended_metadata(text: str, version: str, drop: Collection[str], wheel: Path) -> str:
    """Set the version and leave out the dropped dependencies; every other line stays as it is."""
    head, blank, body = _split_head(text)
    kept: list[str] = []
    versions = 0
    for line, (field, value) in zip(_unfolded(head), _fields(head), strict=True):
        if field == "version":
            versions += 1
            kept.append(f"Version: {version}")
        elif field != "requires-dist" or requirement_name(value) not in drop:
            kept.append(line)
    if versions != 1:
        raise BuildError(f"{wheel.name}: METADATA has {versions} versions")
    return "\n".join(kept) + "\n" + blank + body


def _amended_about(text: str, wheel: Path) -> str:
    fields: dict[str, list[str]] = {}
    for field, value in _fields(_lines(text)):
        fields.setdefault(field, []).append(value)
    major = fields.get("wheel-version", [""])[0].partition(".")[0]
    if major != "1" or not fields.get("tag"):
        raise BuildError(f"{wheel.name}: its WHEEL file is not of a version that wheelrun knows")
    purelib = fields.get("root-is-purelib", ["false"])[0].lower() == "true"
    return wheel_file_text(purelib=purelib, tags=fields["tag"], build=fields.get("build", [None])[0])


def _parsed_entry_points(text: str, wheel: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, default_section="", strict=False)
    parser.optionxform = str  # type: ignore[assignment]
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise BuildError(f"{wheel.name}: entry_points.txt cannot be read: {error}") from error
    return {group: dict(parser.items(group)) for group in parser.sections()}


def _split_head(text: str) -> tuple[list[str], str, str]:
    """Return the header lines, the blank line behind them and the description."""
    head, blank, body = text, "", ""
    if match := re.search(r"\r?\n(\r?\n)", text):
        head, blank, body = text[: match.start()], "\n", text[match.end() :]
    return _lines(head), blank, body


def _lines(text: str) -> list[str]:
    """Split at line ends alone: str.splitlines would break a summary at any exotic separator."""
    return text.replace("\r\n", "\n").split("\n")


def _unfolded(lines: list[str]) -> list[str]:
    """Join the lines of one field, which begin with a blank, to one item; their line breaks stay."""
    fields: list[str] = []
    for line in lines:
        if fields and line[:1] in {" ", "\t"}:
            fields[-1] += f"\n{line}"
        elif line:
            fields.append(line)
    return fields


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each field's name in lower case and its value."""
    for field in _unfolded(lines):
        name, _, value = field.partition(":")
        yield name.strip().lower(), value.strip()


def _renamed(name: str, old: str, new: str) -> str:
    top, slash, rest = name.partition("/")
    for kind in (".dist-info", ".data"):
        if slash and top == f"{old}{kind}":
            return f"{new}{kind}/{rest}"
    return name


def _dist_info(archive: zipfile.ZipFile, wheel: Path) -> str:
    """Return the name of the wheel's own dist-info folder."""
    found = sorted({name.partition("/")[0] for name in archive.namelist() if name.count("/") == 1})
    found = [name for name in found if name.endswith(".dist-info") and f"{name}/WHEEL" in archive.NameToInfo]
    parts = _parts(wheel)
    # Vendored copies may bring their own; the wheel's own has the wheel's name.
    own = [name for name in found if normalised(name.partition("-")[0]) == normalised(parts.name)]
    if len(own) != 1:
        raise BuildError(f"{wheel.name} has {len(own)} dist-info folders of its name; a wheel has one")
    return own[0]


def _parts(wheel: Path) -> _Parts:
    pieces = wheel.name.removesuffix(".whl").split("-")
    if not wheel.name.endswith(".whl") or len(pieces) not in {5, 6}:
        raise BuildError(f"{wheel.name} is not the name of a wheel")
    build = pieces[2] if len(pieces) == 6 else None
    return _Parts(name=pieces[0], version=pieces[1], build=build, tags="-".join(pieces[-3:]))


def _opened(wheel: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except (zipfile.BadZipFile, OSError) as error:
        raise BuildError(f"{wheel.name} is not a readable wheel: {error}") from error


def _text(archive: zipfile.ZipFile, name: str, wheel: Path) -> str:
    try:
        return archive.read(name).decode("utf-8", "surrogateescape")
    except (KeyError, zipfile.BadZipFile) as error:
        raise BuildError(f"{wheel.name}: {name} cannot be read: {error}") from error
