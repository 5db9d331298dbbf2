"""What a bundle is made of: the project's lock, or what its wheels ask for, and where each requirement stands.

The first of these that is there:

1. `uv.lock`, of the project or of the workspace that it is a member of.
2. `requirements.txt`, if it pins all that it names.
3. The Requires-Dist of the wheels.

Markers are left to uv, which knows the target; only those of extras are settled here.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wheelrun.errors import BuildError, ConfigurationError
from wheelrun.packaging.declared import read_toml
from wheelrun.packaging.project import Project
from wheelrun.packaging.requirements import logical_lines, read_text, split_option
from wheelrun.packaging.setup_py import CLUSTER_DISTRIBUTIONS, requirement_name
from wheelrun.packaging.wheel import Wheel

UV_LOCK = "uv.lock"
REQUIREMENTS = "requirements.txt"
METADATA = "the wheel's metadata"

#: What a bundle never holds, beside the wheels that travel on their own: wheelrun has a wheel of its own, and
#: a cluster has its Spark. A second pyspark or a py4j of another version breaks the cluster's; the clients for
#: Spark Connect are packages called `pyspark` too.
LEFT_OUT = frozenset({*CLUSTER_DISTRIBUTIONS, "py4j", "pyspark-client", "pyspark-connect", "wheelrun"})

_EXTRA = re.compile(r"""\bextra\s*==\s*["']([^"']+)["']""")
_EXTRAS = re.compile(r"\s*[A-Za-z0-9._-]+\s*\[([^\]]*)\]")
# True on every machine: what stands for an extra that was asked for.
_TRUE = "python_version >= '3'"
_PIN = re.compile(r"[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*(?:===?\s*[^\s,;*]+|@\s*\S+)\s*(?:;|\s--|\Z)")
_HASH = re.compile(r"\s--hash[=\s]")
_LOCKED_NAME = re.compile(r'name = "([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a requirements file, or of a wheel's metadata.

    Attributes:
        text: The requirement as PEP 508 has it, or an option of a requirements file.
        origin: Where it stands: "requirements.txt:3", or "asked for by shop".
    """

    text: str
    origin: str

    @property
    def name(self) -> str:
        """The PEP 503 name of what is required; empty for an option or an address."""
        return requirement_name(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a bundle has to hold.

    Attributes:
        source: `UV_LOCK`, `REQUIREMENTS` or `METADATA`.
        declared: What the wheels ask for.
        lock: The uv.lock, if that is the source.
        pinned: The lines of requirements.txt, if that is the source.
        hashed: Whether those have hashes.
        wheels: PEP 503 names of the wheels that travel on their own.
        content: A digest of everything above, and of the files that it includes.
    """

    source: str
    declared: tuple[Line, ...] = ()
    lock: Path | None = None
    pinned: tuple[Line, ...] = ()
    hashed: bool = False
    wheels: frozenset[str] = frozenset()
    content: str = ""

    def origins(self) -> Mapping[str, Sequence[str]]:
        """Return where each requirement comes from: PEP 503 name -> the lines that ask for it, with their origins."""
        found: dict[str, list[str]] = {}
        for line in (*self.declared, *self.pinned):
            if line.name:
                text = f"{_HASH.split(line.text)[0].strip()} ({line.origin})"
                found.setdefault(line.name, []).append(text)
        locked = {} if self.lock is None else _lines_of_lock(self.lock)
        return {name: [text] for name, text in locked.items()} | found


def read_wanted(project: Project, wheels: Sequence[Wheel]) -> Wanted | None:
    """Return what a bundle for these wheels has to hold, None if they need nothing.

    Args:
        project: The project; its folder is where the lock stands.
        wheels: The project's wheel and those of its siblings.

    Raises:
        ConfigurationError: A requirements file cannot be read, or names a project that has no wheel here.
        BuildError: A wheel cannot be read.
    """
    names = frozenset(requirement_name(wheel.name) for wheel in wheels) | {requirement_name(project.name)}
    declared = tuple(line for line in read_declared_lines(wheels) if line.name not in LEFT_OUT | names)
    if (lock := find_uv_lock(project.root)) is not None:
        if not declared:
            return None
        # Each member of a workspace has its own share of the lock.
        content = _digest(UV_LOCK, lock.read_bytes(), project.root.relative_to(lock.parent).as_posix(), declared, names)
        return Wanted(source=UV_LOCK, declared=declared, lock=lock, wheels=names, content=content)
    read = _read_pinned(project, names)
    if read is not None:
        hashed = any(_HASH.search(line.text) for line in read.lines)
        lines = "\n".join(line.text for line in read.lines)
        content = _digest(REQUIREMENTS, lines, *read.constraints, declared, names)
        return Wanted(
            source=REQUIREMENTS,
            declared=declared,
            pinned=tuple(read.lines),
            hashed=hashed,
            wheels=names,
            content=content,
        )
    if not declared:
        return None
    return Wanted(source=METADATA, declared=declared, wheels=names, content=_digest(METADATA, declared, names))


def read_declared_lines(wheels: Sequence[Wheel]) -> Iterator[Line]:
    """Yield what the wheels ask for, those extras included that they ask of each other.

    Raises:
        BuildError: A wheel cannot be read.
    """
    lines = [(wheel, text) for wheel in wheels for text in _requires_dist(wheel)]
    asked: set[tuple[str, str]] = set()
    while True:
        active = [(wheel, text) for wheel, text in lines if _is_active(text, wheel, asked)]
        found = {
            (requirement_name(text), requirement_name(extra))
            for _, text in active
            if (match := _EXTRAS.match(text))
            for extra in match[1].split(",")
        }
        if found <= asked:
            break
        asked |= found
    for wheel, text in active:
        name = requirement_name(wheel.name)
        settled = text
        for match in _EXTRA.finditer(text):
            if (name, requirement_name(match[1])) in asked:
                settled = settled.replace(match[0], _TRUE)
        yield Line(text=settled, origin=f"asked for by {name}")


def find_uv_lock(root: Path) -> Path | None:
    """Return the lock of the project at `root`: its own, or that of the workspace it is a member of."""
    if (root / UV_LOCK).is_file():
        return root / UV_LOCK
    for folder in root.parents:
        if (folder / UV_LOCK).is_file() and _is_member(root, folder):
            return folder / UV_LOCK
    return None


def _is_member(root: Path, workspace: Path) -> bool:
    table = read_toml(workspace / "pyproject.toml").get("tool", {}).get("uv", {}).get("workspace", {})

    def named(key: str) -> bool:
        return any(root in workspace.glob(str(pattern).rstrip("/")) for pattern in table.get(key, ()))

    return named("members") and not named("exclude")


def _requires_dist(wheel: Wheel) -> list[str]:
    from email.parser import BytesHeaderParser

    name = f"{wheel.name}-{wheel.version}.dist-info/METADATA"
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            metadata = BytesHeaderParser().parsebytes(archive.read(name))
            return [str(value) for value in metadata.get_all("Requires-Dist", [])]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BuildError(f"{wheel.path.name}: {name} cannot be read: {error}") from error


def _is_active(text: str, wheel: Wheel, asked: Collection[tuple[str, str]]) -> bool:
    extras = [requirement_name(extra) for extra in _EXTRA.findall(text)]
    return not extras or any((requirement_name(wheel.name), extra) in asked for extra in extras)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """A requirements.txt and what it includes."""

    root: Path
    travelling: frozenset[Path]
    lines: list[Line] = field(default_factory=list)
    constraints: list[bytes] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)


def _read_pinned(project: Project, names: Collection[str]) -> _Reading | None:
    """Read the project's requirements.txt; None if it is not there, is not pinned, or leaves nothing to bundle."""
    path = project.root / REQUIREMENTS
    if not path.is_file():
        return None
    also = (project.root / given for given in project.settings.also)
    reading = _Reading(root=project.root, travelling=frozenset({project.root, *(folder.resolve() for folder in also)}))
    _read(path, reading)
    reading.lines = [line for line in reading.lines if line.name not in LEFT_OUT | set(names)]
    required = [line for line in reading.lines if not _is_option(line.text)]
    if not required or not all(_is_pinned(line.text) for line in required):
        return None
    return reading


def _read(path: Path, reading: _Reading) -> None:
    path = path.resolve()
    if path in reading.seen:
        return
    reading.seen.add(path)
    label = path.relative_to(reading.root).as_posix() if path.is_relative_to(reading.root) else str(path)
    for number, text in logical_lines(read_text(path, label)):
        origin = f"{label}:{number}"
        option, value = split_option(text) if text.startswith("-") else ("", text)
        included = path.parent / value
        if "://" in value and option not in {"", "-e", "--editable"}:
            reading.lines.append(Line(text=text, origin=origin))
            continue
        if option in {"-r", "--requirement", "-c", "--constraint"} and not included.is_file():
            raise ConfigurationError(
                f"{origin} includes {value}, which is not there", hint="Correct the path, or remove the line."
            )
        if option in {"-r", "--requirement"}:
            _read(included, reading)
        elif option in {"-c", "--constraint"}:
            reading.constraints.append(included.read_bytes())
            reading.lines.append(Line(text=f"-c {included.resolve()}", origin=origin))
        elif option in {"-f", "--find-links"}:
            reading.lines.append(Line(text=f"-f {included.resolve()}", origin=origin))
        elif not _is_travelling(option, value, origin, reading):
            reading.lines.append(Line(text=text, origin=origin))


def _is_travelling(option: str, value: str, origin: str, reading: _Reading) -> bool:
    """Tell whether a line names the folder of a project that travels as a wheel.

    Raises:
        ConfigurationError: It names the folder of one that does not.
    """
    if option not in {"", "-e", "--editable"}:
        return False
    folder = reading.root / re.sub(r"\[[^\]]*\]\Z", "", value.partition(";")[0].strip())
    if not folder.is_dir() or (not option and requirement_name(value) and "/" not in value):
        return False
    if folder.resolve() in reading.travelling:
        return True
    raise ConfigurationError(
        f"{origin} names the project in {value}, which has no wheel here",
        hint="Name its folder in [tool.wheelrun.package] also: then it travels as a wheel of its own.",
    )


def _is_option(text: str) -> bool:
    return text.startswith("-") and split_option(text)[0] not in {"-e", "--editable"}


def _is_pinned(text: str) -> bool:
    return bool(_PIN.match(text)) or not requirement_name(text) or "/" in text.partition(";")[0].partition("@")[0]


def _lines_of_lock(lock: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(lock.read_text(encoding="utf-8").splitlines(), 1):
        if match := _LOCKED_NAME.fullmatch(line):
            found.setdefault(requirement_name(match[1]), f"{match[1]} ({lock.name}:{number})")
    return found


def _digest(*facts: bytes | str | tuple[Line, ...] | frozenset[str]) -> str:
    digest = hashlib.sha256()
    for fact in facts:
        if isinstance(fact, bytes):
            content = fact
        elif isinstance(fact, tuple):
            content = repr(sorted({line.text for line in fact})).encode("utf-8", "backslashreplace")
        else:
            content = repr(fact if isinstance(fact, str) else sorted(fact)).encode("utf-8", "backslashreplace")
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
