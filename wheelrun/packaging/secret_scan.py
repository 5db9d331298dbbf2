"""One file of the secret guard: read a window at a time, searched for all rules at once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from io import RawIOBase
from itertools import islice
from pathlib import Path

from wheelrun.packaging.secret_files import NamedFile, kind_of
from wheelrun.packaging.secret_rules import RULES, TokenRule, compiled
from wheelrun.packaging.secrets import Finding

_WINDOW = 64 << 10
_AFTER = 8 << 10  # how far a match, or what its check looks at, reaches ahead
_BEFORE = 512  # and back
_NAMED_LIMIT = 1 << 20
_PER_FILE = 100
_MARKS = (b"pragma: allowlist secret", b"gitleaks:allow")
_BARE = re.compile(rb"[\w.~/+-]+").fullmatch  # a match that is the value, without a setting's name before it
_BY_FREQUENCY = b" etsoianrl\ndc\"_fpum.hybg:=,()kNvw[]TESOARxI-DC`P/L'qz{}Uj>MF0G#12@BWVHJ*3KY4X6Q5\\8|+97<Z!;"
_RARE = 21  # the bytes up to "h" make out four fifths of Python source


def scan_file(path: str, source: Path) -> list[Finding]:
    """Return the secrets in the file `source` that would ship as `path`; a hundred are enough."""
    kind = kind_of(path)
    with source.open("rb", buffering=0) as stream:
        if kind:
            named = list(islice(_by_name(path, kind, stream.read(_NAMED_LIMIT)), _PER_FILE))
            if named:  # no list is needed of what else is in it
                return named
            stream.seek(0)
        return _by_content(path, stream)


def token_in(text: str) -> str | None:
    """Return what kind of live token a text holds, None if it holds none."""
    data = text.encode("utf-8", "surrogatepass")
    return next((rule.name for _, rule, _ in _tokens(data)), None)


def mask(value: bytes) -> str:
    """Show at most four characters at each end of `value`, and of a short one nothing."""
    text = value.decode("ascii", "replace")
    if len(text) < 16:
        return "…" if text else ""
    return f"{text[:4]}…{text[-4:]}"


def _by_name(path: str, kind: NamedFile, data: bytes) -> Iterator[Finding]:
    for line, value in kind.check(data):
        yield Finding(path=path, line=line, rule=kind.name, masked=mask(value))


def _by_content(path: str, stream: RawIOBase) -> list[Finding]:
    """Look for tokens, a window at a time, so that a file of any size takes the same memory."""
    findings: list[Finding] = []
    chunks = _chunks(stream)
    data, start, line = next(chunks, b""), 0, 1
    while data:
        following = next(chunks, b"")
        stop = max(start, len(data) - _AFTER) if following else len(data)
        for position, rule, value in _tokens(data):
            if start <= position < stop:
                number = line + data.count(b"\n", 0, position)
                findings.append(Finding(path=path, line=number, rule=rule.name, masked=mask(value)))
            if len(findings) >= _PER_FILE:
                break
        if not following or len(findings) >= _PER_FILE:
            break
        keep = max(0, stop - _BEFORE)
        line += data.count(b"\n", 0, keep)
        data, start = data[keep:] + following, stop - keep
    return sorted(findings, key=lambda finding: finding.line)


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


def _tokens(data: bytes) -> Iterator[tuple[int, TokenRule, bytes]]:
    """Yield position, rule and value of each live token."""
    taken: list[tuple[int, int]] = []
    for rule, position in _hits(data):
        if any(first <= position < last for first, last in taken):
            continue
        pattern = compiled(rule.pattern)
        # Only where a match can begin, so that a file full of such words costs no more than its length.
        for begin in range(max(0, position - rule.reach), position + 1):
            match = pattern.match(data, begin)
            if match and match.end() > position:
                if rule.check(match) and not _is_marked(data, match.start(1)):
                    taken.append(match.span())
                    yield match.start(1), rule, match[0] if _BARE(match[0]) else match[1]
                break


def _hits(data: bytes) -> Iterator[tuple[TokenRule, int]]:
    """Yield where a literal of a rule stands."""
    index = _index()
    for literal, rule in index.common:
        position = data.find(literal)
        while position >= 0:
            yield rule, position
            position = data.find(literal, position + 1)
    for match in index.rare.finditer(data):
        for literal, offset, rule in index.by_byte[data[match.start()]]:
            position = match.start() - offset
            if position >= 0 and data.startswith(literal, position):
                yield rule, position


def _is_marked(data: bytes, position: int) -> bool:
    """Whether the line says, in a detector's own words, that it was looked at and is no secret."""
    end = data.find(b"\n", position)
    text = data[data.rfind(b"\n", 0, position) + 1 : end if end >= 0 else len(data)]
    return any(mark in text for mark in _MARKS)


@dataclass(frozen=True, slots=True)
class _Index:
    common: tuple[tuple[bytes, TokenRule], ...]
    rare: re.Pattern[bytes]
    by_byte: Mapping[int, list[tuple[bytes, int, TokenRule]]]


@cache
def _index() -> _Index:
    """Put the literals of all rules into one search that most files leave empty-handed.

    A literal is entered by its rarest byte, with what stands before it as a look-behind: the regex engine
    steps over everything else at the speed of a table look-up, six times faster than it tries literals in
    turn. The few literals that are made of common letters only are left to plain substring search.
    """
    common: list[tuple[bytes, TokenRule]] = []
    by_byte: defaultdict[int, list[tuple[bytes, int, TokenRule]]] = defaultdict(list)
    for rule in RULES:
        for literal in rule.literals:
            rank, at = max((_rarity(byte), at) for at, byte in enumerate(literal))
            if rank < _RARE:
                common.append((literal, rule))
            else:
                by_byte[literal[at]].append((literal, at, rule))
    groups = []
    for byte, entries in by_byte.items():
        tails = {
            (b"(?<=%s)" % re.escape(literal[: at + 1]) if at else b"") + re.escape(literal[at + 1 :])
            for literal, at, _ in entries
        }
        groups.append(re.escape(bytes([byte])) + b"(?:%s)" % b"|".join(sorted(tails)))
    return _Index(tuple(common), re.compile(b"|".join(groups)), by_byte)


def _rarity(byte: int) -> int:
    rank = _BY_FREQUENCY.find(byte)
    return rank if rank >= 0 else len(_BY_FREQUENCY)
