"""Requests held against the official client's own models: which fields there are, and of what type."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from wheelrun.emulator.errors import ApiError

_NUMBERS = {int: (int,), float: (int, float)}
_WORDS = {"true": True, "false": False}


class QueryText(str):
    """A value of a query, which may be all of a list."""

    __slots__ = ()


def checked(like: Callable[..., Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request, once each is known to the client's method, and of the type it has there.

    Numbers and truth values that came as text, as a query has them, are returned as such.

    Args:
        like: The method, such as `JobsAPI.submit`.
        fields: The request's fields.

    Raises:
        ApiError: one is unknown, of another type, or missing.
    """
    known, needed = _parameters(like)
    return _fields(known, needed, fields, "")


def checked_object(model: type, fields: Mapping[str, Any], *, place: str = "") -> dict[str, Any]:
    """Return the fields of an object, once they are those of the client's dataclass; see `checked`."""
    known, needed = _attributes(model)
    return _fields(known, needed, fields, place)


@functools.cache
def _parameters(like: Callable[..., Any]) -> tuple[dict[str, Any], frozenset[str]]:
    hints = typing.get_type_hints(like)
    parameters = [item for name, item in inspect.signature(like).parameters.items() if name != "self"]
    return (
        {item.name: hints.get(item.name, Any) for item in parameters},
        frozenset(item.name for item in parameters if item.default is item.empty),
    )


@functools.cache
def _attributes(model: type) -> tuple[dict[str, Any], frozenset[str]]:
    missing = dataclasses.MISSING
    return typing.get_type_hints(model), frozenset(
        item.name for item in dataclasses.fields(model) if item.default is missing and item.default_factory is missing
    )


def _fields(known: Mapping[str, Any], needed: frozenset[str], fields: Mapping[str, Any], place: str) -> dict[str, Any]:
    for name in fields:
        if name not in known:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Unknown field {_at(place, name)!r}")
    given = {name: value for name, value in fields.items() if value is not None}
    for name in sorted(needed - set(given)):
        raise ApiError("INVALID_PARAMETER_VALUE", f"Missing required field: {_at(place, name)}")
    return {name: _value(known[name], value, _at(place, name)) for name, value in given.items()}


def _value(hint: Any, value: Any, place: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        (hint,) = (item for item in arguments if item is not type(None))
        return _value(hint, value, place)
    if origin is list:
        if isinstance(value, QueryText):
            value = [value]
        return [_value(arguments[0], item, f"{place}[{index}]") for index, item in enumerate(_is(list, value, place))]
    if origin is dict:
        return {name: _value(arguments[1], item, f"{place}.{name}") for name, item in _is(dict, value, place).items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return checked_object(hint, _is(dict, value, place), place=place)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _member(hint, value, place)
    return _plain(hint, value, place)


def _member(hint: type[Enum], value: Any, place: str) -> Any:
    words = [member.value for member in hint]
    if value not in words:
        raise ApiError("INVALID_PARAMETER_VALUE", f"{place}: {value!r} is not one of {', '.join(words)}")
    return value


def _plain(hint: Any, value: Any, place: str) -> Any:
    if hint is bool:
        return _is(bool, _WORDS.get(value.lower(), value) if isinstance(value, str) else value, place)
    if hint in _NUMBERS:
        if isinstance(value, str):
            try:
                value = hint(value)
            except ValueError:
                raise _other(hint, value, place) from None
        if isinstance(value, bool) or not isinstance(value, _NUMBERS[hint]):
            raise _other(hint, value, place)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ApiError(
                "MALFORMED_REQUEST", f"Could not parse request object: {place} must be an integer of 64 bits"
            )
        return value
    return _is(str, value, place) if hint is str else value


def _is(kind: type, value: Any, place: str) -> Any:
    if not isinstance(value, kind):
        raise _other(kind, value, place)
    return value


_NAMES = {
    bool: "a boolean",
    dict: "an object",
    float: "a number",
    int: "an integer",
    list: "a list",
    type(None): "null",
}


def _other(kind: type, value: Any, place: str) -> ApiError:
    given = "a string" if isinstance(value, str) else _NAMES.get(type(value), type(value).__name__)
    return ApiError(
        "MALFORMED_REQUEST",
        f"Could not parse request object: {place} must be {_NAMES.get(kind, 'a string')}, not {given}",
    )


def _at(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
