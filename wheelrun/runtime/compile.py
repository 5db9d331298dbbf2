"""From an entry and its parameters to a `Deployment`: import the user's code, type the parameters, compose the steps.

It runs in a process of its own (`main`), so that what the user's modules do on import (print, exit, start threads)
stays there.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import pkgutil
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelrun.deployment import Deployment, StepSpec, references
from wheelrun.errors import ConfigurationError, UsageError, WheelrunError, nearest
from wheelrun.pipelines import Call, Output, Outputs, Pipeline, Step, compose, session_parameters
from wheelrun.runtime.parameters import bind
from wheelrun.runtime.tracebacks import said_by, user_traceback
from wheelrun.runtime.values import NotPlainError, display, encode, resolve
from wheelrun.runtime.working_tree import hide


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as it was given, taken apart.

    Attributes:
        text: As it was given.
        script: The path of a file that runs as `__main__`.
        module: The module, for a callable or for `python -m`.
        attribute: The callable's qualified name in the module; None to run the module as `__main__`.
    """

    text: str
    script: Path | None = None
    module: str = ""
    attribute: str | None = None


def parse_entry(text: str, *, roots: Sequence[Path], cwd: Path) -> Entry:
    """Take an entry apart: `module:callable`, `module`, `path/to/file.py` or `path/to/file.py:callable`.

    Args:
        text: The entry.
        roots: The folders that stand on the path locally, the project's root last.
        cwd: Where a relative path may start, besides the roots.

    Raises:
        UsageError: it has none of the forms.
        ConfigurationError: the file does not exist or is outside the project.
    """
    head, _, attribute = text.partition(":")
    if head.endswith(".py") or "/" in head:
        path = _find_file(head, [cwd, *roots])
        if path.suffix != ".py":
            raise UsageError(f"{head} is not a Python file", hint="an entry that is a path ends in .py")
        if not attribute:
            return Entry(text=text, script=path)
        module = ".".join(_below(path, roots).with_suffix("").parts)
        return Entry(text=text, module=module.removesuffix(".__init__"), attribute=attribute)
    if not all(part.isidentifier() for part in head.split(".")) or text.endswith(":"):
        raise UsageError(
            f"{text!r} is not an entry",
            hint="an entry reads module:callable, module, file.py or file.py:callable",
        )
    return Entry(text=text, module=head, attribute=attribute or None)


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
    target = _load(entry, roots)
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
        source, function = entry.script, _below(entry.script, roots).as_posix()
        step = entry.script.stem
    else:
        source, function = _module_source(entry.module, roots), entry.module
        step = entry.module.rpartition(".")[2]
    return Deployment(
        name=name or step,
        entry=entry.text,
        steps=(StepSpec(name=step, function=function, kind="script"),),
        argv=tuple(argv),
        uses_spark=_imports_pyspark(source),
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


def _load(entry: Entry, roots: Sequence[Path]) -> Callable[..., Any]:
    target: Any = _import(entry, roots)
    parts = (entry.attribute or "").split(".")
    for depth, part in enumerate(parts):
        if not hasattr(target, part):
            where = ".".join([entry.module, *parts[:depth]])
            near = nearest(part, _public_callables(target))
            known = ", ".join(_public_callables(target)[:8]) or "nothing that can be called"
            raise ConfigurationError(
                f"{where} has no {part!r}", hint=f"did you mean {near!r}?" if near else f"it has {known}"
            )
        target = getattr(target, part)
    if not callable(target):
        raise ConfigurationError(
            f"{entry.text} is {_article(type(target).__name__)}, which cannot be called",
            hint="name a function, a @step or a @pipeline",
        )
    return target  # type: ignore[no-any-return]


def _import(entry: Entry, roots: Sequence[Path]) -> types.ModuleType:
    try:
        return importlib.import_module(entry.module)
    except ModuleNotFoundError as error:
        if error.name and (entry.module == error.name or entry.module.startswith(f"{error.name}.")):
            raise _no_module(error.name, entry, roots) from None
        failure: BaseException = error
    except BaseException as error:  # noqa: BLE001 - SystemExit and friends on import are the user's, and told as such
        failure = error
    raise ConfigurationError(
        f"{entry.module} could not be imported: {said_by(failure)}",
        hint=f"pip install {failure.name}, or add it to the project's dependencies"
        if isinstance(failure, ModuleNotFoundError) and failure.name
        else None,
        detail=user_traceback(failure, roots),
    )


def _no_module(missing: str, entry: Entry, roots: Sequence[Path]) -> ConfigurationError:
    near = nearest(entry.module, _modules(roots))
    return ConfigurationError(
        f"there is no module {missing!r} in {' or '.join(str(root) for root in roots)}",
        hint=f"did you mean {near + (':' + entry.attribute if entry.attribute else '')!r}?" if near else None,
    )


def _modules(roots: Sequence[Path], limit: int = 5000) -> list[str]:
    """Return the names of modules below the roots, three levels deep; of folders too, which are namespace packages."""
    names: list[str] = []

    def walk(folder: Path, prefix: str, depth: int) -> None:
        for info in pkgutil.iter_modules([str(folder)]):
            names.append(prefix + info.name)
        if depth < 3 and len(names) < limit:
            for child in sorted(folder.iterdir()) if folder.is_dir() else ():
                if child.is_dir() and child.name.isidentifier() and not (child / "pyvenv.cfg").exists():
                    walk(child, f"{prefix}{child.name}.", depth + 1)

    for root in roots:
        walk(root, "", 0)
    return names


def _module_source(module: str, roots: Sequence[Path]) -> Path:
    entry = Entry(text=module, module=module)
    for parent in (".".join(module.split(".")[:depth]) for depth in range(1, module.count(".") + 1)):
        _import(Entry(text=module, module=parent), roots)
    try:
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{module}.__main__")
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        raise _no_module(module, entry, roots)
    return Path(spec.origin)


def _find_file(text: str, folders: Sequence[Path]) -> Path:
    for folder in folders:
        if (folder / text).is_file():
            return (folder / text).resolve()
    scripts = [path.as_posix() for folder in folders for path in _python_files(folder)]
    near = nearest(text, scripts)
    raise ConfigurationError(
        f"there is no file {text!r} in {folders[0]}",
        hint=f"did you mean {near!r}?" if near else "give its path",
    )


def _python_files(folder: Path) -> list[Path]:
    found = [*folder.glob("*.py"), *folder.glob("*/*.py"), *folder.glob("*/*/*.py")]
    return [path.relative_to(folder) for path in found[:2000]]


def _below(path: Path, roots: Sequence[Path]) -> Path:
    for root in roots:
        if path.is_relative_to(root.resolve()):
            return path.relative_to(root.resolve())
    raise ConfigurationError(
        f"{path} is outside the project {roots[-1]}", hint="name the project's folder with --project"
    )


def _imports_pyspark(source: Path) -> bool:
    try:
        tree = ast.parse(source.read_bytes(), filename=str(source))
    except (SyntaxError, ValueError) as error:  # ValueError: Python 3.10 says so of a null byte
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        said = error.msg if isinstance(error, SyntaxError) else error
        raise ConfigurationError(
            f"{source.name}{line}: {said}", detail=user_traceback(error.with_traceback(None))
        ) from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "pyspark" for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "pyspark":
            return True
    return False


def _public_callables(target: Any) -> list[str]:
    return [name for name, value in vars(target).items() if not name.startswith("_") and callable(value)]


def _article(name: str) -> str:
    return f"an {name}" if name[:1].lower() in "aeiou" else f"a {name}"


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
