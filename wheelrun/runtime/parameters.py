"""An entry's parameters, typed by annotation: from text or JSON to values, refused with names where they do not fit."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from wheelrun.errors import UsageError, nearest
from wheelrun.signatures import annotations_of, session_parameters

V = TypeVar("V")


class _UnfitError(ValueError):
    """The value does not fit; the text says what was expected."""


def bind(function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for a call of `function`: `given`, coerced to the annotations.

    Args:
        function: The entry, unwrapped or not.
        given: Parameter -> value; text (from a command line) or JSON's types (from a file or Python).

    Returns:
        The typed arguments, without those left to their defaults.

    Raises:
        UsageError: a parameter is unknown, missing, or its value does not fit; names parameter, value and type.
    """
    signature = inspect.signature(inspect.unwrap(function))
    annotations = annotations_of(function)
    injected = session_parameters(function)
    names = [
        name
        for name, parameter in signature.parameters.items()
        if name not in injected and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    ]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    for name in given:
        if name not in names and not takes_any:
            near = nearest(name, names)
            raise UsageError(
                f"there is no parameter {name!r}",
                hint=f"did you mean {near!r}?" if near else f"parameters: {', '.join(names) or 'none'}",
            )
    missing = [
        name for name in names if name not in given and signature.parameters[name].default is inspect.Parameter.empty
    ]
    if missing:
        raise UsageError(
            f"parameter {missing[0]!r} is missing" if len(missing) == 1 else f"parameters {missing} are missing",
            hint="give it with " + " ".join(f"-p {name}=<{type_name(annotations.get(name, Any))}>" for name in missing),
        )
    return {name: coerce(value, annotations.get(name, Any), name) for name, value in given.items()}


def coerce(value: Any, annotation: Any, name: str) -> Any:
    """Return `value` as the annotated type.

    Raises:
        UsageError: it does not fit; names parameter, value and expected type.
    """
    try:
        return _coerce(value, annotation)
    except _UnfitError as reason:
        detail = f" ({reason})" if str(reason) else ""
        raise UsageError(
            f"parameter {name!r}: {value!r} is not {_article(type_name(annotation))}{detail}",
            hint=_HINTS.get(annotation) if isinstance(annotation, type) else None,
        ) from None


