"""How a run and its steps lie in the rows of the store's file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

from wheelrun.errors import StoreError
from wheelrun.states import ErrorInfo, RunState, StepStatus
from wheelrun.store.record import RunRecord

RUN_COLUMNS = tuple(item.name for item in fields(RunRecord) if item.name != "steps")
STEP_COLUMNS = tuple(item.name for item in fields(StepStatus))
_JSON = frozenset({"params", "argv", "wheel", "error", "stack", "metadata", "submitter", "outputs"})


def to_column(name: str, value: Any) -> Any:
    """Return the value of the field `name` as sqlite takes it.

    Raises:
        StoreError: It is to be JSON and is not.
    """
    if name in _JSON and value is not None:
        try:
            return json.dumps(asdict(value) if isinstance(value, ErrorInfo) else value, separators=(",", ":"))
        except (TypeError, ValueError) as error:
            raise StoreError(f"the run's {name} cannot be stored as JSON: {error}") from error
    if isinstance(value, RunState):
        return value.value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogatepass")  # a file name that is no UTF-8: kept as bytes
    return value


def to_text(value: Any) -> Any:
    """Return a column of text as `to_column` was given it; numbers pass."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def to_run(row: Sequence[Any]) -> RunRecord:
    """Return the run, without its steps, that a row of `RUN_COLUMNS` holds."""
    return RunRecord(**_decode(_RUN_DECODERS, row))


def to_step(row: Sequence[Any]) -> StepStatus:
    """Return the step that a row of `STEP_COLUMNS` holds."""
    return StepStatus(**_decode(_STEP_DECODERS, row))


def _to_tuple(value: str) -> tuple[Any, ...]:
    return () if value == "[]" else tuple(json.loads(value))


def _to_error(value: str) -> ErrorInfo:
    return ErrorInfo(**json.loads(value))


_DECODERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_JSON, json.loads),
    "argv": _to_tuple,
    "outputs": _to_tuple,
    "error": _to_error,
    "state": RunState,
}
# Looked up once: a page of runs has thousands of values.
_RUN_DECODERS = tuple((name, _DECODERS.get(name, to_text)) for name in RUN_COLUMNS)
_STEP_DECODERS = tuple((name, _DECODERS.get(name, to_text)) for name in STEP_COLUMNS)


def _decode(decoders: Sequence[tuple[str, Callable[[Any], Any]]], row: Sequence[Any]) -> dict[str, Any]:
    return {name: None if value is None else decode(value) for (name, decode), value in zip(decoders, row, strict=True)}
