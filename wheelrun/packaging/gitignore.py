"""One ignore file in git's syntax, compiled for speed.

The rules are git's own (`man gitignore` and the behaviour of `git check-ignore`), to the byte: a name is
matched as the bytes it has on the disk, so `?` is one byte. The text that goes in and out here is therefore
*byte text*: a string with one character per byte, see `byte_text`.

Most lines of real ignore files are a name (`build/`), a suffix (`*.log`) or a prefix (`.env*`). Those are
looked up, not searched for; only the rest become regular expressions. Why not pathspec: it disagrees with
git on brackets, character classes and `**` at odd places, and importing it takes longer than hashing 2,000
files. Pure functions, no disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

_SPECIAL = re.compile(r"[*?\[\\]")
_WILD = re.compile(r"[*?\[]")


def byte_text(name: str) -> str:
    """Return a file name as byte text: one character per byte of its encoding on the disk."""
    return name if name.isascii() else os.fsencode(name).decode("latin-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One line of an ignore file.

    Attributes:
        line: Its number, from 1.
        text: The line for people.
        glob: The pattern, without `!` and the slashes at its ends; byte text.
        negated: Whether it takes back what an earlier line ignores.
        folders_only: Whether it matches folders alone.
        whole_path: Whether it is matched against the path below the ignore file, not against the name.
    """

    line: int
    text: str
    glob: str
    negated: bool
    folders_only: bool
    whole_path: bool


def parse(content: bytes) -> list[Pattern]:
    """Return the patterns of an ignore file, in the order of its lines."""
    patterns = []
    text = content.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    for number, raw in enumerate(text.split("\n"), 1):
        if raw.startswith("#"):
            continue
        line = _trim(raw.removesuffix("\r"))
        glob = line
        if negated := glob.startswith("!"):
            glob = glob[1:]
        if folders_only := glob.endswith("/"):
            glob = glob[:-1]
        whole_path = "/" in glob
        glob = glob.removeprefix("/") if whole_path else glob
        if whole_path and glob.startswith("**/") and "/" not in glob[3:]:
            # A pattern without a slash means the same, and a name is quicker to match than a path.
            glob, whole_path = glob[3:], False
        if not glob:
            continue
        patterns.append(
            Pattern(
                line=number,
                text=line.encode("latin-1").decode("utf-8", "replace"),
                glob=glob,
                negated=negated,
                folders_only=folders_only,
                whole_path=whole_path,
            )
        )
    return patterns


def _trim(line: str) -> str:
    """Drop the blanks at the end of a line, except one behind a backslash."""
    stripped = line.rstrip(" ")
    if stripped == line:
        return line
    backslashes = len(stripped) - len(stripped.rstrip("\\"))
    return stripped + " " if backslashes % 2 else stripped


class PatternTable:
    """The patterns of one ignore file, ready to be asked. The last one that matches decides."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self.patterns = tuple(patterns)

    @cached_property
    def _files(self) -> _Lookup:
        return _Lookup([pattern for pattern in self.patterns if not pattern.folders_only])

    @cached_property
    def _folders(self) -> _Lookup:
        return _Lookup(self.patterns)

    def decide(self, name: str, path: str, *, is_dir: bool) -> Pattern | None:
        """Return the pattern that decides, a negated one included, or None if none matches.

        Args:
            name: The last part of the path; byte text.
            path: The path below the ignore file's folder, posix; byte text.
            is_dir: Whether it is a folder (a link to one is not).
        """
        return (self._folders if is_dir else self._files).find(name, path)


class _Lookup:
    """Patterns sorted by how they can be found: dictionaries first, regular expressions last."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = tuple(patterns)
        self._names: dict[str, int] = {}
        self._paths: dict[str, int] = {}
        suffixes: list[tuple[str, int]] = []
        prefixes: list[tuple[str, int]] = []
        names: list[tuple[str, int]] = []
        paths: list[tuple[str, int]] = []
        for index, pattern in enumerate(self._patterns):
            glob = pattern.glob
            if not _WILD.search(glob):
                literal = _unescape(glob)
                if literal is not None:
                    (self._paths if pattern.whole_path else self._names)[literal] = index
            elif pattern.whole_path:
                _collect(paths, translate(glob, whole_path=True), index)
            elif glob[0] == "*" and not _SPECIAL.search(glob, 1):
                suffixes.append((glob[1:], index))
            elif glob[-1] == "*" and not _SPECIAL.search(glob[:-1]):
                prefixes.append((glob[:-1], index))
            else:
                _collect(names, translate(glob, whole_path=False), index)
        # Reversed: the last line that matches decides, so it is asked first.
        self._suffixes, self._any_suffix = suffixes[::-1], tuple(text for text, _ in suffixes)
        self._prefixes, self._any_prefix = prefixes[::-1], tuple(text for text, _ in prefixes)
        self._name_regexes, self._any_name = _compile(names)
        self._path_regexes, self._any_path = _compile(paths)

    def find(self, name: str, path: str) -> Pattern | None:
        """Return the last pattern that matches."""
        best = self._names.get(name, -1)
        if name.endswith(self._any_suffix):
            best = max(best, next(index for text, index in self._suffixes if name.endswith(text)))
        if name.startswith(self._any_prefix):
            best = max(best, next(index for text, index in self._prefixes if name.startswith(text)))
        if self._paths:
            best = max(best, self._paths.get(path, -1))
        if self._any_name is not None and self._any_name.fullmatch(name):
            best = max(best, next(index for regex, index in self._name_regexes if re.fullmatch(regex, name)))
        if self._any_path is not None and self._any_path.fullmatch(path):
            best = max(best, next(index for regex, index in self._path_regexes if re.fullmatch(regex, path)))
        return self._patterns[best] if best >= 0 else None


