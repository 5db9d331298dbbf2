from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from wheelrun.states import RunState
from wheelrun.store import RunStore

pytest_plugins = ["pytester"]

PROJECT = """
[project]
name = "sample"
version = "1"
"""

JOBS = """
import os
import time


def double(number: int) -> int:
    print("doubling", number)
    return 2 * number


def fail() -> None:
    print("about to fail")
    raise LookupError("nothing there")


def forever(pid_file: str) -> None:
    with open(pid_file, "w") as stream:
        stream.write(str(os.getpid()))
    time.sleep(600)
"""


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", *arguments)


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makefile(".toml", pyproject=PROJECT)
    pytester.makepyfile(jobs=JOBS)
    return pytester


@pytest.fixture
def without_java(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from wheelrun.errors import ConfigurationError
        from wheelrun.runtime import java

        def find_java(*args, **kwargs):
            raise ConfigurationError("there is no Java", hint="get one")

        java.find_java = find_java
        """
    )


def home_of(pytester: pytest.Pytester) -> Path:
    return Path((pytester.path / "home").read_text(encoding="utf-8"))


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    code = "import sys, pytest; before = set(sys.modules); import wheelrun.testing; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} - set(sys.stdlib_module_names) == {"wheelrun"}
    ours = {name for name in done.stdout.split() if name.startswith("wheelrun")}
    assert ours == {"wheelrun", "wheelrun._version", "wheelrun.testing"}
    assert done.stderr == ""


def test_pytest_itself_stays_as_light_and_quiet(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_loaded():
            for name in ("pyspark", "pydantic", "click", "wheelrun.client", "wheelrun.errors"):
                assert name not in sys.modules
            assert "wheelrun.testing" in sys.modules
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*warnings summary*")


def test_the_fixtures_are_documented(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--fixtures")
    result.stdout.fnmatch_lines_random(
        [
            "spark [[]session scope[]] -- *testing.py*",
            "wheelrun_local -- *testing.py*",
            "databricks_emulator -- *testing.py*",
        ]
    )


def test_spark_skips_without_pyspark(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import sys; sys.modules['pyspark'] = None")
    pytester.makepyfile("def test_it(spark): assert False")
    result = run(pytester, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*pyspark is not installed: pip install 'wheelrun[[]spark[]]'*"])


@pytest.mark.usefixtures("without_java")
def test_spark_fails_clearly_without_java(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pyspark")
    pytester.makepyfile("def test_it(spark): pass")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["there is no Java", "get one"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_spark_takes_a_session_that_is_there_and_leaves_it(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import importlib.machinery
        import sys
        import types

        class SparkSession:
            @classmethod
            def getActiveSession(cls):
                return "the project's own"  # a text has no stop()

        for name in ("pyspark", "pyspark.sql"):
            module = sys.modules[name] = types.ModuleType(name)
            module.__spec__ = importlib.machinery.ModuleSpec(name, None)
            module.SparkSession = SparkSession
        """
    )
    pytester.makepyfile('def test_it(spark): assert spark == "the project\'s own"')
    run(pytester).assert_outcomes(passed=1)


