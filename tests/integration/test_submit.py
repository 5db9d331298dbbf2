"""spark-submit with the driver on this machine, on a real Spark."""

from __future__ import annotations

import contextlib
import os
import signal
import textwrap
from pathlib import Path

import pytest
from waiting import until

from wheelrun.client import Client
from wheelrun.runtime import processes
from wheelrun.states import RunState as S

pytestmark = [pytest.mark.spark, pytest.mark.slow]

CONFIG = """
[targets.submit]
orchestrator = "spark-submit"
master = "local-cluster[1,1,512]"
properties_file = "settings.conf"
{more}
[targets.submit.conf]
"spark.executor.memory" = "512m"
"""

FILES = {
    "settings.conf": "spark.from.file   said\nspark.executor.memory 9g\n",
    "shop/__init__.py": "",
    "shop/rules.py": "def price(cents): return cents / 100\n",
    "loose.txt": "not shipped",
    "shop/flows.py": """
        import os, sys, time
        from pathlib import Path
        from pyspark.sql import SparkSession
        from pyspark.sql import functions as F
        from shop.rules import price
        from wheelrun import current_run, pipeline, step

        @step
        def priced(spark: SparkSession):
            on_executor = F.udf(lambda _: f"{price(250)} {os.environ['A_TOKEN']} {os.getppid()}", "string")
            said = spark.range(1).select(on_executor("id")).first()[0].split()
            settings = spark.sparkContext.getConf()
            print("priced says", said[0])
            return {
                "price": said[0],
                "token": said[1],
                "app": spark.sparkContext.applicationId,
                "settings": [settings.get(f"spark.from.{name}") for name in ("file", "secret", "defaults")],
                "memory": settings.get("spark.executor.memory"),
                "python": sys.executable,
                "pyspark": sys.modules["pyspark"].__file__,
                "path": [entry for entry in sys.path if entry.endswith("/project")],
            }

        @step
        def again(given, spark: SparkSession):
            print("again says", spark.range(3).count())
            return [given["app"], spark.sparkContext.applicationId]

        @pipeline
        def flow():
            given = priced()
            return {"priced": given, "apps": again(given)}

        @step
        def stays(gate: Path):
            print("stays", flush=True)
            while not gate.exists(): time.sleep(0.02)
            return current_run().attempt

        @step
        def before(): return "before"

        @step
        def after(first, second): return [first, second]

        @pipeline
        def chain(gate: Path): return after(before(), stays(gate))

        def broken(spark: SparkSession, gate: Path):
            print("stays", flush=True)
            while not gate.exists(): time.sleep(0.02)
            return spark.range(3).count()

        @step(retries=1, retry_delay=0)
        def stubborn(gate: Path): return stays.function(gate)
        """,
}


@pytest.fixture
def project(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
    return tmp_path / "project"


@pytest.fixture
def client(project, tmp_path, environ):
    def make(more="", **variables):
        (project / "wheelrun.toml").write_text(CONFIG.format(more=more))
        made.append(
            Client(project, cwd=project, environ={**environ, "WHEELRUN_HOME": str(tmp_path / "home"), **variables})
        )
        return made[-1]

    made: list[Client] = []
    yield make
    for each in made:
        for run in each.runs():
            if not run.state.is_terminal:
                run.cancel()


def submitted(client, entry, gate=None, **options):
    run = client.submit(f"shop.flows:{entry}", {"gate": gate} if gate else {}, target="submit", **options)
    if gate:
        until(lambda: any(line.text == "stays" for line in run.logs(stream="stdout")))
    return run


def below(run):
    """The processes of a run: the supervisor's pid, and the JVM's and the driver's."""
    leader = int(run.record.metadata["pid"])
    found = {}
    for pid in processes.of_session(leader):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"org.apache.spark.deploy.SparkSubmit" in words:
            found["jvm"] = pid
        elif any(word.endswith(b"wheelrun_driver.py") for word in words) and os.getsid(pid) == pid:
            found["driver"] = pid
    return {"supervisor": leader, **found}


def gone(*pids):
    return not any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in pids)


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_executors_have_the_code_the_environment_and_the_settings(client, project, tmp_path):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text("spark.from.defaults said\n")
    path = os.pathsep.join(filter(None, [str(project), os.environ.get("PYTHONPATH")]))
    made = client(SPARK_CONF_DIR=str(tmp_path / "conf"), PYTHONPATH=path)
    run = submitted(made, "flow", env={"A_TOKEN": "s3cr3t"}, conf={"spark.from.secret": "s3cr3t"})
    scratch = Path(until(lambda: run.record.metadata.get("scratch")))
    settings = scratch / "conf" / "spark-defaults.conf"
    until(settings.exists)
    assert settings.stat().st_mode & 0o077 == 0
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in below(run).values()]
    assert not any(b"s3cr3t" in line for line in lines)
    assert run.wait(timeout=180).state is S.SUCCEEDED
    result = run.result()
    first, second = result["apps"]
    assert first == second == result["priced"].pop("app")
    python = result["priced"].pop("python")
    assert Path(python).exists()
    assert ".zip" not in result["priced"].pop("pyspark")
    assert result["priced"] == {
        "price": "2.5",
        "token": "s3cr3t",
        # the user's properties file stands in the place of the defaults; what wheelrun was told stands above both
        "settings": ["said", "s3cr3t", None],
        "memory": "512m",
        "path": [],
    }
    assert [line.text for line in run.logs(step="again", stream="stdout")] == ["again says 3"]
    assert run.record.steps[0].application_id == first
    until(lambda: not scratch.exists())
    home = tmp_path / "home"
    outputs = set(home.rglob("value.json"))
    holders = {path for path in home.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()}
    assert holders <= outputs  # the step returned it itself


