"""What never ships, decided in one place: built-in rules and the project's ignore files.

The built-in rules come first and cannot be taken back. Then a `.wheelrunignore` at the root speaks alone if
there is one; else git's files do, with git's precedence: the `.gitignore` nearest to a file first, up to the
top of the repository that holds the project, then `.git/info/exclude`. A folder left out is not walked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from wheelrun.errors import PackagingError
from wheelrun.packaging.gitignore import PatternTable, byte_text, parse
from wheelrun.runtime.layout import OWN_MARK

BUILT_IN = "built-in"
IGNORE_FILE = ".wheelrunignore"
_GIT_FILE = ".gitignore"

#: Names of files and folders that never ship, and what they are.
_NAMES = {
    ".git": "version control",
    ".hg": "version control",
    ".svn": "version control",
    ".bzr": "version control",
    "__pycache__": "compiled Python",
    "node_modules": "installed packages",
    ".eggs": "build output",
    ".mypy_cache": "tool cache",
    ".ruff_cache": "tool cache",
    ".pytest_cache": "tool cache",
    ".hypothesis": "tool cache",
    ".tox": "tool environments",
    ".nox": "tool environments",
    ".ipynb_checkpoints": "editor state",
    ".idea": "editor state",
    ".vscode": "editor state",
    ".DS_Store": "desktop state",
    "spark-warehouse": "local Spark state",
    "metastore_db": "local Spark state",
    "derby.log": "local Spark state",
    ".wheelrun": "wheelrun's own state",
}
_SUFFIXES = {".pyc": "compiled Python", ".pyo": "compiled Python", ".egg-info": "build output"}
_ANY_SUFFIX = tuple(_SUFFIXES)
#: A folder with one of these in it is an environment.
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
#: At the root these are build output, unless they are packages.
_OUTPUT_FOLDERS = frozenset({"build", "dist"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule that leaves something out: its text and where it stands.

    Attributes:
        text: What an ignore file's line says, or what a built-in rule is about.
        source: "built-in", or file and line such as "pkg/.gitignore:1".
    """

    text: str
    source: str

    def __str__(self) -> str:
        separator = ": " if self.source == BUILT_IN else " "
        return f"{self.source}{separator}{self.text}"


_NAME_RULES = {name: Rule(text=f"{text} ({name})", source=BUILT_IN) for name, text in _NAMES.items()}
_SUFFIX_RULES = {end: Rule(text=f"{text} (*{end})", source=BUILT_IN) for end, text in _SUFFIXES.items()}
_ENVIRONMENT = Rule(text="virtual environment", source=BUILT_IN)
_OWN = Rule(text="wheelrun's own folder", source=BUILT_IN)
_OUTPUT = Rule(text="build output", source=BUILT_IN)


def never_ships(relpath: str) -> Rule | None:
    """Return the built-in rule that a path, or a folder that it is in, falls under by its name alone."""
    for name in relpath.split("/"):
        if rule := _by_name(name):
            return rule
    return None


def _by_name(name: str) -> Rule | None:
    if name in _NAME_RULES:
        return _NAME_RULES[name]
    if name.endswith(_ANY_SUFFIX):
        return next(rule for end, rule in _SUFFIX_RULES.items() if name.endswith(end))
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _IgnoreFile:
    """One ignore file in force.

    Attributes:
        label: Its path for people.
        table: Its patterns.
        cut: How many characters of a root-relative path stand above its folder (a file below the root).
        above: What stands between its folder and the root (a file above the root), with a slash at the end.
    """

    label: str
    table: PatternTable
    cut: int = 0
    above: str = ""


class Folder:
    """The rules in force for the children of one folder.

    Args:
        rules: What it belongs to.
        prefix: Its path below the root with a slash at the end; "" for the root.
        files: The ignore files in force, the deepest first.
    """

    __slots__ = ("_files", "_heads", "_prefix", "_rules")

    def __init__(self, rules: IgnoreRules, prefix: str, files: tuple[_IgnoreFile, ...]) -> None:
        self._rules = rules
        self._prefix = prefix
        self._files = files
        key = byte_text(prefix)
        # What stands before a child's name in the path that each ignore file sees.
        self._heads = tuple((file, file.above + key[file.cut :]) for file in files)

    def check(self, name: str, *, is_dir: bool) -> Rule | None:
        """Return the rule that leaves this child out, as far as its name tells."""
        if rule := _by_name(name):
            return rule
        if not self._heads:
            return None
        key = byte_text(name)
        for file, head in self._heads:
            pattern = file.table.decide(key, head + key, is_dir=is_dir)
            if pattern is not None:
                if pattern.negated:
                    return None
                return Rule(text=pattern.text, source=f"{file.label}:{pattern.line}")
        return None

    def enter(self, name: str, names: Collection[str]) -> Folder | Rule:
        """Go into a child folder that holds `names`: its rules, or the rule that its content falls under."""
        if any(mark in names for mark in _ENVIRONMENT_MARKS):
            return _ENVIRONMENT
        if OWN_MARK in names:
            return _OWN
        if not self._prefix and name in _OUTPUT_FOLDERS and "__init__.py" not in names:
            return _OUTPUT
        prefix = f"{self._prefix}{name}/"
        files = self._files
        if _GIT_FILE in names and self._rules.uses_git:
            own = self._rules.root / prefix / _GIT_FILE
            files = (*_read(own, prefix + _GIT_FILE, cut=len(byte_text(prefix))), *files)
        return Folder(self._rules, prefix, files)


