"""Durations and sizes as people write them: `10m`, `1h30m`, `200MB`, `8GiB`. Pure, standard library only."""

from __future__ import annotations

import math
import re
from typing import Any

from wheelrun.errors import ConfigurationError

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)", re.IGNORECASE)
# A bare letter is Spark's and the JVM's way to write a power of 1024.
_BYTES = {"": 1, "b": 1} | {
    form: base**power
    for power, letter in enumerate("kmgtp", 1)
    for form, base in ((letter, 1024), (f"{letter}b", 1000), (f"{letter}ib", 1024))
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)

DURATION_FORM = 'a duration such as "90s", "10m", "1h30m" or a number of seconds'
SIZE_FORM = 'a size such as "200MB", "8GiB" or a number of bytes'


def parse_duration(value: Any) -> float:
    """Return the seconds in `value`: a number, or text such as `90s`, `10m`, `1h30m`, `500ms`, `2d`.

    Raises:
        ConfigurationError: It is no duration, or a negative one.
    """
    seconds = _number(value) if not isinstance(value, str) else _duration_text(value)
    if seconds is None:
        raise ConfigurationError(f"{_short(value)} is not {DURATION_FORM}")
    return seconds


def parse_size(value: Any) -> int:
    """Return the bytes in `value`: a number, or text: `200MB` (powers of 1000), `8GiB` or `8g` (of 1024).

    Raises:
        ConfigurationError: It is no size, or a negative one.
    """
    size = _number(value)
    if isinstance(value, str) and (match := _SIZE.fullmatch(value)) and match[2].lower() in _BYTES:
        size = float(match[1]) * _BYTES[match[2].lower()]
    if size is None:
        raise ConfigurationError(f"{_short(value)} is not {SIZE_FORM}")
    return int(size)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None


def _duration_text(text: str) -> float | None:
    if re.fullmatch(r"\s*\d+(?:\.\d+)?\s*", text):
        return float(text)
    total, at = 0.0, 0
    while part := _DURATION_PART.match(text, at):
        total += float(part[1]) * _SECONDS[part[2].lower()]
        at = part.end()
    return total if at and not text[at:].strip() else None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