def test_each_step_may_have_an_application_of_its_own(client):
    run = submitted(client('isolation = "step"'), "flow", env={"A_TOKEN": "t"})
    assert run.wait(timeout=180).state is S.SUCCEEDED
    first, second = run.result()["apps"]
    assert first != second
    assert [step.application_id for step in run.record.steps] == [first, second]


def test_a_jvm_that_dies_is_told_and_the_run_can_be_resumed(client, tmp_path):
    gate = tmp_path / "gate"
    run = submitted(client(), "chain", gate)
    pids = below(run)
    os.kill(pids["jvm"], signal.SIGKILL)
    record = run.wait(timeout=90)
    assert [step.state for step in record.steps] == [S.SUCCEEDED, S.FAILED, S.SKIPPED]
    assert record.steps[1].error.category == "cluster"
    assert record.steps[1].error.message == "spark-submit ended while step 'stays' was running: killed by SIGKILL"
    assert "out of memory" in record.steps[1].error.hint
    assert record.exit_code == 6
    until(lambda: gone(*pids.values()))
    gate.touch()
    resumed = client().resume(run.id)
    assert resumed.wait(timeout=180).state is S.SUCCEEDED
    assert resumed.result() == ["before", 1]
    assert resumed.record.steps[0] == record.steps[0]


def test_a_jvm_that_dies_under_a_step_that_uses_it_is_not_the_steps_fault(client, tmp_path):
    gate = tmp_path / "gate"
    run = submitted(client(), "broken", gate)
    pids = below(run)
    os.kill(pids["driver"], signal.SIGSTOP)  # so that the step finds out before its supervisor does
    os.kill(pids["jvm"], signal.SIGKILL)
    gate.touch()
    until(lambda: run.status().steps[0].state is not S.RUNNING)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pids["driver"], signal.SIGCONT)
    record = run.wait(timeout=90)
    assert (record.state, record.exit_code) == (S.FAILED, 6)
    assert record.steps[0].error.category == "cluster"
    assert client().resume(run.id).wait(timeout=180).state is S.SUCCEEDED


def test_a_driver_that_is_killed_is_told_and_a_retry_starts_spark_submit_again(client, tmp_path):
    gate = tmp_path / "gate"
    run = submitted(client(), "stubborn", gate)
    os.kill(below(run)["driver"], signal.SIGKILL)
    until(lambda: run.status().steps[0].state is S.QUEUED)
    gate.touch()
    record = run.wait(timeout=180)
    assert (record.state, record.steps[0].attempts, run.result()) == (S.SUCCEEDED, 2, 2)


def test_when_the_supervisor_is_killed_nothing_goes_on(client, tmp_path):
    gate = tmp_path / "gate"
    run = submitted(client(), "chain", gate)
    pids = below(run)
    os.kill(pids["supervisor"], signal.SIGKILL)
    until(lambda: gone(*pids.values()), within=30)
    record = run.status()
    assert (record.state, record.error.category) == (S.FAILED, "cluster")
    assert not Path(record.metadata["scratch"]).exists()
    gate.touch()
    assert client().resume(run.id).wait(timeout=180).state is S.SUCCEEDED


def test_a_spark_submit_that_does_not_come_up_tells_why(client):
    run = submitted(client(), "flow", conf={"spark.driver.memory": "lots"})
    record = run.wait(timeout=90)
    assert record.state is S.FAILED
    assert record.error.category == "cluster"
    assert record.error.message.startswith("spark-submit ended before a step began (exit status 1): ")
    assert "lots" in record.error.message
    assert {step.state for step in record.steps} == {S.SKIPPED}
