"""The secret guard: nothing that is somebody's live credential goes into a wheel.

A file is looked at twice (`secret_scan`): by its name (`secret_files`), and by its text (`secret_rules`).
Only what would ship is looked at. The guard errs towards silence: what it names is almost surely a secret,
since a false alarm teaches people to switch it off.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NoReturn

from wheelrun.errors import PackagingError, SecretError

RULES_VERSION = 1
"""Raised with every change of what is found, so that a cached "nothing found" is not believed for ever."""

_SHOWN = 20


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


def find_secrets(files: Iterable[tuple[str, Path]], *, allow: Collection[str] = ()) -> list[Finding]:
    """Return what must not ship among `files`, in their order.

    Args:
        files: Root-relative posix path and the file to read.
        allow: Paths, folders or globs (posix; `*` crosses folders) that are let through.

    Raises:
        PackagingError: A file cannot be read.
    """
    # The rules' patterns take a while to compile, and most builds find their tree in the cache.
    from wheelrun.packaging.secret_scan import scan_file

    allowed = tuple(pattern.removeprefix("./").rstrip("/") for pattern in allow)
    findings: list[Finding] = []
    for path, source in files:
        if allowed and _is_allowed(path, allowed):
            continue
        try:
            findings += scan_file(path, source)
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
    return any(path == pattern or path.startswith(f"{pattern}/") or fnmatchcase(path, pattern) for pattern in allowed)
