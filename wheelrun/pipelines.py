"""`@step` and `@pipeline`: a user's functions, and how their outputs feed each other.

Outside a composition a decorated function is just called, so it is tested like any function. While a pipeline is being
composed (`compose`), calling a step records the call and gives handles that other steps take as arguments.

Standard library only: the cluster side imports this.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Generic, ParamSpec, TypeVar, overload

from wheelrun.errors import ConfigurationError
from wheelrun.outputs import Output, Outputs, name_outputs, named_tuple_fields
from wheelrun.signatures import by_name, session_parameters, with_session, without
from wheelrun.step_settings import StepSettings, known_settings

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(eq=False, slots=True)
class Call:
    """One use of a step in a pipeline, recorded while composing."""

    step: Step[Any, Any]
    name: str
    arguments: dict[str, Any]
    after: tuple[Call, ...]
    options: PipelineOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineOptions:
    """What a pipeline gives its steps where they do not say it themselves."""

    cache: bool = False
    retries: int | None = None
    timeout: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def settings_of(self, step: Step[Any, Any]) -> StepSettings:
        """Return the step's settings, with the pipeline's choices where the step left them open."""
        own = step.settings
        return replace(
            own,
            cache=self.cache if own.cache is None else own.cache,
            retries=own.retries or self.retries or 0,
            timeout=own.timeout or self.timeout,
            environment={**self.environment, **own.environment},
        )


class Composition:
    """The calls of one pipeline, in the order in which they were made."""

    def __init__(self, options: PipelineOptions) -> None:
        self.calls: list[Call] = []
        self._names: set[str] = set()
        self._uses: dict[str, int] = {}
        self._depth = 0
        self.options = options

    @contextmanager
    def nested(self, pipeline: Pipeline[Any, Any]) -> Iterator[None]:
        """Take in the steps of a pipeline that is called inside this one."""
        if self._depth >= 100:
            raise ConfigurationError(
                f"pipeline {pipeline.name!r} calls itself without an end",
                hint="a pipeline must not contain itself",
            )
        outer = self.options
        self._depth += 1
        self.options = pipeline.options
        try:
            yield
        finally:
            self._depth -= 1
            self.options = outer

    def add(self, step: Step[Any, Any], arguments: dict[str, Any]) -> Output | Outputs:
        """Record one call of a step and return its handles."""
        after = tuple(typing.cast("Call", handle._call) for handle in step.waits_for)  # noqa: SLF001 - handles and calls are one thing
        call = Call(step, self._unique(step), arguments, after, self.options)
        self.calls.append(call)
        if step.outputs:
            return Outputs(call, step.outputs)
        return Output(call, "result")

    def _unique(self, step: Step[Any, Any]) -> str:
        name = step.name
        if step.named and name in self._names:
            raise ConfigurationError(
                f"two steps are named {name!r}",
                hint="give each use its own name with with_options(name=...), or none to have them numbered",
            )
        while name in self._names:
            number = self._uses[step.name] = self._uses.get(step.name, 1) + 1
            name = f"{step.name}_{number}"
        self._names.add(name)
        return name


_COMPOSITION: ContextVar[Composition | None] = ContextVar("wheelrun_composition", default=None)


class Step(Generic[P, R]):
    """A function that runs as one step of a pipeline. Made by `step`."""

    def __init__(
        self,
        function: Callable[P, R],
        *,
        name: str | None = None,
        outputs: Sequence[str] = (),
        settings: StepSettings | None = None,
        waits_for: tuple[Output | Outputs, ...] = (),
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.named = name is not None
        self.name = name or function.__name__
        self.outputs = tuple(outputs) or named_tuple_fields(function)
        self.settings = settings or StepSettings()
        self.waits_for = waits_for
        if not self.name.strip():
            raise ConfigurationError("a step's name must not be empty")
        if len(set(self.outputs)) != len(self.outputs):
            raise ConfigurationError(f"step {self.name!r} names an output twice: {', '.join(self.outputs)}")
        for output in self.outputs:
            if not output.isidentifier() or output.startswith("_"):
                raise ConfigurationError(
                    f"step {self.name!r}: an output's name must be a public identifier, not {output!r}"
                )

    def with_options(self, *, name: str | None = None, **changes: Any) -> Step[P, R]:
        """Return the same step under another name or with other settings (those of `StepSettings`)."""
        known_settings(changes)
        return Step(
            self.function,
            name=name or (self.name if self.named else None),
            outputs=self.outputs,
            settings=replace(self.settings, **changes),
            waits_for=self.waits_for,
        )

    def after(self, *others: Any) -> Step[P, R]:
        """Return the same step, to run after the steps whose outputs are given, though none of them feed it.

        `notify.after(model)("done")` reads as it runs; called outside a composition the order of the calls is
        the order of the steps, so it changes nothing there.
        """
        return Step(
            self.function,
            name=self.name if self.named else None,
            outputs=self.outputs,
            settings=self.settings,
            waits_for=(*self.waits_for, *(other for other in others if isinstance(other, Output | Outputs))),
        )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function, or record the call while a pipeline is being composed."""
        composition = _COMPOSITION.get()
        if composition is None:
            return typing.cast("R", self._run_now(tuple(args), dict(kwargs)))
        arguments = bind_partially(self.function, self.name, args, kwargs)
        return typing.cast("R", composition.add(self, arguments))

    def _run_now(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        function = typing.cast("Callable[..., Any]", self.function)
        if injected := session_parameters(function):
            args, kwargs = with_session(function, injected, args, kwargs)
        return name_outputs(self.name, self.outputs, function(*args, **kwargs))

    def __repr__(self) -> str:
        return f"<step {self.name!r}>"


class Pipeline(Generic[P, R]):
    """A function that composes steps. Made by `pipeline`."""

    def __init__(self, function: Callable[P, R], *, name: str | None = None, options: PipelineOptions) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or function.__name__
        self.options = options

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and now; inside another pipeline that is being composed, add its steps to that one."""
        composition = _COMPOSITION.get()
        if composition is None:
            return self.function(*args, **kwargs)
        with composition.nested(self):
            return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.name!r}>"


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...
@overload
def step(
    *, name: str | None = None, outputs: Sequence[str] = (), **settings: Any
) -> Callable[[Callable[P, R]], Step[P, R]]: ...
def step(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    outputs: Sequence[str] = (),
    **settings: Any,
) -> Step[P, R] | Callable[[Callable[P, R]], Step[P, R]]:
    """Make a function a step.

    Args:
        function: The function; filled in by Python when the decorator stands without arguments.
        name: The step's name; the function's name by default.
        outputs: Names of several outputs. The function then returns a tuple of that length, or a mapping with these
            keys. A function annotated to return a `NamedTuple` has its fields as outputs.
        **settings: Those of `StepSettings`: run_if, retries, retry_delay, retry_backoff, timeout, cache, resources,
            environment, step_operator.

    Raises:
        ConfigurationError: a setting is unknown or has no sense.
    """
    known_settings(settings)

    def decorate(function: Callable[P, R]) -> Step[P, R]:
        return Step(function, name=name, outputs=outputs, settings=StepSettings(**settings))

    return decorate if function is None else decorate(function)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(
    *,
    name: str | None = None,
    cache: bool = False,
    retries: int | None = None,
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(
    function: Callable[P, R] | None = None,
    /,
    *,
    name: str | None = None,
    cache: bool = False,
    retries: int | None = None,
    timeout: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Pipeline[P, R] | Callable[[Callable[P, R]], Pipeline[P, R]]:
    """Make a function a pipeline: its body calls steps and passes their outputs on.

    Args:
        function: The function; filled in by Python when the decorator stands without arguments.
        name: The pipeline's name; the function's name by default.
        cache: Whether its steps may take outputs of an earlier run with the same wheel, parameters and inputs.
        retries: Retries of each step that does not say it itself.
        timeout: Seconds for each attempt of a step that does not say it itself.
        environment: Environment variables for all its steps.
    """
    options = PipelineOptions(cache=cache, retries=retries, timeout=timeout, environment=environment or {})

    def decorate(function: Callable[P, R]) -> Pipeline[P, R]:
        return Pipeline(function, name=name, options=options)

    return decorate if function is None else decorate(function)


def compose(pipeline: Pipeline[Any, Any], arguments: Mapping[str, Any]) -> tuple[list[Call], Any]:
    """Call a pipeline's function with recording steps.

    Returns:
        The calls in the order in which they were made, and what the function returned (handles, or values with
        handles in them).
    """
    composition = Composition(pipeline.options)
    token = _COMPOSITION.set(composition)
    try:
        result = pipeline.function(**arguments)
    except RecursionError:
        raise ConfigurationError(
            f"pipeline {pipeline.name!r} calls itself without an end",
            hint="a pipeline must not contain itself",
        ) from None
    finally:
        _COMPOSITION.reset(token)
    return composition.calls, result


def bind_partially(
    function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Bind a step's arguments by name, leaving out what is injected.

    Raises:
        ConfigurationError: an argument is missing or unknown; the message names the step.
    """
    injected = session_parameters(function)
    signature = without(inspect.signature(function), injected)
    try:
        bound = signature.bind_partial(*args, **kwargs)
    except TypeError as error:
        raise ConfigurationError(f"step {name!r}: {error}", hint=f"it is declared as {name}{signature}") from None
    arguments = by_name(bound)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            if parameter.name in arguments or parameter.default is parameter.empty:
                raise ConfigurationError(
                    f"step {name!r}: parameter {parameter.name!r} is positional only; a step's arguments go by name"
                )
        elif parameter.default is parameter.empty and parameter.name not in arguments:
            raise ConfigurationError(
                f"step {name!r}: argument {parameter.name!r} is missing",
                hint=f"it is declared as {name}{signature}",
            )
    return arguments
