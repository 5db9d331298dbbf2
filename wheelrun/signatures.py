"""Functions' signatures: annotations, and the parameters that a `SparkSession` goes to.

Standard library only: the cluster side imports this.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any


def without(signature: inspect.Signature, names: Sequence[str]) -> inspect.Signature:
    """Return a signature without some of its parameters."""
    kept = [parameter for name, parameter in signature.parameters.items() if name not in names]
    return signature.replace(parameters=kept)


def with_session(
    function: Callable[..., Any], injected: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Fill in the session where a plain call does not give one.

    A call may give the session (in a test) or leave it out (in a pipeline's body); positional arguments then mean the
    other parameters. Which one it is shows in the arguments: one of them is a session, or they are too many without.
    """
    signature = inspect.signature(function)
    if not any(is_session(type(value)) for value in args):
        try:
            bound = without(signature, injected).bind(*args, **kwargs)
        except TypeError:
            pass
        else:
            return (), {**by_name(bound), **{name: spark_session() for name in injected}}
    given = signature.bind_partial(*args, **kwargs).arguments
    return args, {**kwargs, **{name: spark_session() for name in injected if name not in given}}


def by_name(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Return bound arguments as keywords; those of a `**` parameter are keywords already."""
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return named


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return a function's annotations, resolved; one that cannot be resolved stays the text that it was written as."""
    function = inspect.unwrap(function)
    with contextlib.suppress(Exception):  # names under TYPE_CHECKING and the like: resolve what can be
        return typing.get_type_hints(function)
    raw = dict(getattr(function, "__annotations__", {}))
    scope = {**vars(typing), **vars(sys.modules.get(function.__module__, typing))}
    for name, annotation in raw.items():
        if isinstance(annotation, str):
            try:
                raw[name] = eval(annotation, scope)  # noqa: S307 - the user's own annotation, as get_type_hints does
            except Exception:  # noqa: BLE001, S112 - it stays text
                continue
    return raw


def session_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the parameters that are annotated as a `SparkSession`."""
    raw = getattr(inspect.unwrap(function), "__annotations__", {})
    if not any("SparkSession" in str(annotation) for annotation in raw.values()):
        return ()
    return tuple(
        name for name, annotation in annotations_of(function).items() if name != "return" and is_session(annotation)
    )


def spark_session() -> Any:
    """Return the process's one `SparkSession`, made on first use from the configuration of the process."""
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() or SparkSession.builder.getOrCreate()


def is_session(annotation: Any) -> bool:
    """Whether an annotation means a `SparkSession`: the class, its name, or a union with it."""
    if isinstance(annotation, str):
        return annotation.split("[")[-1].rstrip("]").split("|")[0].strip().rpartition(".")[2] == "SparkSession"
    if isinstance(annotation, type):
        return any(
            kind.__name__ == "SparkSession" and kind.__module__.startswith("pyspark") for kind in annotation.__mro__
        )
    return any(is_session(argument) for argument in typing.get_args(annotation))
