"""What is told of a step that failed."""

from __future__ import annotations

import pytest

from wheelrun.deployment import StepSpec
from wheelrun.runtime.explain import explain

SPEC = StepSpec(name="a", function="jobs:a")


def hint_of(error):
    return explain(error, SPEC, code=(), source_root=None).hint or ""


class PySparkAttributeError(AttributeError):
    pass


class PySparkNotImplementedError(NotImplementedError):
    pass


class PythonException(Exception):  # noqa: N818 - pyspark's name
    pass


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PySparkAttributeError("[JVM_ATTRIBUTE_NOT_SUPPORTED] Attribute `sparkContext` is not"), "no sparkContext"),
        (RuntimeError("[CONTEXT_UNAVAILABLE_FOR_REMOTE_CLIENT] Remote client cannot"), "no sparkContext"),
        (PySparkNotImplementedError("[NOT_IMPLEMENTED] rdd is not implemented."), "use DataFrames"),
        (PythonException("An exception\nModuleNotFoundError: No module named 'numpy'"), "installed there"),
    ],
)
def test_the_limits_of_connect_are_explained_where_the_session_is_remote(monkeypatch, error, said):
    monkeypatch.delenv("SPARK_REMOTE", raising=False)
    assert hint_of(error) == ""
    monkeypatch.setenv("SPARK_REMOTE", "sc://h:7")
    assert said in hint_of(error)
    assert hint_of(NotImplementedError("[NOT_IMPLEMENTED] my own")) == ""


def test_what_a_session_has_lost_is_told():
    info = explain(ValueError("x"), SPEC, code=(), source_root=None, lost=("the server went", "look at it"))
    assert (info.category, info.message, info.hint) == (
        "cluster",
        "the server went while step 'a' was running",
        "look at it",
    )
