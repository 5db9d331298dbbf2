"""Tasks as they run on a cluster: real wheels, real processes."""

from __future__ import annotations

import os
import threading

import pytest

from wheelrun.emulator.compute.paths import located

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
    thread = threading.Thread(target=lambda: (bench.wait_for("\n"), stop.set()))
    thread.start()
    outcome = bench.run(cluster, code, stop=stop)
    thread.join()
    assert (outcome.result, outcome.code) == ("CANCELED", "CANCELED")
    child, asked = bench.said().split()
    assert asked == "asked"
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)


def test_what_a_task_knows_of_its_cluster(bench):
    cluster = bench.cluster(spark_env_vars={"GREETING": "hi", "PYTHONPATH": "/elsewhere"})
    code = """
        import os, sys
        print(os.environ["GREETING"], os.environ["DATABRICKS_RUNTIME_VERSION"], os.environ["DATABRICKS_JOB_ID"])
        print("/elsewhere" in sys.path, "WHEELRUN_HOME" in os.environ, "secret" in str(os.environ))
        open("left", "w")
    """
    assert bench.run(cluster, code, values={"DATABRICKS_JOB_ID": "7"}).result == "SUCCESS"
    assert bench.said() == "hi 15.4 7\nTrue False False\n"


def test_tasks_see_what_is_installed_here_and_nothing_else(bench):
    code = """
        import importlib.util
        for name in ("pyspark", "databricks.sdk", "pytest", "wheelrun"):
            print(name, importlib.util.find_spec(name) is not None)
    """
    bench.run(bench.cluster(), code)
    assert bench.said() == "pyspark True\ndatabricks.sdk True\npytest False\nwheelrun False\n"


def test_nothing_secret_is_on_a_command_line(bench):
    code = """
        from pathlib import Path
        print(Path("/proc/self/cmdline").read_bytes())
    """
    bench.run(bench.cluster(), code, "hush")
    assert "hush" not in bench.said()


def test_the_output_comes_while_the_task_runs(bench):
    stop = threading.Event()
    cluster, results = bench.cluster(), []
    code = """
        import sys, time
        print("first")
        sys.stderr.write("half a line")
        sys.stderr.flush()
        time.sleep(600)
    """
    thread = threading.Thread(target=lambda: results.append(bench.run(cluster, code, stop=stop)))
    thread.start()
    bench.wait_for("first\n")
    bench.wait_for("half a line", "stderr")
    bench.wait_for("half a line", "output")
    stop.set()
    thread.join()
    assert [outcome.result for outcome in results] == ["CANCELED"]


@pytest.mark.parametrize("file", ["/Workspace/none.py", "dbfs:/none.py", "relative.py", "/Volumes/../etc/hosts"])
def test_a_file_that_is_not_there(bench, file):
    outcome = bench.execute(bench.cluster(), {"spark_python_task": {"python_file": file}})
    assert outcome.result == "FAILED"
    assert outcome.error == f"Cannot read the python file {file}. Please check driver logs for more details."


@pytest.mark.parametrize("place", ["/Workspace/a.py", "/Volumes/c/s/v/a.py", "dbfs:/a.py", "/dbfs/a.py"])
def test_where_a_file_may_lie(bench, place):
    file = located(bench.state, place)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_name("beside.py").write_text("name = 'beside'\n")
    file.write_text("import sys, beside\nif __name__ == '__main__':\n    print(sys.argv[1:], beside.name)\n")
    outcome = bench.execute(bench.cluster(), {"spark_python_task": {"python_file": place, "parameters": ["x"]}})
    assert outcome.result == "SUCCESS"
    assert bench.said() == "['x'] beside\n"


def test_an_emulator_that_is_stopped_ends_its_tasks(bench):
    cluster, results = bench.cluster(), []
    code = "import os, time; print(os.getpid()); time.sleep(600)"
    thread = threading.Thread(target=lambda: results.append(bench.run(cluster, code)))
    thread.start()
    bench.wait_for("\n")
    bench.compute.close()
    thread.join()
    assert [(outcome.result, outcome.code) for outcome in results] == [("INTERNAL_ERROR", "CLUSTER_ERROR")]
    with pytest.raises(ProcessLookupError):
        os.kill(int(bench.said()), 0)
    assert [path.name for path in bench.state.clusters.iterdir()] == ["preinstalled"]
