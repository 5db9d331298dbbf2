"""The secret guard: nothing that is somebody's live credential goes into a wheel.

A file is looked at twice: by its name (`secret_files`), and by the tokens in its text (`secret_rules`).
Only what would ship is looked at. The guard errs towards silence: what it names is almost surely a secret,
since a false alarm teaches people to switch it off.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from io import RawIOBase
from pathlib import Path
from typing import NoReturn

from wheelrun.errors import PackagingError, SecretError
from wheelrun.packaging.secret_files import NamedFile, kind_of
from wheelrun.packaging.secret_rules import RULES, compiled

RULES_VERSION = 1
"""Raised with every change of what is found, so that a cached "nothing found" is not believed for ever."""

_WINDOW = 1 << 20
_AFTER = 8 << 10  # how far a match, or what its check looks at, reaches ahead
_BEFORE = 512  # and back
_NAMED_LIMIT = 1 << 20
_PER_FILE = 100
_SHOWN = 20
_MARKS = (b"pragma: allowlist secret", b"gitleaks:allow")
_BARE = re.compile(rb"[\w.~/+-]+").fullmatch  # a match that is the value, without a setting's name before it
_BY_FREQUENCY = (
    b" etsoianrl\ndc\"_fpum.hybg:=,()kNvw[]TESOARxI-DC`P/L'qz{}Uj>MF0G#12@BWVHJ*3KY4X6Q5\\8|+97<Z!;"
)
_RARE = 21  # the bytes up to "h" make out four fifths of Python source


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One secret.

    Attributes:
        path: The file, relative to the root, posix.
        line: Its line, or 0 when the file itself is the finding.
        rule: The kind of secret.
        masked: The value with all but its ends hidden; empty when there is nothing to show.
    """

    path: str
    line: int
    rule: str
    masked: str

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return " ".join(part for part in (where, self.rule, self.masked) if part)


def mask(value: bytes) -> str:
    """Show at most four characters at each end of `value`, and of a short one nothing."""
    text = value.decode("ascii", "replace")
    if len(text) < 16:
        return "…" if text else ""
    return f"{text[:4]}…{text[-4:]}"


def find_secrets(files: Iterable[tuple[str, Path]], *, allow: Collection[str] = ()) -> list[Finding]:
    """Return what must not ship among `files`, in their order.

    Args:
        files: Root-relative posix path and the file to read.
        allow: Paths, folders or globs (posix; `*` crosses folders) that are let through.

    Raises:
        PackagingError: A file cannot be read.
    """
    allowed = tuple(pattern.removeprefix("./").rstrip("/") for pattern in allow)
    findings: list[Finding] = []
    for path, source in files:
        if allowed and _is_allowed(path, allowed):
            continue
        try:
            findings += _in_file(path, source)
        except OSError as error:
            raise PackagingError(
                f"{path} cannot be read: {error.strerror or error}",
                hint="make it readable, or leave it out with .wheelrunignore",
            ) from error
    return findings


def refuse(findings: Collection[Finding]) -> NoReturn:
    """Stop the build over `findings`.

    Raises:
        SecretError: Always.
    """
    shown = [f"  {finding}" for finding in list(findings)[:_SHOWN]]
    if len(findings) > _SHOWN:
        shown.append(f"  … and {len(findings) - _SHOWN} more")
    count = "a secret" if len(findings) == 1 else f"{len(findings)} secrets"
    first = next(iter(findings)).path
    raise SecretError(
        "\n".join([f"{count} would ship in the wheel:", *shown]),
        hint=f"leave it out with .wheelrunignore; if it is no secret, --allow-secret {first} lets it through"
        f' once, and allow_secrets = ["{first}"] in [tool.wheelrun.package] for good',
    )


def _is_allowed(path: str, allowed: tuple[str, ...]) -> bool:
    return any(
        path == pattern or path.startswith(f"{pattern}/") or fnmatchcase(path, pattern) for pattern in allowed
    )


def _in_file(path: str, source: Path) -> list[Finding]:
    kind = kind_of(path)
    with source.open("rb", buffering=0) as stream:
        if kind:
            named = list(_by_name(path, kind, stream.read(_NAMED_LIMIT)))
            if named:  # no list is needed of what else is in it
                return named[:_PER_FILE]
            stream.seek(0)
        return _by_content(path, stream)