def test_wheelrun_local_runs_a_job_of_the_rootdir(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEELRUN_TARGET", "nowhere")
    monkeypatch.setenv("WHEELRUN_CACHE_DIR", str(project.path / "not-here"))
    project.makepyfile(
        """
        import os

        from wheelrun import RunState

        def test_it(wheelrun_local):
            run = wheelrun_local("jobs:double", {"number": "4"})
            assert run.state is RunState.SUCCEEDED
            assert run.result() == 8
            assert [line.text for line in run.logs()] == ["doubling 4"]
            assert run.record.artifact_root.startswith(str(wheelrun_local.home))
            assert os.environ["WHEELRUN_HOME"] == str(wheelrun_local.home)
            assert [found.id for found in wheelrun_local.client.runs()] == [run.id]

        def test_each_test_has_a_home_of_its_own(wheelrun_local):
            assert wheelrun_local.client.runs() == []
        """
    )
    run(project).assert_outcomes(passed=2)
    assert not (project.path / "not-here").exists()
    assert not (project.path / "artifacts").exists()


def test_wheelrun_local_runs_another_project(project: pytest.Pytester) -> None:
    other = project.mkdir("other")
    (other / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (other / "things.py").write_text("def one(): return 1\n", encoding="utf-8")
    project.makepyfile(
        """
        def test_it(wheelrun_local):
            assert wheelrun_local("things:one", project="other").result() == 1
            assert wheelrun_local("jobs:double", {"number": 1}).result() == 2
            assert len(wheelrun_local.client.runs()) == 2
        """
    )
    run(project).assert_outcomes(passed=1)


def test_a_failed_run_is_told_in_the_report(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from wheelrun import RunState

        def test_it(wheelrun_local):
            run = wheelrun_local("jobs:fail")
            assert run.state is RunState.SUCCEEDED
        """
    )
    result = run(project)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*wheelrun fail*", "*failed", "*nothing there*", "about to fail"])


def test_what_still_runs_at_the_end_is_cancelled(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        from pathlib import Path

        def test_it(wheelrun_local):
            run = wheelrun_local("jobs:forever", {"pid_file": str(Path("pid").absolute())}, wait=False)
            Path("home").write_text(str(wheelrun_local.home))
            assert not run.state.is_terminal
        """
    )
    run(project).assert_outcomes(passed=1)
    with RunStore(home_of(project) / "data" / "runs.sqlite") as store:
        (record,) = store.list()
    assert record.state is RunState.CANCELLED
    pid_file = project.path / "pid"  # it may have been cancelled before it wrote that
    if pid_file.exists():
        assert not (Path("/proc") / pid_file.read_text(encoding="utf-8")).exists()


def test_a_refused_submission_raises(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import pytest

        from wheelrun import WheelrunError

        def test_it(wheelrun_local):
            with pytest.raises(WheelrunError, match="number"):
                wheelrun_local("jobs:double", {"number": "many"})
        """
    )
    run(project).assert_outcomes(passed=1)


EMULATED = """
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import PermissionDenied
from databricks.sdk.service.jobs import ConditionTask, ConditionTaskOp, CronSchedule, RunResultState, SubmitTask, Task

CONDITION = ConditionTask(op=ConditionTaskOp.EQUAL_TO, left="1", right="1")
ME = "/api/2.0/preview/scim/v2/Me"


def test_what_is_written(databricks_emulator):
    WorkspaceClient().workspace.mkdirs("/Shared/of-the-first-test")


def test_each_test_has_its_own(databricks_emulator):
    assert list(WorkspaceClient().workspace.list("/Shared")) == []


def test_a_job(databricks_emulator):
    tasks = [SubmitTask(task_key="t", condition_task=CONDITION)]
    run = WorkspaceClient().jobs.submit(run_name="job", tasks=tasks).result()
    assert run.state.result_state is RunResultState.SUCCESS
    assert run.run_page_url.startswith(databricks_emulator.host)


def test_faults(databricks_emulator):
    client = databricks_emulator.client(retry_timeout_seconds=30)
    databricks_emulator.fault(ME, status=403, count=None)
    with pytest.raises(PermissionDenied):
        client.current_user.me()
    databricks_emulator.clear_faults()
    databricks_emulator.clear_requests()
    databricks_emulator.fault(ME, status="drop-after")
    assert client.current_user.me().active
    assert [call["status"] for call in databricks_emulator.requests()] == [None, 200]


def test_a_fault_that_is_none(databricks_emulator):
    with pytest.raises(ValueError, match="status must be 400 to 599"):
        databricks_emulator.fault(ME, status=200)


def test_the_service_principal(databricks_emulator, monkeypatch):
    monkeypatch.delenv("DATABRICKS_TOKEN")
    emulator = databricks_emulator
    client = WorkspaceClient(client_id=emulator.client_id, client_secret=emulator.client_secret)
    assert client.current_user.me().user_name == emulator.client_id


def test_a_schedule(databricks_emulator):
    client = databricks_emulator.client()
    schedule = CronSchedule(quartz_cron_expression="0 0 * * * ?", timezone_id="UTC")
    client.jobs.create(name="n", tasks=[Task(task_key="t", condition_task=CONDITION)], schedule=schedule)
    databricks_emulator.move_clock(3600)
    while not list(client.jobs.list_runs()):
        pass
"""


def test_the_emulator(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "of somebody")
    pytester.makepyfile(EMULATED)
    run(pytester).assert_outcomes(passed=7)


def test_the_emulator_skips_without_what_it_needs(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from wheelrun.emulator import standing; standing._NEEDED = ('no_such_module',)")
    pytester.makepyfile("def test_it(databricks_emulator): assert False")
    result = run(pytester, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*the emulator needs no_such_module: pip install 'wheelrun[[]emulator[]]'*"])
