"""What a step gives: handles on its outputs while a pipeline is being composed, and their names when it has run.

Standard library only: the cluster side imports this.
"""

from __future__ import annotations

import functools
import typing
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from wheelrun.errors import ConfigurationError
from wheelrun.signatures import annotations_of


class Giver(Protocol):
    """The use of a step that gives outputs."""

    name: str


class Output:
    """A handle on what a step will give, while its pipeline is being composed."""

    __slots__ = ("_call", "_name")

    def __init__(self, call: Giver, name: str) -> None:
        self._call = call
        self._name = name

    @property
    def step(self) -> str:
        """The name of the step that gives it."""
        return self._call.name

    @property
    def name(self) -> str:
        """The name of the output; "result" for a step with one output."""
        return self._name

    def _unknown(self, *_: Any) -> typing.NoReturn:
        raise ConfigurationError(
            f"the output {self.name!r} of step {self.step!r} is not known while its pipeline is being composed",
            hint="use it inside a step: a pipeline's own body only passes outputs from step to step",
        )

    __bool__ = __iter__ = __len__ = __getitem__ = __call__ = __int__ = __float__ = _unknown
    __add__ = __sub__ = __mul__ = __truediv__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown

    def __repr__(self) -> str:
        return f"<output {self.name!r} of step {self.step!r}>"


class Outputs(Sequence[Output]):
    """The handles of a step with several outputs: by attribute, by index, or unpacked."""

    __slots__ = ("_by_name", "_call")

    def __init__(self, call: Giver, names: Sequence[str]) -> None:
        self._call = call
        self._by_name = {name: Output(call, name) for name in names}

    def __getattr__(self, name: str) -> Output:
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(self._by_name)
            raise AttributeError(f"step {self._call.name!r} has no output {name!r}; it has {known}") from None

    def __getitem__(self, index: Any) -> Any:
        return list(self._by_name.values())[index]

    def __len__(self) -> int:
        return len(self._by_name)


def name_outputs(step_name: str, names: Sequence[str], value: Any) -> Any:
    """Return a step's several outputs as a named tuple; a step with one output gives its value unchanged.

    Raises:
        ValueError: the value does not have the outputs that the step declares.
        TypeError: the value is not several.
    """
    if not names:
        return value
    declared = ", ".join(names)
    if isinstance(value, Mapping):
        if set(value) != set(names):
            raise ValueError(
                f"step {step_name!r} declares the outputs {declared} but returned the keys {sorted(value)}"
            )
        values = [value[name] for name in names]
    elif isinstance(value, tuple | list):
        if len(value) != len(names):
            raise ValueError(f"step {step_name!r} declares {len(names)} outputs ({declared}) but returned {len(value)}")
        values = list(value)
    else:
        raise TypeError(f"step {step_name!r} declares the outputs {declared} but returned one {type(value).__name__}")
    return _output_tuple(tuple(names))(*values)


@functools.cache
def _output_tuple(names: tuple[str, ...]) -> Callable[..., Any]:
    return namedtuple("StepOutputs", names)  # noqa: PYI024 - the fields are known at run time only


def named_tuple_fields(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the fields of the `NamedTuple` that a function is annotated to return; none if it is not."""
    annotation = getattr(function, "__annotations__", {}).get("return")
    if annotation is None:
        return ()
    if isinstance(annotation, str):
        annotation = annotations_of(function).get("return")
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        return tuple(annotation._fields)
    return ()
