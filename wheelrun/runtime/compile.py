"""From an entry and its parameters to a `Deployment`: import the user's code, type the parameters, compose the steps.

It runs in a process of its own (`main`), so that what the user's modules do on import (print, exit, start threads)
stays there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wheelrun.deployment import Deployment, StepSpec, references
from wheelrun.errors import ConfigurationError, UsageError, WheelrunError
from wheelrun.outputs import Output, Outputs
from wheelrun.pipelines import Call, Pipeline, Step, compose
from wheelrun.runtime.entries import Entry, below, imports_pyspark, load, module_source, parse_entry
from wheelrun.runtime.parameters import bind
from wheelrun.runtime.tracebacks import said_by, user_traceback
from wheelrun.runtime.values import NotPlainError, display, encode, resolve
from wheelrun.runtime.working_tree import hide
from wheelrun.signatures import session_parameters


def compile_entry(
    text: str,
    parameters: Mapping[str, Any],
    *,
    argv: Sequence[str] = (),
    roots: Sequence[Path],
    cwd: Path,
    name: str | None = None,
) -> Deployment:
    """Compile an entry. The roots must be on `sys.path` already.

    Args:
        text: The entry.
        parameters: Parameter -> text or JSON value.
        argv: Arguments that the code sees as `sys.argv[1:]`.
        roots: The folders that stand on the path locally, the project's root last.
        cwd: Where a relative path may start.
        name: Another name for the run's deployment.

    Raises:
        UsageError: the entry or a parameter does not fit.
        ConfigurationError: the entry cannot be found, imported, called or composed.
    """
    entry = parse_entry(text, roots=roots, cwd=cwd)
    if entry.attribute is None:
        return _compile_script(entry, parameters, argv, roots, name)
    target = load(entry, roots)
    if isinstance(target, Pipeline):
        return _compile_pipeline(entry, target, parameters, argv, name, roots)
    return _compile_callable(entry, target, parameters, argv, name)


def _compile_script(
    entry: Entry, parameters: Mapping[str, Any], argv: Sequence[str], roots: Sequence[Path], name: str | None
) -> Deployment:
    if parameters:
        raise UsageError(
            f"{entry.text!r} runs as __main__ and takes no -p parameters",
            hint="give its arguments after --, or name a callable in it: " + f"{entry.text}:main",
        )
    if entry.script is not None:
        source, function = entry.script, below(entry.script, roots).as_posix()
        step = entry.script.stem
    else:
        source, function = module_source(entry.module, roots), entry.module
        step = entry.module.rpartition(".")[2]
    return Deployment(
        name=name or step,
        entry=entry.text,
        steps=(StepSpec(name=step, function=function, kind="script"),),
        argv=tuple(argv),
        uses_spark=imports_pyspark(source),
    )


def _compile_callable(
    entry: Entry,
    target: Callable[..., Any],
    parameters: Mapping[str, Any],
    argv: Sequence[str],
    name: str | None,
) -> Deployment:
    function = target.function if isinstance(target, Step) else target
    arguments = bind(function, parameters)
    step = target if isinstance(target, Step) else Step(function, name=(entry.attribute or "").rpartition(".")[2])
    trees = {key: _tree(step.name, key, value) for key, value in arguments.items()}
    spec = _spec(step, step.name, f"{entry.module}:{entry.attribute}", trees)
    outputs = [{"$output": [step.name, output]} for output in spec.output_names]
    return Deployment(
        name=name or step.name,
        entry=entry.text,
        steps=(spec,),
        parameters=display(arguments),
        result={"$tuple": outputs} if spec.outputs else outputs[0],
        argv=tuple(argv),
        uses_spark="pyspark" in sys.modules or bool(session_parameters(function)),
    )


def _compile_pipeline(
    entry: Entry,
    target: Pipeline[Any, Any],
    parameters: Mapping[str, Any],
    argv: Sequence[str],
    name: str | None,
    roots: Sequence[Path],
) -> Deployment:
    arguments = bind(target.function, parameters)
    try:
        calls, result = compose(target, arguments)
    except WheelrunError:
        raise
    except BaseException as error:  # noqa: BLE001 - the body is the user's: whatever it raises is told
        raise ConfigurationError(
            f"pipeline {target.name!r} could not be composed: {said_by(error)}",
            hint="its body runs once, before anything is built, to learn its steps",
            detail=user_traceback(error, roots),
        ) from None
    if not calls:
        raise ConfigurationError(
            f"pipeline {target.name!r} has no steps", hint="its body must call functions decorated with @step"
        )
    verified: dict[int, str] = {}
    steps = tuple(_spec_of(call, verified) for call in calls)
    return Deployment(
        name=name or target.name,
        entry=entry.text,
        steps=steps,
        parameters=display(arguments),
        result=_result(result),
        argv=tuple(argv),
        uses_spark="pyspark" in sys.modules or any(session_parameters(call.step.function) for call in calls),
    )


def _spec_of(call: Call, verified: dict[int, str]) -> StepSpec:
    function = call.step.function
    if id(function) not in verified:
        verified[id(function)] = _reference(call.step)
    arguments = {name: _tree(call.name, name, value) for name, value in call.arguments.items()}
    spec = _spec(call.step, call.name, verified[id(function)], arguments, tuple(other.name for other in call.after))
    settings = call.options.settings_of(call.step)
    return _with(spec, settings)


def _spec(
    step: Step[Any, Any], name: str, reference: str, arguments: dict[str, Any], after: tuple[str, ...] = ()
) -> StepSpec:
    upstream = dict.fromkeys([*(source for source, _ in references(arguments)), *after])
    spec = StepSpec(name=name, function=reference, arguments=arguments, outputs=step.outputs, upstream=tuple(upstream))
    return _with(spec, step.settings)


def _with(spec: StepSpec, settings: Any) -> StepSpec:
    from dataclasses import fields, replace

    values = {item.name: getattr(settings, item.name) for item in fields(settings)}
    return replace(spec, **{**values, "cache": bool(settings.cache)})


def _reference(step: Step[Any, Any]) -> str:
    """Return "module:name" for a step's function, having made sure that it leads back to it."""
    function = step.function
    reference = f"{function.__module__}:{function.__qualname__}"
    try:
        found = resolve(reference)
    except (AttributeError, ImportError):
        found = None
    if getattr(found, "function", found) is not function:
        raise ConfigurationError(
            f"step {step.name!r} cannot be found again as {reference!r}",
            hint="define a step at the top level of its module, under its own name",
        )
    return reference


