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


JVM = """An error occurred while calling o45.collectToPython.
: org.apache.spark.SparkException: Job aborted: {}
\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)
\tat java.base/java.io.FileOutputStream.write(FileOutputStream.java:349)

Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("java.io.IOException: No space left on device", "SPARK_LOCAL_DIRS"),
        ("java.lang.OutOfMemoryError: Java heap space", "executor_memory"),
        ("java.lang.ArithmeticException: / by zero", ""),
    ],
)
def test_an_error_of_the_jvm_is_told_without_its_frames_and_with_what_to_do(words, said):
    info = explain(RuntimeError(JVM.format(words)), SPEC, code=(), source_root=None)
    assert info.message.splitlines()[1:] == [f": org.apache.spark.SparkException: Job aborted: {words}"]
    assert said in (info.hint or "")


def test_what_a_session_has_lost_is_told():
    info = explain(ValueError("x"), SPEC, code=(), source_root=None, lost=("the server went", "look at it"))
    assert (info.category, info.message, info.hint) == (
        "cluster",
        "the server went while step 'a' was running",
        "look at it",
    )