def type_name(annotation: Any) -> str:
    """Return an annotation as a person would say it: "int", "date", "one of 'a', 'b'", "list of int"."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return "null"
    if annotation in _OPEN:
        return "value"
    if origin in (Union, types.UnionType):
        return " or ".join(type_name(argument) for argument in arguments)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, arguments))
    if origin is not None and arguments:
        inner = " to ".join(type_name(argument) for argument in arguments if argument is not Ellipsis)
        return f"{getattr(origin, '__name__', origin)} of {inner}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "one of " + ", ".join(member.name for member in annotation)
    return getattr(annotation, "__name__", str(annotation))


def _article(name: str) -> str:
    if name.startswith(("one of", "null")):
        return name
    return f"an {name}" if name[:1].lower() in "aeio" else f"a {name}"


def _coerce(value: Any, annotation: Any) -> Any:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _coerce(value, arguments[0])
    if annotation is None or annotation is type(None):
        return _null(value)
    if origin in (Union, types.UnionType):
        return _union(value, arguments)
    if origin is Literal:
        return _literal(value, arguments)
    if origin is not None:
        return _container(value, origin, arguments)
    if annotation in _OPEN or not isinstance(annotation, type):
        return value
    if issubclass(annotation, Enum):
        return _enum(value, annotation)
    if dataclasses.is_dataclass(annotation):
        return _dataclass(value, annotation)
    if annotation in _SCALARS:
        return _SCALARS[annotation](value)
    if annotation in (list, dict, tuple, set, frozenset):
        return _container(value, annotation, ())
    if isinstance(value, annotation):
        return value
    raise _UnfitError("a parameter of this type cannot be given from outside")


def _null(value: Any) -> None:
    if value is None or (isinstance(value, str) and value.lower() in ("", "none", "null")):
        return
    raise _UnfitError


def _union(value: Any, arguments: Iterable[Any]) -> Any:
    """Take the first member that fits; null before the others, so that `none` for an Optional[str] is None."""
    members = sorted(arguments, key=lambda argument: argument is not type(None))
    exact = [m for m in members if isinstance(m, type) and not isinstance(value, str) and type(value) is m]
    for member in exact or members:
        try:
            return _coerce(value, member)
        except _UnfitError:  # noqa: PERF203 - the next member may fit
            continue
    raise _UnfitError


def _literal(value: Any, members: Iterable[Any]) -> Any:
    for member in members:
        try:
            if _SCALARS.get(type(member), lambda given: given)(value) == member:
                return member
        except _UnfitError:  # noqa: PERF203 - the next member may fit
            continue
    raise _UnfitError


def _enum(value: Any, annotation: type[Enum]) -> Enum:
    if isinstance(value, annotation):
        return value
    for member in annotation:
        if value in (member.name, member.value) or str(value) == str(member.value):
            return member
    raise _UnfitError


def _container(value: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    if isinstance(origin, type) and issubclass(origin, Mapping):
        value = _json(value, "an object, as JSON") if isinstance(value, str) else value
        if not isinstance(value, Mapping):
            raise _UnfitError
        key_type, item_type = arguments or (Any, Any)
        return {_coerce(key, key_type): _coerce(item, item_type) for key, item in value.items()}
    if not (isinstance(origin, type) and issubclass(origin, Iterable)):
        return value
    if isinstance(value, str):
        value = _json(value, "a list, as JSON") if value.lstrip().startswith("[") else _split(value)
    if not isinstance(value, list | tuple | set | frozenset):
        raise _UnfitError
    if origin is tuple and arguments and Ellipsis not in arguments:
        if len(value) != len(arguments):
            raise _UnfitError(f"it has {len(value)} items, not {len(arguments)}")
        return tuple(_coerce(item, kind) for item, kind in zip(value, arguments, strict=True))
    items = [_coerce(item, arguments[0] if arguments else Any) for item in value]
    return origin(items) if origin in (tuple, set, frozenset) else items


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")] if text.strip() else []


def _json(text: str, expected: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise _UnfitError(f"expected {expected}: {error}") from None


def _dataclass(value: Any, annotation: Any) -> Any:
    if isinstance(value, annotation):
        return value
    value = _json(value, "an object, as JSON") if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        raise _UnfitError("expected an object")
    try:
        return annotation(**bind(annotation, value))
    except UsageError as error:
        raise _UnfitError(error.message) from None
    except (TypeError, ValueError) as error:
        raise _UnfitError(str(error)) from None


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    found = _BOOLS.get(value.strip().lower()) if isinstance(value, str) else None
    if found is None:
        raise _UnfitError
    return found


def _int(value: Any) -> int:
    if isinstance(value, str):
        return _parsed(int, value.strip())
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _UnfitError


def _float(value: Any) -> float:
    if isinstance(value, str):
        return _parsed(float, value.strip())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise _UnfitError


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _UnfitError


def _date(value: Any) -> date:
    if isinstance(value, datetime):
        raise _UnfitError("it has a time of day")
    if isinstance(value, date):
        return value
    return _parsed(date.fromisoformat, value)


def _datetime(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and value.endswith(("Z", "z")):
        value = value[:-1] + "+00:00"
    return _parsed(datetime.fromisoformat, value)


def _path(value: Any) -> Path:
    if isinstance(value, str | Path):
        return Path(value)
    raise _UnfitError


def _parsed(parse: Callable[[Any], V], value: Any) -> V:
    try:
        return parse(value)
    except (TypeError, ValueError):
        raise _UnfitError from None


_OPEN = (Any, object, inspect.Parameter.empty)

_BOOLS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip

_SCALARS: dict[type, Callable[[Any], Any]] = {
    str: _str,
    int: _int,
    float: _float,
    bool: _bool,
    date: _date,
    datetime: _datetime,
    Path: _path,
}

_HINTS: dict[type, str] = {
    bool: "true/false, yes/no, on/off, 1/0",
    date: "a date reads 2026-01-31",
    datetime: "a date and time reads 2026-01-31T09:30:00 or 2026-01-31T09:30:00+02:00",
}
