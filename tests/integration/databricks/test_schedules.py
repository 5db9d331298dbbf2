"""`wheelrun schedule` on an emulated workspace."""

from __future__ import annotations

import json
import time

import pytest

from wheelrun.cli.app import run as wheelrun
from wheelrun.states import RunState as S


@pytest.fixture
def command(client, monkeypatch, capsys):
    """Run a command line in the project; returns its exit code and what it printed."""
    monkeypatch.chdir(client.root)
    monkeypatch.setenv("WHEELRUN_HOME", client.environ["WHEELRUN_HOME"])

    def call(*words):
        code = wheelrun(words)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_a_schedule_is_set_listed_paused_resumed_and_removed(command, workspace):
    code, out, err = command(
        "schedule",
        "set",
        "jobs:add",
        "-t",
        "there",
        "-p",
        "n=4",
        "--cron",
        "0 6 * * 1-5",
        "--timezone",
        "Europe/Berlin",
    )
    assert code == 0, err
    assert "schedule add set: 0 0 6 ? * MON-FRI (Europe/Berlin)" in out
    _, out, _ = command("schedule", "list", "-t", "there", "-o", "json")
    (found,) = json.loads(out)
    assert (found["name"], found["paused"]) == ("add", False)
    job = workspace.client.jobs.get(int(found["id"]))
    assert job.settings.tags["wheelrun"] == "scheduled"
    assert not list(workspace.client.jobs.list_runs(job_id=job.job_id))
    assert "paused" in command("schedule", "pause", "add", "-t", "there")[1]
    assert json.loads(command("schedule", "list", "-t", "there", "-o", "json")[1])[0]["paused"]
    assert workspace.client.jobs.get(job.job_id).settings.schedule.pause_status.value == "PAUSED"
    command("schedule", "resume", "add", "-t", "there")
    assert not json.loads(command("schedule", "list", "-t", "there", "-o", "json")[1])[0]["paused"]
    assert "removed" in command("schedule", "remove", "add", "-t", "there")[1]
    assert json.loads(command("schedule", "list", "-t", "there", "-o", "json")[1]) == []
    code, _, err = command("schedule", "remove", "add", "-t", "there")
    assert code == 3
    assert "has no schedule 'add'" in err


def test_what_is_scheduled_stays_as_it_was_set(command, client, workspace, tmp_path):
    gate = tmp_path / "gate"
    gate.touch()
    code, out, err = command(
        "schedule", "set", "jobs:chain", "-t", "there", "-p", f"gate={gate}", "--cron", "@yearly", "--now", "-o", "json"
    )
    assert code == 0, err
    job = int(json.loads(out)["id"])
    (native,) = workspace.client.jobs.list_runs(job_id=job)
    limit = time.monotonic() + 120
    while not (found := workspace.client.jobs.get_run(native.run_id)).state.result_state and time.monotonic() < limit:
        time.sleep(0.2)
    assert found.state.result_state.value == "SUCCESS"
    (client.root / "jobs.py").write_text((client.root / "jobs.py").read_text().replace('"second"]', '"changed"]'))
    submitted = client.submit("jobs:chain", {"gate": str(gate)}, target="there")
    assert submitted.record.metadata["job"] != job
    assert submitted.result(timeout=120) == [1, "changed"]
    again = workspace.client.jobs.run_now(job).result()
    assert again.state.result_state.value == "SUCCESS"  # though another version is installed on the cluster by now
    for number in (native.run_id, again.run_id):
        (output,) = workspace.folder.rglob(f"runs/schedule-*-{number}/outputs/second/result/value.json")
        assert json.loads(output.read_text()) == [1, "second"]
    assert submitted.status().state is S.SUCCEEDED
    command("schedule", "remove", str(job), "-t", "there")


def test_another_set_takes_the_place_of_the_one_before(command):
    for cron in ("0 6 * * *", "30 7 * * *"):
        command("schedule", "set", "jobs:add", "-t", "there", "--cron", cron)
    (found,) = json.loads(command("schedule", "list", "-t", "there", "-o", "json")[1])
    assert found["when"] == "0 30 7 * * ?"
    command("schedule", "remove", "add", "-t", "there")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-t", "local", "--cron", "@daily"), "target 'local' (local) does not run on a schedule"),
        (("-t", "there", "--cron", "0 6 * *"), "4 fields, not five"),
        (("-t", "there", "--cron", "0 0 1 * 1"), "sets day of the month and day of the week"),
        (("-t", "there", "--cron", "@daily", "--timezone", "Mars"), "no time zone 'Mars'"),
    ],
)
def test_what_cannot_be_is_refused(command, workspace, words, said):
    code, _, err = command("schedule", "set", "jobs:add", *words)
    assert code == 3
    assert said in err
    assert not [call for call in workspace.calls() if "/jobs/create" in call]


def test_doctor_looks_at_the_workspace(command):
    code, out, err = command("doctor", "-t", "new", "-o", "json")
    assert code == 0, out + err
    details = [each["detail"] for each in json.loads(out)["checks"] if each["check"] == "target new"]
    assert "as emulator@wheelrun.local" in details[0]
    assert "jobs (can be made)" in details[0]
    assert "Python (3.11.11)" in details[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"DATABRICKS_TOKEN": "dapiwrong"}, "does not accept the token"),
        ({"DATABRICKS_HOST": ""}, "no Databricks workspace is named"),
    ],
)
def test_doctor_tells_what_keeps_it_out(command, monkeypatch, tmp_path, change, said):
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    code, out, _ = command("doctor", "-t", "there")
    assert code == 3
    assert said in out
