"""What a task is given to do, from its settings and from what was sent with the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wheelrun.emulator.engine.references import Context, ReferenceFailedError, resolved

COMPUTED = ("python_wheel_task", "spark_python_task")
"""The kinds of task that run on a cluster."""

KINDS = (*COMPUTED, "condition_task", "for_each_task", "run_job_task")
"""The kinds of task that the emulator runs."""

MOST_INPUTS = 5000

_NUMERIC = {
    "GREATER_THAN": float.__gt__,
    "GREATER_THAN_OR_EQUAL": float.__ge__,
    "LESS_THAN": float.__lt__,
    "LESS_THAN_OR_EQUAL": float.__le__,
}


def kind_of(task: Mapping[str, Any]) -> str:
    """Return which kind of task it is."""
    return next(kind for kind in KINDS if kind in task)


def command(task: Mapping[str, Any], overriding: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Return what a task of a cluster runs, such as {"python_wheel_task": {...}}, references replaced.

    Parameters that were sent with the run stand in for the task's own; job parameters are handed on to a task that
    takes parameters by name.

    Raises:
        ReferenceFailedError: a reference names what there is not.
    """
    kind = kind_of(task)
    given = dict(task[kind])
    is_wheel = kind == "python_wheel_task"
    if "python_params" in overriding:
        given.pop("named_parameters", None)
        given["parameters"] = overriding["python_params"]
    if is_wheel and "python_named_params" in overriding:
        given.pop("parameters", None)
        given["named_parameters"] = overriding["python_named_params"]
    if given.get("named_parameters"):
        given["named_parameters"] = {**given["named_parameters"], **context.parameters}
    return {kind: resolved(given, context)}


def holds(condition: Mapping[str, Any]) -> bool:
    """Return whether a condition, its references replaced, holds.

    Raises:
        ValueError: it compares as a number what is none.
    """
    left, right = condition["left"], condition["right"]
    if condition["op"] in _NUMERIC:
        try:
            return bool(_NUMERIC[condition["op"]](float(left), float(right)))
        except ValueError:
            raise ValueError(
                f"The condition compares {left!r} with {right!r} as numbers, which they are not."
            ) from None
    return (left == right) is (condition["op"] == "EQUAL_TO")


def inputs(task: Mapping[str, Any], context: Context) -> list[Any]:
    """Return what a for-each task goes through.

    Raises:
        ReferenceFailedError: a reference names what there is not.
        ValueError: it is not a JSON array, or one that is too long.
    """
    text = resolved(task["for_each_task"]["inputs"], context)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"The inputs of the for-each task are not JSON: {error}") from error
    if not isinstance(found, list):
        raise ValueError("The inputs of the for-each task are not an array.")  # noqa: TRY004 - a value, not a call
    if len(found) > MOST_INPUTS:
        raise ValueError(f"The for-each task has {len(found)} inputs; the maximum is {MOST_INPUTS}.")
    return found


__all__ = [
    "COMPUTED",
    "KINDS",
    "MOST_INPUTS",
    "ReferenceFailedError",
    "command",
    "holds",
    "inputs",
    "kind_of",
]