def _collect(into: list[tuple[str, int]], regex: str | None, index: int) -> None:
    if regex is not None:
        into.append((regex, index))


def _compile(regexes: list[tuple[str, int]]) -> tuple[list[tuple[str, int]], re.Pattern[str] | None]:
    """Return the regular expressions, the last line's first, and one that matches what any of them does."""
    if not regexes:
        return [], None
    return regexes[::-1], re.compile("|".join(regex for regex, _ in regexes))


def _unescape(glob: str) -> str | None:
    """Return what a glob without wildcards matches; None if a lone backslash ends it: nothing then."""
    if "\\" not in glob:
        return glob
    text = re.sub(r"\\(.)", r"\1", glob, flags=re.DOTALL)
    return None if re.search(r"(?<!\\)(?:\\\\)*\\\Z", glob) else text


def translate(glob: str, *, whole_path: bool) -> str | None:
    """Return the regular expression, for a full match, of a glob; None if nothing can match it.

    Args:
        glob: The pattern, byte text.
        whole_path: Whether `/` separates, so that `**` between slashes crosses folders and nothing else does.
    """
    first = _SPECIAL.search(glob)
    # git compares the literal start by itself: `**` right behind it counts as behind a slash.
    rest = first.start() if first else len(glob)
    parts = [re.escape(glob[:rest])]
    at = rest
    while at < len(glob):
        char = glob[at]
        if char == "*":
            bounded_left = at == rest or glob[at - 1] == "/"
            stars = len(glob) - at - len(glob[at:].lstrip("*"))
            at += stars
            bounded_right = at == len(glob) or glob.startswith(("/", "\\/"), at)
            if not (whole_path and stars > 1 and bounded_left and bounded_right):
                parts.append("[^/]*")
            elif glob.startswith("/", at):
                parts.append("(?:.*/)?")
                at += 1
            else:
                parts.append(".*")
            continue
        if char == "?":
            parts.append("[^/]")
        elif char == "[":
            bracket = _bracket(glob, at)
            if bracket is None:
                return None
            text, at = bracket
            parts.append(text)
        else:
            if char == "\\":
                at += 1
                if at == len(glob):
                    return None
            parts.append(re.escape(glob[at]))
        at += 1
    return "(?s:" + "".join(parts) + ")"


_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_PUNCTUATION = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_CLASSES = {
    "alnum": _LETTERS + _LETTERS.upper() + "0123456789",
    "alpha": _LETTERS + _LETTERS.upper(),
    "blank": " \t",
    "cntrl": "".join(map(chr, range(1, 32))) + "\x7f",
    "digit": "0123456789",
    "graph": "".join(map(chr, range(33, 127))),
    "lower": _LETTERS,
    "print": "".join(map(chr, range(32, 127))),
    "punct": _PUNCTUATION,
    "space": " \t\n\r",
    "upper": _LETTERS.upper(),
    "xdigit": "0123456789abcdefABCDEF",
}


def _bracket(glob: str, at: int) -> tuple[str, int] | None:
    """Translate the bracket expression at `at`; return it and where it closes, None if it never does."""
    chars: set[str] = set()
    at += 1
    if negated := glob.startswith(("!", "^"), at):
        at += 1
    previous = ""
    while True:
        char, following = glob[at : at + 1], glob[at + 1 : at + 2]
        if char == "-" and previous and following not in ("", "]"):
            at += 2 if following == "\\" else 1
            upper = glob[at : at + 1]
            chars.update(map(chr, range(ord(previous), ord(upper) + 1)) if upper else ())
            char = upper
            previous = ""
        elif char == "[" and following == ":" and (named := _named_class(glob, at)) is not None:
            members, at = named
            chars.update(members)
            previous = ""
        else:
            if char == "\\":
                at += 1
                char = following
            chars.add(char)
            previous = char
        at += 1
        if not char or at >= len(glob):
            return None
        if glob[at] == "]":
            return _char_class(chars, negated=negated), at


def _named_class(glob: str, at: int) -> tuple[str, int] | None:
    """Read `[:name:]` at `at`: its members and its last index; None if it is no such thing."""
    close = glob.find("]", at + 2)
    if close > at + 2 and glob[close - 1] == ":":
        name = glob[at + 2 : close - 1]
        # An unknown class makes git give up on the pattern: run off its end.
        return (_CLASSES[name], close) if name in _CLASSES else ("", len(glob))
    return ("", len(glob)) if close < 0 else None


def _char_class(chars: set[str], *, negated: bool) -> str:
    """Write a set of characters as a regular expression; it never matches a slash."""
    members = (chars | {"/"}) if negated else (chars - {"/"})
    if not members:
        return "(?!)"
    codes = "".join(f"\\x{ord(char):02x}" for char in sorted(members))
    return f"[{'^' if negated else ''}{codes}]"
