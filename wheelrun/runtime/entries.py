"""Entries: their text taken apart, and found in the project with the nearest names where they are not there."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelrun.errors import ConfigurationError, UsageError, nearest
from wheelrun.runtime.tracebacks import said_by, user_traceback


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
        module = ".".join(below(path, roots).with_suffix("").parts)
        return Entry(text=text, module=module.removesuffix(".__init__"), attribute=attribute)
    if not all(part.isidentifier() for part in head.split(".")) or text.endswith(":"):
        raise UsageError(
            f"{text!r} is not an entry",
            hint="an entry reads module:callable, module, file.py or file.py:callable",
        )
    return Entry(text=text, module=head, attribute=attribute or None)


def load(entry: Entry, roots: Sequence[Path]) -> Callable[..., Any]:
    """Import an entry's module and return the callable that it names.

    Raises:
        ConfigurationError: the module cannot be imported, or has no such callable.
    """
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
        hint=_to_install(failure.name) if isinstance(failure, ModuleNotFoundError) and failure.name else None,
        detail=user_traceback(failure, roots),
    )


def _to_install(module: str) -> str:
    if module.partition(".")[0] == "pyspark":
        return "pip install 'wheelrun[spark]' brings pyspark and a Java"
    return f"pip install {module}, or add it to the project's dependencies"


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


def module_source(module: str, roots: Sequence[Path]) -> Path:
    """Return the file that `python -m module` would run.

    Raises:
        ConfigurationError: there is none.
    """
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


def below(path: Path, roots: Sequence[Path]) -> Path:
    """Return a path below the first of the roots that holds it.

    Raises:
        ConfigurationError: none does.
    """
    for root in roots:
        if path.is_relative_to(root.resolve()):
            return path.relative_to(root.resolve())
    raise ConfigurationError(
        f"{path} is outside the project {roots[-1]}", hint="name the project's folder with --project"
    )


def imports_pyspark(source: Path) -> bool:
    """Whether a file imports pyspark anywhere.

    Raises:
        ConfigurationError: it is not Python.
    """
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
