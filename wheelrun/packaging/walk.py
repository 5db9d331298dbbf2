"""Walk a source root: every file that no rule leaves out, links followed as far as they stay inside.

What one folder holds is listed once, folders that a rule leaves out are never listed, and decisions are made on
strings: this is the part that a large repository's size is felt in.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from wheelrun.errors import PackagingError
from wheelrun.packaging.ignore import Folder, IgnoreRules, Rule, never_ships

# Links between folders can multiply a small tree without end.
_MOST_LINKED_FOLDERS = 10_000
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of the tree.

    Attributes:
        path: Posix, relative to the project's root.
        source: The real file to read.
        size: Bytes.
        executable: Whether its owner may execute it.
        arcname: Its path in the wheel; "" when the project's own backend decides.
    """

    path: str
    source: Path
    size: int
    executable: bool = False
    arcname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excluded:
    """A file or a whole folder (its path ends with "/") that does not ship, and the rule that did it."""

    path: str
    rule: str


@dataclass(slots=True, kw_only=True)
class Found:
    """What a walk found, in no order."""

    entries: list[Entry] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class TreeChangedError(PackagingError):
    """A file or folder went away between its listing and its reading."""


class _Pending(NamedTuple):
    """A folder to walk.

    Attributes:
        path: Where it is listed.
        real: The same without links.
        prefix: Its path below the root, with a slash at the end; "" for the root.
        name: The last part of it.
        rules: The rules of its parent.
        above: The folder it was found in, and so on: what a link back to would loop.
    """

    path: str
    real: str
    prefix: str
    name: str
    rules: Folder
    above: _Pending | None


def walk(root: Path, *, strip: str | None = None) -> Found:
    """List what may ship below `root`.

    Args:
        root: Absolute, resolved.
        strip: Each entry's arcname is its path without this start; None leaves it "".

    Raises:
        PackagingError: A folder or an ignore file is unreadable, or links multiply the tree without end.
    """
    walker = _Walker(root, strip)
    walker.run()
    return walker.found


def summary(names: list[str]) -> str:
    """Return the first names, sorted, and how many more there are."""
    shown = ", ".join(sorted(names)[:_MOST_NAMED])
    return shown if len(names) <= _MOST_NAMED else f"{shown} and {len(names) - _MOST_NAMED} more"


class _Walker:
    def __init__(self, root: Path, strip: str | None) -> None:
        self.found = Found()
        self._root = str(root)
        self._inside = self._root.rstrip("/") + "/"
        self._strip = strip
        self._rules = IgnoreRules(root)
        self._pending: list[_Pending] = []
        self._linked_folders = 0
        self._odd: dict[str, list[str]] = {}

    def run(self) -> None:
        top = self._rules.top
        self._walk(_Pending(self._root, self._root, "", "", top, None), top)
        while self._pending:
            folder = self._pending.pop()
            self._walk(folder, None)
        for reason in sorted(self._odd):
            self.found.warnings.append(f"left out, {reason}: {summary(self._odd[reason])}")

    def _walk(self, folder: _Pending, rules: Folder | Rule | None) -> None:
        try:
            with os.scandir(folder.path) as listing:
                items = list(listing)
        except OSError as error:
            raise unreadable(folder.path, error) from error
        if rules is None:
            rules = folder.rules.enter(folder.name, {item.name for item in items})
        if isinstance(rules, Rule):
            self.found.excluded.append(Excluded(path=folder.prefix, rule=str(rules)))
            return
        prefix, check = folder.prefix, rules.check
        for item in items:
            name = item.name
            path = prefix + name
            is_dir = item.is_dir(follow_symlinks=False)
            if rule := check(name, is_dir=is_dir):
                self.found.excluded.append(Excluded(path=path + "/" if is_dir else path, rule=str(rule)))
            elif not _is_text(name):
                self._leave_out(path.encode("utf-8", "backslashreplace").decode(), "file name is not UTF-8")
            elif is_dir:
                self._pending.append(_Pending(item.path, f"{folder.real}/{name}", f"{path}/", name, rules, folder))
            elif item.is_symlink():
                self._follow(item, path, rules, folder)
            else:
                try:
                    self._take(path, item.path, item.stat())
                except OSError as error:
                    raise unreadable(item.path, error) from error

    def _take(self, path: str, source: str, status: os.stat_result) -> None:
        mode = status.st_mode
        if not stat.S_ISREG(mode):
            self._leave_out(path, "special file")
            return
        arcname = "" if self._strip is None else path.removeprefix(self._strip)
        self.found.entries.append(
            Entry(
                path=path,
                source=Path(source),
                size=status.st_size,
                executable=bool(mode & stat.S_IXUSR),
                arcname=arcname,
            )
        )

    def _follow(self, item: os.DirEntry[str], path: str, rules: Folder, folder: _Pending) -> None:
        """Take what a link points to as content, if it is there, inside the root and no loop."""
        try:
            real = os.path.realpath(item.path, strict=True)
            status = os.stat(real)  # noqa: PTH116 - strings on purpose
        except OSError:
            self._leave_out(path, "broken link")
            return
        if real != self._root and not real.startswith(self._inside):
            self._leave_out(path, "link out of the project")
        elif rule := never_ships(real[len(self._inside) :]):
            self.found.excluded.append(Excluded(path=path, rule=f"link to {rule}"))
        elif not stat.S_ISDIR(status.st_mode):
            self._take(path, real, status)
        elif _is_within(real, folder):
            self._leave_out(path, "link in a loop")
        else:
            self._linked_folders += 1
            if self._linked_folders > _MOST_LINKED_FOLDERS:
                raise PackagingError(
                    f"links between the folders of {self._root} multiply it without end; one is {path}",
                    hint="Leave links out with lines in .wheelrunignore or .gitignore.",
                )
            self._pending.append(_Pending(item.path, real, f"{path}/", item.name, rules, folder))

    def _leave_out(self, path: str, reason: str) -> None:
        self.found.excluded.append(Excluded(path=path, rule=reason))
        self._odd.setdefault(reason, []).append(path)


def _is_text(name: str) -> bool:
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_within(real: str, folder: _Pending | None) -> bool:
    while folder is not None:
        if folder.real == real:
            return True
        folder = folder.above
    return False


def unreadable(path: str, error: OSError) -> PackagingError:
    """Return the error for a file or folder that cannot be read, or is gone since its folder was listed."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return TreeChangedError(
            f"{path} went away while the project was read", hint="Try again when nothing changes the project."
        )
    return PackagingError(
        f"{path} cannot be read: {error.strerror}",
        hint="Make it readable, or leave it out with a line in .wheelrunignore or .gitignore.",
    )
