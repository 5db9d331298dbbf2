"""The main program of a task, here in the tests' own process."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from importlib import metadata

import pytest

from wheelrun.emulator.driver.dbruntime import main as module
from wheelrun.emulator.driver.dbruntime.main import arguments, entry_point, main


@pytest.fixture
def run(task, tmp_path, monkeypatch):
    """Run a file as a task; return the exit status and what is reported."""
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])

    class Stream:
        def __init__(self, stream):
            self.stream = stream

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def reconfigure(self, **_):
            """A captured stream cannot be."""

    def make(code, *parameters):
        file = tmp_path / "task.py"
        file.write_text(code)
        details = {"spark_python_task": {"python_file": str(file), "parameters": list(parameters)}}
        with monkeypatch.context() as patch, (tmp_path / "report").open("w+b") as report:
            patch.setattr(sys, "stdout", Stream(sys.stdout))
            patch.setattr(sys, "stderr", Stream(sys.stderr))
            code = main(task(details), report.fileno(), -1)
            report.seek(0)
            text = report.read()
        return code, json.loads(text) if text else None

    return make


def test_a_file(run, capsys):
    assert run("import sys\nif __name__ == '__main__': print(sys.argv[1:])", "a") == (0, None)
    assert capsys.readouterr().out == "['a']\n"


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("raise SystemExit", 0, None),
        ("raise SystemExit(0)", 0, None),
        ("raise SystemExit(4)", 4, "SystemExit: 4"),
        ("raise SystemExit('no')", 1, "SystemExit: no"),
        ("raise KeyError('a')", 1, "KeyError: 'a'"),
        ("raise KeyboardInterrupt", 1, "KeyboardInterrupt"),
        ("raise ValueError('two\\nlines')", 1, "lines"),
    ],
)
def test_how_it_ends(run, code, status, error):
    ended, report = run(code)
    assert ended == status
    assert (report and report["error"]) == error


def test_the_trace_begins_in_the_task(run, tmp_path, capsys):
    _, report = run("def f():\n    raise ValueError('x')\nf()\n")
    assert report["trace"].splitlines()[1] == f'  File "{tmp_path}/task.py", line 3, in <module>'
    assert report["trace"] in capsys.readouterr().err


def test_dbutils_is_part_of_pyspark():
    spec = module._DBUtilsFinder().find_spec("pyspark.dbutils", None)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.DBUtils("session").fs is not None


def test_an_entry_point_of_the_metadata():
    assert entry_point("pytest", "pytest") is next(
        point.load() for point in metadata.entry_points(group="console_scripts", name="pytest")
    )


def test_a_function_of_a_package():
    assert entry_point("json", "dumps") is json.dumps
    assert entry_point("os", "path.join") is os.path.join
    with pytest.raises(AttributeError):
        entry_point("json", "none")
    with pytest.raises(ModuleNotFoundError):
        entry_point("not-there", "main")


def test_a_wheel(task, monkeypatch):
    called = []
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(module, "entry_point", lambda *names: lambda: called.append((names, sys.argv)))
    module.run_wheel({"package_name": "p", "entry_point": "e", "parameters": ["x"]}, None)
    assert called == [(("p", "e"), ["p", "x"])]


@pytest.mark.parametrize(
    ("details", "expected"),
    [({}, []), ({"parameters": ["a", "b"]}, ["a", "b"]), ({"named_parameters": {"k": "v w"}}, ["--k=v w"])],
)
def test_arguments(details, expected):
    assert arguments(details) == expected