def _by_name(path: str, kind: NamedFile, data: bytes) -> Iterator[Finding]:
    for line, value in kind.check(data):
        yield Finding(path=path, line=line, rule=kind.name, masked=mask(value))


def _by_content(path: str, stream: RawIOBase) -> list[Finding]:
    """Look for tokens, a window at a time, so that a file of any size takes the same memory."""
    findings: list[Finding] = []
    chunks = _chunks(stream)
    data, start, line = next(chunks, b""), 0, 1
    while data and len(findings) < _PER_FILE:
        following = next(chunks, b"")
        stop = max(start, len(data) - _AFTER) if following else len(data)
        if _may_hold_token(data):
            findings += _in_window(path, data, start, stop, line)
        if not following:
            break
        keep = max(0, stop - _BEFORE)
        line += data.count(b"\n", 0, keep)
        data, start = data[keep:] + following, stop - keep
    return sorted(findings[:_PER_FILE], key=lambda finding: finding.line)


def _chunks(stream: RawIOBase) -> Iterator[bytes]:
    """Read a text; of UTF-16 leave the ASCII, all that a token is made of; of a binary file read nothing."""
    chunk = stream.read(_WINDOW)
    wide = chunk is not None and chunk.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not wide and b"\0" in (chunk or b"")[:8192]:
        return
    while chunk:
        yield chunk.replace(b"\0", b"") if wide else chunk
        # A regular file that gave less than was asked for is at its end.
        chunk = stream.read(_WINDOW) if len(chunk) == _WINDOW else b""


def _in_window(path: str, data: bytes, start: int, stop: int, line: int) -> Iterator[Finding]:
    """Yield the tokens that begin between `start` and `stop`; `line` is the first line of `data`."""
    taken: list[tuple[int, int]] = []
    for rule in RULES:
        if not any(literal in data for literal in rule.literals):
            continue
        for match in compiled(rule.pattern).finditer(data):
            begin = match.start(1)
            if not start <= match.start() < stop or any(first <= begin < last for first, last in taken):
                continue
            if not rule.check(match) or _is_marked(data, begin):
                continue
            taken.append(match.span())
            whole = match[0] if _BARE(match[0]) else match[1]
            number = line + data.count(b"\n", 0, begin)
            yield Finding(path=path, line=number, rule=rule.name, masked=mask(whole))


def _is_marked(data: bytes, position: int) -> bool:
    """Whether the line says, in a detector's own words, that it was looked at and is no secret."""
    end = data.find(b"\n", position)
    text = data[data.rfind(b"\n", 0, position) + 1 : end if end >= 0 else len(data)]
    return any(mark in text for mark in _MARKS)


@cache
def _prefilter() -> tuple[tuple[bytes, ...], re.Pattern[bytes]]:
    """Put the literals of all rules into one search that most files leave empty-handed.

    A literal is entered by its rarest byte, with what stands before it as a look-behind: the regex engine
    steps over everything else at the speed of a table look-up, six times faster than it tries literals in
    turn. The few literals that are made of common letters only are left to plain substring search.
    """
    common: list[bytes] = []
    by_byte: defaultdict[int, list[bytes]] = defaultdict(list)
    for literal in {literal for rule in RULES for literal in rule.literals}:
        rank, at = max((_rarity(byte), at) for at, byte in enumerate(literal))
        if rank < _RARE:
            common.append(literal)
            continue
        before, after = literal[: at + 1], literal[at + 1 :]
        by_byte[literal[at]].append((b"(?<=%s)" % re.escape(before) if at else b"") + re.escape(after))
    groups = (
        re.escape(bytes([byte])) + b"(?:%s)" % b"|".join(sorted(tails)) for byte, tails in by_byte.items()
    )
    return tuple(common), re.compile(b"|".join(groups))


def _rarity(byte: int) -> int:
    rank = _BY_FREQUENCY.find(byte)
    return rank if rank >= 0 else len(_BY_FREQUENCY)


def _may_hold_token(data: bytes) -> bool:
    common, rare = _prefilter()
    return any(literal in data for literal in common) or rare.search(data) is not None
