"""A TOML file and its tables, read key by key.

Messages name the file, the key, the value and what was expected there.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from wheelrun.config.units import DURATION_FORM, SIZE_FORM, parse_duration, parse_size
from wheelrun.errors import ConfigurationError, nearest

Reader = Callable[[Any], Any]
"""Returns the value in the form that is kept, or raises `Unfit`."""


class Unfit(ValueError):  # noqa: N818 - it is caught at once and never seen
    """A value is not what its key expects; the message says what that is."""


def parse_toml(file: Path) -> dict[str, Any]:
    """Parse a file.

    Raises:
        ConfigurationError: It cannot be read or is not TOML; the line is named.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{file}:{line}: not UTF-8", hint="save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        text, _, place = str(error).rpartition(" (at ")
        number = re.search(r"line (\d+)", place)
        where = f"{file}:{number[1]}" if number else f"{file}, at its end"
        raise ConfigurationError(f"{where}: invalid TOML: {text or error}") from error


def read_table(table: Mapping[str, Any], readers: Mapping[str, Reader], where: str) -> dict[str, Any]:
    """Return the values of the keys that `table` has.

    Raises:
        ConfigurationError: A key is not in `readers`, or its reader refuses the value.
    """
    values = {}
    for key, value in table.items():
        if key not in readers:
            raise unknown_key(key, where, readers)
        try:
            values[key] = readers[key](value)
        except Unfit as error:
            raise ConfigurationError(f"{where}: {key} = {echo(key, value)} is not {error}") from None
    return values


def text(value: Any) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise Unfit("a text")
    return value


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise Unfit("a list of texts")
    return tuple(value)


def subtable(value: Any) -> Mapping[str, Any]:
    """Read a table as it is."""
    if not isinstance(value, Mapping):
        raise Unfit("a table")
    return value


def subtables(value: Any) -> Mapping[str, Mapping[str, Any]]:
    """Read a table that holds nothing but tables."""
    if not isinstance(value, Mapping) or not all(isinstance(item, Mapping) for item in value.values()):
        raise Unfit("a table of tables, one for each name")
    return value


def strings(value: Any) -> dict[str, str]:
    """Read a flat table; numbers become text, true and false the words of a properties file."""
    return {str(key): _string(item) for key, item in subtable(value).items()}


def dotted_strings(value: Any) -> dict[str, str]:
    """Read Spark settings, whose dotted keys make nested tables when they stand unquoted in TOML."""
    flat: dict[str, str] = {}
    for key, item in subtable(value).items():
        if isinstance(item, Mapping):
            flat |= {f"{key}.{below}": text for below, text in dotted_strings(item).items()}
        else:
            flat[str(key)] = _string(item)
    return flat


def duration(value: Any) -> float:
    """Read seconds, see `parse_duration`."""
    try:
        return parse_duration(value)
    except ConfigurationError:
        raise Unfit(DURATION_FORM) from None


def size(value: Any) -> int:
    """Read bytes, see `parse_size`."""
    try:
        return parse_size(value)
    except ConfigurationError:
        raise Unfit(SIZE_FORM) from None


def unknown_key(key: str, where: str, known: Iterable[str], elsewhere: Iterable[str] = ()) -> ConfigurationError:
    """Make the error for a key that is not `known`; the nearest name may also be one from `elsewhere`."""
    names = sorted(known)
    return ConfigurationError(
        f"{where}: unknown key {key!r}{did_you_mean(key, [*names, *elsewhere])}",
        hint=f"known keys: {', '.join(names) or 'none'}",
    )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that names the nearest known name, if there is one."""
    match = nearest(name, known)
    return f"; did you mean {match!r}?" if match else ""


def echo(key: str, value: Any) -> str:
    """Show a value in a message: short, and never a credential whole."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        token = len(value) >= 20 and re.fullmatch(r"\S*\d\S*", value) is not None
        if token or re.search(r"secret|token|passw|pwd|key|credential", key, re.IGNORECASE):
            return f"'{value[:4]}…'" if len(value) >= 16 else "'…'"
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}…"


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise Unfit("a table of texts, numbers and true or false")
    return str(value)
