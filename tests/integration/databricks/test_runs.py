"""Runs on an emulated Databricks workspace: what they cost, what becomes of them, what is refused."""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from wheelrun.client.pruning import prune_target
from wheelrun.errors import ClusterError, ConfigurationError, UsageError
from wheelrun.orchestrators.databricks.api import _connected
from wheelrun.states import RunState as S


def states(run):
    return {step.name: step.state for step in run.record.steps}


@pytest.mark.parametrize("target", ["there", "volume", "new", "serverless", "home"])
def test_each_kind_of_compute_and_root(client, target):
    run = client.submit("jobs:add", {"n": 4}, target=target)
    assert run.result(timeout=120) == 5
    assert run.record.url.startswith("http://127.0.0.1")
    assert run.record.metadata["bytes_sent"] > 0


def test_an_unchanged_submission_sends_nothing_and_makes_four_calls(client, another, workspace):
    client.submit("jobs:add", target="home").wait(timeout=120)
    _connected.cache_clear()  # as a process of its own does
    again = another()
    again.targets()
    workspace.calls()
    run = again.submit("jobs:add", target="home")
    calls = workspace.calls()
    assert run.record.metadata["bytes_sent"] == 0
    assert [call.split("/")[-1] if "import-file" not in call else "import-file" for call in calls] == [
        "list",
        "mkdirs",
        "import-file",
        "submit",
    ]
    run.wait(timeout=120)


def test_a_look_is_one_call_whatever_the_number_of_tasks(client, workspace, tmp_path):
    gate = tmp_path / "gate"
    run = client.submit("jobs:chain", {"gate": str(gate)}, target="there")
    while run.status().steps[1].state is not S.RUNNING:
        pass
    workspace.calls()
    for _ in range(5):
        run.status()
    assert workspace.calls() == ["GET /api/2.2/jobs/runs/get"] * 5
    gate.touch()
    assert run.wait(timeout=120).state is S.SUCCEEDED