def _tree(step: str, argument: str, value: Any) -> Any:
    try:
        return encode(value, _handle)
    except NotPlainError as error:
        raise ConfigurationError(
            f"step {step!r}, argument {argument!r}: a value of type {error} cannot be written down",
            hint="pass plain values, dates, paths, enums or dataclasses, or make the value inside a step",
        ) from None


def _result(value: Any) -> Any:
    try:
        return encode(value, _handle)
    except NotPlainError:
        return None


def _handle(value: Any) -> Any:
    if isinstance(value, Output):
        return {"$output": [value.step, value.name]}
    if isinstance(value, Outputs):
        return {"$tuple": [{"$output": [output.step, output.name]} for output in value]}
    return None


def main() -> None:
    """Read a request (JSON) from standard input, compile it, and write the answer (JSON) to standard output.

    Whatever the user's code prints meanwhile goes to standard error.
    """
    answer = os.dup(1)
    os.dup2(2, 1)
    request = json.load(sys.stdin)
    roots = [Path(root) for root in request["roots"]]
    if request.get("hidden"):
        hide(Path(request["hidden"]))
    sys.path[:0] = [str(root) for root in roots]
    sys.argv = [request["entry"], *request["argv"]]
    try:
        deployment = compile_entry(
            request["entry"],
            request["parameters"],
            argv=request["argv"],
            roots=roots,
            cwd=Path(request["cwd"]),
            name=request.get("name"),
        )
        result: dict[str, Any] = {"deployment": deployment.to_dict()}
    except WheelrunError as error:
        result = {
            "error": {
                "type": type(error).__name__,
                "message": error.message,
                "hint": error.hint,
                "detail": error.detail,
            }
        }
    with os.fdopen(answer, "w", encoding="utf-8") as stream:
        json.dump(result, stream)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # threads that the user's modules started on import do not keep the answer waiting
