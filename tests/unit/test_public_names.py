"""The public names: lazy, complete, and free of what a cluster has not."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import wheelrun


def test_the_lazy_names_are_those_that_type_checkers_see():
    tree = ast.parse(Path(wheelrun.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    shown = {alias.asname: node.module for node in block.body for alias in node.names}
    assert shown == wheelrun._HOME


@pytest.mark.parametrize("name", sorted(set(wheelrun.__all__)))
def test_each_name_loads(name):
    assert getattr(wheelrun, name) is not None
    assert name in dir(wheelrun)


def test_pipeline_is_the_decorator_whatever_was_imported_first():
    imports = "import wheelrun.pipelines, wheelrun.runtime.compile\nfrom wheelrun import pipeline, step\n"
    code = imports + "@pipeline\ndef p(): return 1\nassert p() == 1"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("what", ["import wheelrun", "from wheelrun import step, pipeline, current_run"])
def test_importing_loads_nothing_heavy(what):
    code = f"import sys; {what}; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    )
    assert not loaded & {
        "pyspark",
        "pydantic",
        "click",
        "rich",
        "build",
        "packaging",
        "pathspec",
        "setuptools",
        "databricks",
    }


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        wheelrun.nothing  # noqa: B018