def test_one_job_serves_all_runs_of_a_pipeline(client, workspace, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    runs = [client.submit("jobs:chain", {"gate": str(gate), "n": n}, target="there") for n in (1, 2)]
    assert [run.result(timeout=120) for run in runs] == [[1, "second"], [2, "second"]]
    assert [run.record.metadata["job_was"] for run in runs] == ["created", "unchanged"]
    (project,) = {client.root}
    (project / "jobs.py").write_text((project / "jobs.py").read_text() + "\n# changed\n")
    run = client.submit("jobs:chain", {"gate": str(gate)}, target="there")
    assert run.record.metadata["job_was"] == "reset"
    assert run.record.metadata["job"] == runs[0].record.metadata["job"]
    assert run.result(timeout=120) == [1, "second"]
    job = workspace.client.jobs.get(runs[0].record.metadata["job"])
    assert job.settings.tags["wheelrun"] == "submitted"
    assert [task.task_key for task in job.settings.tasks] == ["first", "second"]


def test_a_job_that_somebody_changed_is_set_right(client, workspace, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    first = client.submit("jobs:chain", {"gate": str(gate)}, target="there")
    first.wait(timeout=120)
    from databricks.sdk.service.jobs import JobSettings

    workspace.client.jobs.update(first.record.metadata["job"], new_settings=JobSettings(max_concurrent_runs=1))
    second = client.submit("jobs:chain", {"gate": str(gate)}, target="there")
    assert second.record.metadata["job_was"] == "reset"
    second.wait(timeout=120)


def test_conditions_are_the_services_own(client):
    run = client.submit("jobs:branches", target="there")
    record = run.wait(timeout=180)
    assert states(run) == {
        "begins": S.SUCCEEDED,
        "fails": S.FAILED,
        "waits_for_it": S.SKIPPED,
        "tells": S.SUCCEEDED,
        "tells_of_nothing": S.SKIPPED,
        "after": S.SUCCEEDED,
    }
    assert record.error.message == "step 'fails' failed: no luck"
    assert record.error.type == "ValueError"


def test_resume_repairs_the_services_run(client, another, workspace, tmp_path):
    gate = tmp_path / "gate"
    run = client.submit("jobs:chain", {"gate": str(gate), "n": 7}, target="there")
    while run.status().steps[1].state is not S.RUNNING:
        pass
    assert run.cancel().state is S.CANCELLED
    gate.touch()
    for _ in range(1):
        resumed = another().resume(run.id)
        assert resumed.result(timeout=120) == [7, "second"]
    assert resumed.record.metadata["service_run"] == run.record.metadata["service_run"]
    native = workspace.client.jobs.get_run(resumed.record.metadata["service_run"], include_history=True)
    assert len(native.repair_history) == 2
    assert {each.name: each.value for each in native.job_parameters}["run_id"] == run.id


def test_a_run_is_repaired_again_and_again(client, tmp_path):
    gate = tmp_path / "gate"
    run = client.submit("jobs:chain", {"gate": str(gate)}, target="there")
    for _ in range(2):
        while run.status().steps[1].state is not S.RUNNING:
            pass
        run.cancel()
        run = client.resume(run.id)
    gate.touch()
    assert run.result(timeout=120) == [1, "second"]


TRIES = """
from pathlib import Path
from wheelrun import pipeline, step

@step
def begins(): return 1

@step(retries=1)
def tries(given, log: Path, gate: Path):
    before = log.read_text() if log.exists() else ""
    log.write_text(before + "x")
    while len(before) == 3 and not gate.exists(): pass
    if len(before) < 3: raise ValueError("no luck")

@pipeline
def trying(log: Path, gate: Path): tries(begins(), log, gate)
"""


def test_attempts_count_from_the_last_resume_while_it_runs_and_once_it_has_ended(client, tmp_path):
    (client.root / "tries.py").write_text(TRIES)
    gate = tmp_path / "gate"
    params = {"log": str(tmp_path / "log"), "gate": str(gate)}
    counts = {}
    for target in ("there", "local"):
        run = client.submit("tries:trying", params, target=target)
        assert run.wait(timeout=120).steps[1].attempts == 2
        run = client.resume(run.id)
        while len((tmp_path / "log").read_text()) < 4:
            pass
        counts[target] = [run.status().steps[1].attempts]
        gate.touch()
        counts[target] += [step.attempts for step in run.wait(timeout=120).steps]
        gate.unlink()
        (tmp_path / "log").unlink()
    assert counts["there"] == counts["local"] == [2, 1, 2]


def test_a_secret_of_the_workspace_reaches_the_run(client, workspace):
    secrets = workspace.client.secrets
    secrets.create_scope("shop")
    secrets.put_secret("shop", "key", string_value="s3cr3t-v4lue")
    for target in ("new", "there"):
        run = client.submit("jobs:show", {"name": "MY_TOKEN"}, target=target, env={"MY_TOKEN": "{{secrets/shop/key}}"})
        assert run.result(timeout=120) == "s3cr3t-v4lue"
        again = client.rerun(run.id)
        assert again.result(timeout=120) == "s3cr3t-v4lue"
        with pytest.raises(ConfigurationError, match="OTHER_TOKEN in environment is a secret"):
            client.rerun(run.id, env={"OTHER_TOKEN": "written out"})


@pytest.mark.parametrize(
    "words",
    ["größer, 日本, 🎉", "x" * 50_000, "{{job.run_id}} and {{secrets/a/b}}"],
    ids=["letters", "long", "braces"],
)
def test_parameters_travel_by_file_as_they_are(client, words):
    assert client.submit("jobs:text", {"words": words}, target="there").result(timeout=120) == words


def test_a_name_of_any_length_is_taken(client):
    run = client.submit("jobs:add", target="there", name="ß" + "x" * 5000)
    assert run.result(timeout=120) == 2


def test_an_unknown_cluster_is_told_before_anything_is_recorded(client):
    with pytest.raises(ConfigurationError, match="cluster 'nowhere' cannot be used") as error:
        client.submit("jobs:add", target="there", options={"existing_cluster_id": "nowhere"})
    assert "databricks clusters list" in error.value.hint
    assert client.runs() == []


def test_an_expired_or_wrong_token_is_told_before_anything_is_recorded(client, monkeypatch):
    monkeypatch.setenv("DATABRICKS_TOKEN", "dapiwrong")
    with pytest.raises(ConfigurationError, match="does not accept the token"):
        client.submit("jobs:add", target="home")
    assert client.runs() == []


def test_no_workspace_is_told_before_anything_is_recorded(client, monkeypatch, environ, tmp_path):
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("DATABRICKS_HOST")
    with pytest.raises(ConfigurationError, match="no Databricks workspace is named"):
        client.submit("jobs:add", target="home")
    assert client.runs() == []


def test_a_wheel_for_another_python_is_told_before_anything_is_recorded(client):
    (client.root / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.12"\n')
    with pytest.raises(ConfigurationError, match=r"runs Python 3.11.11, and shop needs >=3.12"):
        client.submit("jobs:add", target="new")
    assert client.runs() == []


def test_a_cluster_that_cannot_be_is_told_once(client):
    cluster = {"spark_version": "1.0.x-scala2.12", "node_type_id": "x", "num_workers": 1}
    with pytest.raises(ClusterError) as error:
        client.submit("jobs:add", target="new", options={"cluster": cluster})
    assert "1.0.x-scala2.12" in error.value.message
    assert "wheelrun doctor -t new" in error.value.hint
    (run,) = client.runs()
    assert run.state is S.FAILED


def test_a_parameter_that_does_not_fit_reaches_no_workspace(client, workspace):
    with pytest.raises(UsageError):
        client.submit("jobs:add", {"n": "x"}, target="there")
    assert not [call for call in workspace.calls() if "jobs" in call]


def test_a_pipeline_of_many_tasks_is_one_create_and_one_run_now(client, another, workspace):
    run = client.submit("jobs:wide", target="there")
    made = [call.rpartition("/")[2] for call in workspace.calls() if "/jobs/" in call]
    assert made.count("create") == made.count("run-now") == 1
    assert set(made) == {"list", "create", "run-now"}
    assert len(run.status().steps) == 120
    assert [call.rpartition("/")[2] for call in workspace.calls() if call.endswith("runs/get")] == ["get", "get"]
    run.cancel()
    workspace.calls()
    again = another().submit("jobs:wide", target="there")
    assert again.record.metadata["job_was"] == "unchanged"
    made = [call.rpartition("/")[2] for call in workspace.calls() if "/jobs/" in call]
    assert made == ["list", "get", "get", "run-now"]
    again.cancel()


def test_jobs_that_two_clients_make_at_once_are_one(another, workspace):
    with ThreadPoolExecutor(3) as pool:
        runs = list(pool.map(lambda _: another().submit("jobs:branches", target="there"), range(3)))
    (job,) = {run.record.metadata["job"] for run in runs}
    name = workspace.client.jobs.get(job).settings.name
    assert [each.job_id for each in workspace.client.jobs.list(name=name)] == [job]
    for run in runs:
        assert run.wait(timeout=240).state is S.FAILED  # as its steps have it


def test_what_is_not_permitted_is_told(client, workspace):
    workspace.fail(path="/api/2.2/jobs/create", status=403)
    with pytest.raises(ClusterError, match="does not permit it") as error:
        client.submit("jobs:branches", target="there")
    assert "administrator" in error.value.hint


def test_a_policy_that_forbids_a_cluster_is_told(client, workspace, new):
    definition = json.dumps({"node_type_id": {"type": "fixed", "value": "m5.large"}})
    policy = workspace.client.cluster_policies.create(name=uuid.uuid4().hex, definition=definition).policy_id
    with pytest.raises(ClusterError, match="node_type_id"):
        client.submit("jobs:add", target="new", options={"cluster": {**new, "policy_id": policy}})


def test_a_library_that_cannot_be_installed_is_told_and_in_the_logs(client):
    options = {"libraries": ["/Volumes/main/default/wheelrun/none.whl"]}
    run = client.submit("jobs:add", target="new", options=options)
    record = run.wait(timeout=120)
    assert record.state is S.FAILED
    assert record.error.category == "library"
    assert "none.whl" in record.error.message


def test_what_is_in_use_stays_when_a_target_is_pruned(client):
    run = client.submit("jobs:add", target="volume")
    run.wait(timeout=120)
    assert prune_target(client, "volume").items == ()
    assert client.rerun(run.id).result(timeout=120) == 2


def test_logs_come_by_step_and_live(client, tmp_path):
    gate = tmp_path / "gate"
    run = client.submit("jobs:chain", {"gate": str(gate)}, target="there")
    followed = run.logs(step="second", follow=True)
    assert next(followed).text == "in second"
    assert not run.status().state.is_terminal
    gate.touch()
    assert list(followed) == []
    assert list(run.logs(step="first")) == []
    run.wait(timeout=120)
