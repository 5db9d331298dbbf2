"""requirements.txt as far as it can become a wheel's metadata: its named requirements."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from pathlib import Path

from wheelrun.errors import ConfigurationError

# The start of a PEP 508 requirement: name, extras, and what may follow. Whether the rest is sound is seen
# when the metadata is written.
_NAMED = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\s*(?:\[[^\]]*\])?\s*(?:[<>=!~;(@]|\Z)", re.ASCII)
_COMMENT = re.compile(r"(?:^|\s+)#.*\Z")
_OPTION = re.compile(r"\s+--?[A-Za-z].*\Z")
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar\.gz|tgz|tar\.bz2)\Z")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What has been read so far, over all included files."""

    root: Path
    found: dict[str, None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    seen: set[Path] = field(default_factory=set)


def read_requirements(path: Path, root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the requirements of a file and of the files it includes, and what could not be taken over.

    Args:
        path: The file.
        root: The project's root: files outside it are not included.

    Raises:
        ConfigurationError: A file cannot be read, or an included one is not there.
    """
    reading = _Reading(root=root)
    _read(path, reading)
    return tuple(reading.found), tuple(reading.warnings)


def _read(path: Path, reading: _Reading) -> None:
    path = path.resolve()
    if path in reading.seen:
        return
    reading.seen.add(path)
    label = path.relative_to(reading.root).as_posix() if path.is_relative_to(reading.root) else str(path)
    for number, line in logical_lines(read_text(path, label)):
        where = f"{label}:{number}"
        if line.startswith("-"):
            _take_option(line, where, path, reading)
            continue
        requirement = _OPTION.sub("", line).strip()
        before_url = requirement.partition("@")[0]
        if "/" in before_url or _ARCHIVE.search(before_url) or not _NAMED.match(requirement):
            # The line itself is not shown: addresses may hold a token.
            if requirement != ".":
                reading.warnings.append(
                    f"{where} is left out: it names an address, no distribution; write `name @ address`"
                )
            continue
        reading.found[requirement] = None


def _take_option(line: str, where: str, path: Path, reading: _Reading) -> None:
    option, value = split_option(line)
    if option in ("-r", "--requirement"):
        included = (path.parent / value).resolve()
        if not included.is_relative_to(reading.root):
            reading.warnings.append(f"{where} is left out: it includes {value}, which is outside the project")
        elif not included.is_file():
            raise ConfigurationError(
                f"{where} includes {value}, which is not there", hint="Correct the path, or remove the line."
            )
        else:
            _read(included, reading)
    elif option in ("-e", "--editable"):
        if value.rstrip("/") not in (".", ""):
            reading.warnings.append(
                f"{where} is left out: a wheel cannot ask for an editable install; "
                "name a sibling project in [tool.wheelrun.package] also"
            )
    elif option in ("-c", "--constraint"):
        reading.warnings.append(f"{where} is left out: a wheel cannot ask for the constraints of {value}")
    else:
        reading.warnings.append(f"{where} is left out: {option} is for pip on this machine")


def split_option(line: str) -> tuple[str, str]:
    """Split a line with an option: `-r file`, `-rfile`, `--requirement file` and `--requirement=file`."""
    if line.startswith("--"):
        match = re.match(r"(--[A-Za-z-]+)[\s=]*(.*)", line)
    else:
        match = re.match(r"(-[A-Za-z])[\s=]*(.*)", line)
    if match is None:
        return line.split(maxsplit=1)[0], ""
    return match[1], match[2].strip().strip("\"'")


def logical_lines(text: str) -> list[tuple[int, str]]:
    """Return the lines of a requirements file that say something: number, text.

    Continued ones are joined, comments dropped.
    """
    lines: list[tuple[int, str]] = []
    pending, start = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        comment = raw.lstrip().startswith("#")
        start = start if pending else number
        if raw.endswith("\\") and not comment:
            pending += raw[:-1] + " "
            continue
        line = _COMMENT.sub("", pending + ("" if comment else raw)).strip()
        pending = ""
        if line:
            lines.append((start, line))
    if pending.strip():
        lines.append((start, _COMMENT.sub("", pending).strip()))
    return lines


def read_text(path: Path, label: str) -> str:
    """Read a file that says by its first bytes when it is not UTF-8, as shells of Windows write it.

    Args:
        path: The file.
        label: What the error calls it.

    Raises:
        ConfigurationError: It cannot be read.
    """
    try:
        content = path.read_bytes()
        for mark, encoding in _BOMS:
            if content.startswith(mark):
                return content[len(mark) :].decode(encoding)
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{label} is not UTF-8 text: {error}", hint="Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigurationError(f"{label} cannot be read: {error.strerror}", hint="Make it readable.") from error
