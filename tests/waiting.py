"""Waiting for what a test has set off."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], *, within: float = 300.0) -> T:
    """Wait until a condition holds, and return what it gave; fail if that takes longer than so many seconds."""
    limit = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < limit, "it did not come about"
        time.sleep(0.02)
    return found
