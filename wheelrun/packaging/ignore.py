"""What never ships, decided in one place: built-in rules and the project's ignore files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule that leaves something out: its text and where it stands."""

    text: str
    source: str

    def __str__(self) -> str:
        separator = ": " if self.source == "built-in" else " "
        return f"{self.source}{separator}{self.text}"


class IgnoreRules:
    """The rules in force below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def match(self, relpath: str, is_dir: bool) -> Rule | None:
        """Return the rule that leaves `relpath` out, or None if it may ship."""
        raise NotImplementedError
