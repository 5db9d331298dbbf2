"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        check: What was looked at.
        ok: Whether it is as it has to be.
        detail: What is there, or what is wrong.
        remedy: What to do about it; None if nothing has to be done.
        traceback: The user's traceback, where their code raised.
    """

    check: str
    ok: bool
    detail: str
    remedy: str | None = None
    traceback: str | None = None
