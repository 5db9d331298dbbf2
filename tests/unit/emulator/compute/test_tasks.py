"""Tasks as they run on a cluster: real wheels, real processes."""

from __future__ import annotations

import os
import threading

import pytest

WHEEL = {"package_name": "hello", "entry_point": "hello"}


def test_a_wheel_runs(bench):
    cluster = bench.cluster()
    outcome = bench.execute(cluster, {"python_wheel_task": {**WHEEL, "parameters": ["a", "b c"]}}, [bench.wheel()])
    assert (outcome.result, outcome.code, outcome.error) == ("SUCCESS", "SUCCESS", None)
    assert bench.said() == "hello a b c\n"


@pytest.mark.parametrize(
    ("points", "name"),
    [
        ({"console_scripts": {"go": "hello:main"}}, "go"),
        ({"some.group": {"go": "hello:main"}}, "go"),
        ({}, "main"),
        ({"console_scripts": {"main": "hello:other"}}, "main"),
    ],
    ids=["console script", "another group", "a function of the package", "metadata first"],
)
def test_where_an_entry_point_is_looked_for(bench, points, name):
    code = "def main():\n    print('main')\n\n\ndef other():\n    print('other')\n"
    library = bench.wheel(code, points=points)
    task = {"python_wheel_task": {"package_name": "hello", "entry_point": name}}
    assert bench.execute(bench.cluster(), task, [library]).result == "SUCCESS"
    assert bench.said() == ("other\n" if "hello:other" in str(points) else "main\n")


def test_named_parameters(bench):
    task = {"python_wheel_task": {**WHEEL, "named_parameters": {"day": "1", "where": "ä b"}}}
    bench.execute(bench.cluster(), task, [bench.wheel()])
    assert bench.said() == "hello --day=1 --where=ä b\n"


def test_what_a_task_prints(bench):
    code = """
        import sys
        print("one")
        print("two", file=sys.stderr)
    """
    assert bench.run(bench.cluster(), code).result == "SUCCESS"
    assert (bench.said(), bench.said("stderr")) == ("one\n", "two\n")
    assert sorted(bench.said("output").splitlines()) == ["one", "two"]


def test_an_exception(bench):
    code = """
        def broken():
            raise ValueError("it is broken")

        broken()
    """
    outcome = bench.run(bench.cluster(), code)
    assert (outcome.result, outcome.code) == ("FAILED", "RUN_EXECUTION_ERROR")
    assert outcome.message == "Workload failed, see run output for details"
    assert outcome.error == "ValueError: it is broken"
    assert outcome.trace.splitlines()[1].startswith('  File "/Workspace/task.py", line 5, in <module>')
    assert outcome.trace in bench.said("stderr")


@pytest.mark.parametrize(
    ("code", "result", "error"),
    [
        ("import sys; sys.exit()", "SUCCESS", None),
        ("import sys; sys.exit(0)", "SUCCESS", None),
        ("import sys; sys.exit(3)", "FAILED", "SystemExit: 3"),
        ("import sys; sys.exit('no')", "FAILED", "SystemExit: no"),
        ("import os; os._exit(7)", "FAILED", "The Python process exited unexpectedly (exit code 7)."),
        ("import os; os.kill(os.getpid(), 9)", "FAILED", "The Python process exited unexpectedly (signal 9)."),
        ("def main(:", "FAILED", "SyntaxError: invalid syntax"),
    ],
)
def test_how_a_task_ends(bench, code, result, error):
    outcome = bench.run(bench.cluster(), code)
    assert (outcome.result, outcome.error) == (result, error)


def test_a_task_that_is_stopped(bench):
    stop = threading.Event()
    code = """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True) or sys.exit(1))
        print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid, flush=True)
        time.sleep(600)
    """
    cluster = bench.cluster()
    threading.Thread(target=stop_when_it_prints, args=(bench, stop)).start()
    outcome = bench.run(cluster, code, stop=stop)
    assert (outcome.result, outcome.code) == ("CANCELED", "CANCELED")
    child, asked = bench.said().split()
    assert asked == "asked"
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)


def stop_when_it_prints(bench, stop):
    wait_for(lambda: (bench.folder / "stdout").exists() and bench.said().endswith("\n"))
    stop.set()


def wait_for(condition):
    pause = threading.Event()
    while not condition():
        pause.wait(0.01)
