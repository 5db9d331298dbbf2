"""From an entry to a deployment, in its own process and without one."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import time

import pytest

from wheelrun.errors import ConfigurationError, UsageError
from wheelrun.runtime.compile import compile_entry, parse_entry

FILES = {
    "jobs/daily.py": """
        from datetime import date
        NOT_CALLABLE = 3
        def main(day: date, rate: float = 0.5): return rate
        class Holder:
            @staticmethod
            def run(): return 1
        """,
    "jobs/report.py": "import sys\nprint(sys.argv)\n",
    "jobs/sparky.py": "from pyspark.sql import functions\n",
    "jobs/broken.py": "import this_is_not_there\n",
    "jobs/raises.py": "def inner():\n    raise RuntimeError('on import')\ninner()\n",
    "jobs/exits.py": "import sys\nsys.exit(4)\n",
    "jobs/typo.py": "def f(:\n",
    "jobs/tool/__init__.py": "",
    "jobs/tool/__main__.py": "print('tool')\n",
    "flows.py": """
        from wheelrun import pipeline, step
        from pathlib import Path
        @step
        def load(path: Path, n: int = 1): return n
        @step(outputs=("a", "b"), retries=2, timeout=5)
        def split(x): return x, x
        @pipeline
        def flow(path: Path = Path("x"), n: int = 2):
            a, b = split(load(path, n=n))
            return {"a": a, "b": [b]}
        @pipeline
        def empty(): pass
        @pipeline
        def raising(): raise KeyError("inside")
        @pipeline
        def unstorable(): load(lambda: 1)
        def local():
            @step
            def hidden(): return 1
            return hidden
        hidden = local()
        @pipeline
        def uses_hidden(): hidden()
        @pipeline
        def many(n: int = 1000):
            x = load(Path("x"))
            for _ in range(n - 1): x = load(Path("x"), x)
        """,
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)  # another test's import tells nothing about an entry
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("jobs", "flows"):
            del sys.modules[name]


def compiled(project, entry, parameters=None, **options):
    return compile_entry(entry, parameters or {}, roots=[project], cwd=project, **options)


def test_a_callable(project):
    deployment = compiled(project, "jobs.daily:main", {"day": "2026-01-01"}, argv=["x"], name="nightly")
    (step,) = deployment.steps
    assert (deployment.name, step.name, step.function) == ("nightly", "main", "jobs.daily:main")
    assert step.arguments == {"day": {"$date": "2026-01-01"}}
    assert deployment.parameters == {"day": "2026-01-01"}
    assert deployment.result == {"$output": ["main", "result"]}
    assert (deployment.argv, deployment.uses_spark) == (("x",), False)


def test_a_file_with_a_callable_and_a_nested_name(project):
    assert compiled(project, "jobs/daily.py:main", {"day": "2026-01-01"}).steps[0].function == "jobs.daily:main"
    assert compiled(project, "jobs.daily:Holder.run").steps[0].name == "run"


def test_scripts_and_modules(project):
    script = compiled(project, "jobs/report.py", argv=["--out", "x"])
    assert (script.steps[0].kind, script.steps[0].function, script.argv) == ("script", "jobs/report.py", ("--out", "x"))
    assert compiled(project, "jobs.report").steps[0].function == "jobs.report"
    assert compiled(project, "jobs.tool").steps[0].function == "jobs.tool"
    assert compiled(project, "jobs/sparky.py").uses_spark
    assert not script.uses_spark


def test_a_pipeline(project):
    deployment = compiled(project, "flows:flow", {"n": "3"})
    load, split = deployment.steps
    assert load.arguments == {"path": {"$path": "x"}, "n": 3}
    assert split.upstream == ("load",)
    assert (split.outputs, split.retries, split.timeout) == (("a", "b"), 2, 5)
    assert deployment.result == {"a": {"$output": ["split", "a"]}, "b": [{"$output": ["split", "b"]}]}
    assert deployment.parameters == {"n": 3}


@pytest.mark.parametrize(
    ("entry", "message", "hint"),
    [
        ("jobs.dayly:main", "there is no module 'jobs.dayly'", "'jobs.daily:main'"),
        ("jbos.daily:main", "there is no module 'jbos'", "'jobs.daily:main'"),
        ("jobs.daily:man", "jobs.daily has no 'man'", "'main'"),
        ("jobs.daily:NOT_CALLABLE", "is an int, which cannot be called", "name a function"),
        ("jobs/dayly.py", "there is no file 'jobs/dayly.py'", "'jobs/daily.py'"),
        ("jobs.broken:main", "could not be imported: ModuleNotFoundError", "pip install this_is_not_there"),
        ("flows:empty", "has no steps", "@step"),
        ("flows:raising", "could not be composed: KeyError: 'inside'", "before anything is built"),
        ("flows:unstorable", "argument 'path': a value of type builtins.function", "inside a step"),
        ("flows:uses_hidden", "cannot be found again", "top level"),
    ],
)
def test_what_cannot_be_compiled_says_what_to_do(project, entry, message, hint):
    with pytest.raises(ConfigurationError) as error:
        compiled(project, entry)
    assert message in error.value.message
    assert hint in error.value.hint
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("module", "text"),
    [("raises", "on import"), ("exits", "SystemExit"), ("typo", "SyntaxError"), ("broken", "this_is_not_there")],
)
def test_a_module_that_raises_on_import_shows_the_users_traceback(project, module, text):
    with pytest.raises(ConfigurationError) as error:
        compiled(project, f"jobs.{module}:main")
    assert text in error.value.detail + error.value.message
    assert f'"jobs/{module}.py"' in error.value.detail
    assert "wheelrun/runtime" not in error.value.detail
    assert "importlib" not in error.value.detail


@pytest.mark.parametrize("entry", ["", "a b:c", "jobs.daily:", ":main", "3x:y"])
def test_what_is_no_entry_is_a_usage_error(project, entry):
    with pytest.raises(UsageError):
        parse_entry(entry, roots=[project], cwd=project)


def test_a_file_outside_the_project_is_refused(project, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "x.py"
    other.write_text("")
    with pytest.raises(ConfigurationError, match="outside the project"):
        compiled(project, str(other))


def test_parameters_of_a_script_are_refused(project):
    with pytest.raises(UsageError, match="takes no -p parameters"):
        compiled(project, "jobs/report.py", {"a": "1"})


def test_a_thousand_steps(project):
    deployment = compiled(project, "flows:many", {"n": "1000"})
    assert len(deployment.steps) == 1000
    assert deployment.steps[-1].name == "load_1000"
    json.loads(deployment.to_json())


def run_process(project, request):
    before = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", "from wheelrun.runtime.compile import main; main()"],
        input=json.dumps({"parameters": {}, "argv": [], "roots": [str(project)], "cwd": str(project), **request}),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout), done.stderr, time.monotonic() - before


def test_the_process_keeps_the_answer_apart_from_what_modules_print(project):
    (project / "noisy.py").write_text(
        "import threading, time\nprint('to stdout')\n"
        "threading.Thread(target=time.sleep, args=(30,)).start()\ndef main(): pass\n"
    )
    answer, said, _ = run_process(project, {"entry": "noisy:main"})
    assert answer["deployment"]["name"] == "main"
    assert "to stdout" in said


def test_the_process_answers_with_the_error(project):
    answer, _, _ = run_process(project, {"entry": "jobs.daily:main"})
    assert answer["error"]["type"] == "UsageError"
    assert answer["error"]["hint"] == "give it with -p day=<date>"