class IgnoreRules:
    """The rules in force below one root.

    Args:
        root: An absolute folder.

    Raises:
        PackagingError: An ignore file that is there cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        own = root / IGNORE_FILE
        #: Whether git's ignore files count.
        self.uses_git = not own.is_file()
        files = self._git_files() if self.uses_git else _read(own, IGNORE_FILE)
        #: The rules for what stands at the root.
        self.top = Folder(self, "", tuple(files))

    def match(self, relpath: str, is_dir: bool) -> Rule | None:
        """Return the rule that leaves a path out, or None if it may ship.

        Args:
            relpath: Posix, relative to the root; nothing has to be there.
            is_dir: Whether it is a folder. A link to a folder is a file, as for git.
        """
        folder = self.top
        *parents, last = relpath.strip("/").split("/")
        for depth, name in enumerate([*parents, last]):
            inside = depth < len(parents) or is_dir
            if rule := folder.check(name, is_dir=inside):
                return rule
            if inside:
                below = folder.enter(name, _names(self.root.joinpath(*parents[:depth], name)))
                if isinstance(below, Rule):
                    return below
                folder = below
        return None

    def _git_files(self) -> list[_IgnoreFile]:
        """Return the root's `.gitignore` and what git reads above it, the nearest first."""
        here = list(_read(self.root / _GIT_FILE, _GIT_FILE))
        top = next((folder for folder in (self.root, *self.root.parents) if (folder / ".git").exists()), None)
        if top is None:
            return here
        outer = list(self._above(top))
        if top != self.root and _is_ignored(outer, self.root.relative_to(top).as_posix()):
            # A project in a folder that its repository ignores is there on purpose: its own rules count.
            return here
        return [*here, *outer]

    def _above(self, top: Path) -> Iterator[_IgnoreFile]:
        """Yield the ignore files of the repository `top` that stand above the root, and its private one."""
        folder, above, climb = self.root, "", ""
        while folder != top:
            above = byte_text(folder.name) + "/" + above
            climb += "../"
            folder = folder.parent
            yield from _read(folder / _GIT_FILE, climb + _GIT_FILE, above=above)
        yield from _read(_git_folder(top) / "info" / "exclude", f"{climb}.git/info/exclude", above=above)


def _is_ignored(files: list[_IgnoreFile], relpath: str) -> bool:
    """Tell whether ignore files above the root leave out the root itself, or a folder that it stands in.

    Args:
        files: The nearest first; each knows by `above` how far up it stands.
        relpath: The root's path below the repository's top.
    """
    parts = byte_text(relpath).split("/")
    for depth, name in enumerate(parts, 1):
        for file in files:
            start = len(parts) - file.above.count("/")
            if start >= depth:
                continue
            pattern = file.table.decide(name, "/".join(parts[start:depth]), is_dir=True)
            if pattern is not None:
                if not pattern.negated:
                    return True
                break
    return False


def _read(path: Path, label: str, *, cut: int = 0, above: str = "") -> Iterator[_IgnoreFile]:
    """Yield the ignore file at `path` if it is there and says anything."""
    try:
        patterns = parse(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    except OSError as error:
        raise PackagingError(
            f"{path} cannot be read: {error.strerror}", hint="Make it readable, or remove it."
        ) from error
    if patterns:
        yield _IgnoreFile(label=label, table=PatternTable(patterns), cut=cut, above=above)


def _git_folder(top: Path) -> Path:
    """Return the folder that holds a repository's `info/`, also of a worktree or a submodule."""
    marker = top / ".git"
    try:
        text = marker.read_text(encoding="utf-8")
        folder = top / text.removeprefix("gitdir:").strip()
        common = folder / "commondir"
        return folder / common.read_text(encoding="utf-8").strip() if common.is_file() else folder
    except (OSError, UnicodeDecodeError):
        # A plain repository: `.git` is a folder.
        return marker


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in folder.iterdir())
    except OSError:
        # Nothing there, or not for us to see: its name alone decides.
        return frozenset()
