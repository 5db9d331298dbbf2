"""What a project's source plainly uses of Spark that Spark Connect has not got: the context, RDDs, the JVM."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from wheelrun.deployment import StepSpec

_ATTRIBUTES = frozenset({"sparkContext", "rdd", "_jvm", "_jsc", "_jdf", "_jsparkSession"})
_NAMES = frozenset({"SparkContext", "RDD"})
_MOST = 5


def remarks(steps: Iterable[StepSpec], roots: Iterable[Path]) -> list[str]:
    """Return a sentence for each place in the steps' own modules that will not work; the first few of each.

    Args:
        steps: The steps.
        roots: The folders that the modules may lie below.
    """
    said = []
    roots = tuple(roots)
    for source, name in dict.fromkeys(found for spec in steps for found in _source(spec, roots)):
        with contextlib.suppress(OSError, SyntaxError, ValueError):  # compiling it has told, or will tell
            for line, word in list(uses(source.read_bytes()))[:_MOST]:
                said.append(f"{name}:{line} uses {word}, which Spark Connect has not got")
    return said


def uses(source: bytes | str) -> Iterator[tuple[int, str]]:
    """Yield each line, once, with the first word on it that Spark Connect has no meaning for.

    Raises:
        SyntaxError: it is no Python.
        ValueError: it holds null bytes.
    """
    found: dict[int, str] = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in _ATTRIBUTES:
            found.setdefault(node.end_lineno or node.lineno, f".{node.attr}")
        elif isinstance(node, ast.Name) and node.id in _NAMES:
            found.setdefault(node.lineno, node.id)
        elif (
            isinstance(node, ast.arg) and isinstance(node.annotation, ast.Constant) and node.annotation.value in _NAMES
        ):
            found.setdefault(node.lineno, str(node.annotation.value))
    yield from sorted(found.items())


def _source(spec: StepSpec, roots: tuple[Path, ...]) -> Iterator[tuple[Path, str]]:
    """Yield the file of a step's module, and its name below the root."""
    if spec.function.endswith(".py"):
        names = [spec.function]
    else:
        path = spec.function.partition(":")[0].replace(".", "/")
        names = [f"{path}.py", f"{path}/__init__.py", f"{path}/__main__.py"]
    for name in names:
        for root in roots:
            if (root / name).is_file():
                yield root / name, name
                return
