"""Values as JSON trees and back, exactly: what comes out is equal to what went in and of the same types.

JSON's own types stand for themselves. A mapping with a single key that starts with `$` is a tag: `$tuple`, `$date`,
`$datetime`, `$time`, `$timedelta`, `$path`, `$decimal`, `$bytes`, `$enum`, `$dataclass`, `$dict` (a mapping whose keys
are not plain text) and, in arguments of a deployment, `$output`.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any


class NotPlainError(TypeError):
    """A value has no exact JSON form; the message names its type and where in the value it stands."""


def encode(value: Any, special: Callable[[Any], Any] = lambda _: None, where: str = "") -> Any:
    """Return a value as a JSON tree.

    Args:
        value: The value.
        special: Called first with each value inside; what it returns, if not None, stands for the value.
        where: Where the value stands, for the error.

    Raises:
        NotPlainError: something in it has no exact JSON form.
    """
    replaced = special(value)
    if replaced is not None:
        return replaced
    kind = type(value)
    if value is None or kind in (str, int, float, bool):
        return value
    if kind is list:
        return [encode(item, special, f"{where}[{index}]") for index, item in enumerate(value)]
    if kind is dict:
        return _encode_dict(value, special, where)
    if kind is tuple:
        return {"$tuple": [encode(item, special, f"{where}[{index}]") for index, item in enumerate(value)]}
    if kind in _SCALARS:
        return {_SCALARS[kind]: _WRITE.get(kind, str)(value)}
    if isinstance(value, Path):
        return {"$path": str(value)}
    if isinstance(value, Enum):
        return {"$enum": [_reference(kind), value.name]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        content = {item.name: getattr(value, item.name) for item in dataclasses.fields(value) if item.init}
        return {"$dataclass": [_reference(kind), _encode_dict(content, special, where)]}
    raise NotPlainError(f"{kind.__module__}.{kind.__qualname__}" + (f" at {where}" if where else ""))


def decode(tree: Any, special: Callable[[str, Any], Any] | None = None) -> Any:
    """Return the value that `encode` was given.

    Args:
        tree: A JSON tree.
        special: Called with the tag and content of each tag that this module does not know (`$output`).
    """
    if isinstance(tree, list):
        return [decode(item, special) for item in tree]
    if not isinstance(tree, Mapping):
        return tree
    if len(tree) == 1:
        ((tag, content),) = tree.items()
        if tag in _READ:
            return _READ[tag](content, special)
        if tag.startswith("$") and special is not None:
            return special(tag, content)
    return {key: decode(item, special) for key, item in tree.items()}


def display(value: Any) -> Any:
    """Return a value as JSON to be read by people and given again as a parameter: dates, paths, enums as text."""
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): display(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [display(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: display(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def resolve(reference: str) -> Any:
    """Return what "module:qualified.name" names."""
    module, _, qualified = reference.partition(":")
    target = importlib.import_module(module)
    for part in qualified.split("."):
        target = getattr(target, part)
    return target


def _reference(kind: type) -> str:
    if "<locals>" in kind.__qualname__:
        raise NotPlainError(f"{kind.__module__}.{kind.__qualname__}, which is defined inside a function")
    return f"{kind.__module__}:{kind.__qualname__}"


def _encode_dict(value: Mapping[Any, Any], special: Callable[[Any], Any], where: str) -> Any:
    plain = all(type(key) is str for key in value) and not (len(value) == 1 and next(iter(value)).startswith("$"))
    if plain:
        return {key: encode(item, special, f"{where}[{key!r}]") for key, item in value.items()}
    return {
        "$dict": [
            [encode(key, special, where), encode(item, special, f"{where}[{key!r}]")] for key, item in value.items()
        ]
    }


def _moment(kind: Any, content: Any) -> Any:
    """Read a time that may be the second of two that a clock shows when it is set back (PEP 495)."""
    if isinstance(content, str):
        return kind.fromisoformat(content)
    text, fold = content
    return kind.fromisoformat(text).replace(fold=fold)


_SCALARS: dict[type, str] = {
    date: "$date",
    datetime: "$datetime",
    time: "$time",
    timedelta: "$timedelta",
    Decimal: "$decimal",
    bytes: "$bytes",
}

_WRITE: dict[type, Callable[[Any], Any]] = {
    date: date.isoformat,
    datetime: lambda value: [value.isoformat(), value.fold] if value.fold else value.isoformat(),
    time: lambda value: [value.isoformat(), value.fold] if value.fold else value.isoformat(),
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    bytes: lambda value: base64.b64encode(value).decode(),
}

_READ: dict[str, Callable[[Any, Any], Any]] = {
    "$tuple": lambda content, special: tuple(decode(item, special) for item in content),
    "$dict": lambda content, special: {decode(key, special): decode(item, special) for key, item in content},
    "$date": lambda content, _: date.fromisoformat(content),
    "$datetime": lambda content, _: _moment(datetime, content),
    "$time": lambda content, _: _moment(time, content),
    "$timedelta": lambda content, _: timedelta(*content),
    "$decimal": lambda content, _: Decimal(content),
    "$bytes": lambda content, _: base64.b64decode(content),
    "$path": lambda content, _: Path(content),
    "$enum": lambda content, _: resolve(content[0])[content[1]],
    "$dataclass": lambda content, special: resolve(content[0])(**decode(content[1], special)),
}
