"""One suite for every orchestrator."""

from __future__ import annotations

import json
import re
import time

import pytest
from waiting import until

from wheelrun.errors import ConfigurationError, UsageError
from wheelrun.states import RunState as S


def states(run):
    return {step.name: step.state for step in run.record.steps}


def lines(run, **options):
    return [line.text for line in run.logs(**options)]


def test_a_run_succeeds_and_gives_its_result(harness):
    run = harness.run("jobs:succeed", {"n": "4"})
    assert run.state is S.SUCCEEDED
    assert run.result() == 4
    record = run.record
    assert record.exit_code == 0
    assert record.created_at <= record.started_at <= record.ended_at
    assert record.wheel["version"].split("+w")[1] == record.wheel["digest"][:12]


def test_a_failed_step_tells_why_and_skips_what_stands_on_it(harness, tmp_path):
    run = harness.run("jobs:chain", {"n": 1, "marker": tmp_path / "marker"})
    assert states(run) == {"first": S.SUCCEEDED, "second": S.FAILED, "last": S.SUCCEEDED}
    assert run.record.exit_code == 1
    step = run.record.steps[1]
    assert step.error.type == "ValueError"
    assert 'File "jobs.py"' in step.error.traceback
    assert "wheelrun/" not in step.error.traceback
    assert run.record.error.message == "step 'second' failed: the marker is missing"


def test_resume_keeps_what_succeeded_and_the_run_id(harness, tmp_path):
    marker = tmp_path / "marker"
    run = harness.run("jobs:chain", {"n": 1, "marker": marker})
    before = run.record
    marker.touch()
    resumed = harness.another().resume(run.id)
    resumed.wait(timeout=120)
    assert resumed.id == run.id
    assert states(resumed) == {"first": S.SUCCEEDED, "second": S.SUCCEEDED, "last": S.SUCCEEDED}
    assert resumed.record.steps[0] == before.steps[0]
    assert resumed.result() == (run.id, run.id)
    assert resumed.record.exit_code == 0


def test_a_run_that_succeeded_cannot_be_resumed(harness):
    run = harness.run("jobs:succeed")
    with pytest.raises(ConfigurationError, match="has succeeded") as error:
        harness.client.resume(run.id)
    assert "rerun" in error.value.hint


def test_rerun_runs_the_same_wheel_again_though_the_tree_has_changed(harness):
    run = harness.run("jobs:succeed", {"n": 2})
    (harness.project / "jobs.py").write_text("def succeed(n): raise SystemExit(9)\n")
    again = harness.another().rerun(run.id)
    again.wait(timeout=120)
    assert again.id != run.id
    assert again.record.rerun_of == run.id
    assert again.record.wheel == run.record.wheel
    assert again.result() == 2


def test_retries(harness):
    run = harness.run("jobs:third_time")
    assert run.result() == 3
    assert run.record.steps[0].attempts == 3


def test_a_run_whose_every_step_is_cached_gives_the_same_result(harness):
    first = harness.run("jobs:cached", {"n": 1})
    assert set(states(first).values()) == {S.SUCCEEDED}
    second = harness.run("jobs:cached", {"n": 1})
    assert second.state is S.SUCCEEDED
    assert states(second) == dict.fromkeys(states(first), S.CACHED)
    assert second.result() == first.result() == 3
    assert harness.another().run(second.id).status() == second.record
    again = harness.client.rerun(second.id)
    again.wait(timeout=120)
    assert again.result() == 3
    assert lines(second) == []


def test_a_process_that_dies_is_told_and_the_other_steps_still_run(harness):
    run = harness.run("jobs:survives")
    assert re.search("SIGKILL|signal 9", run.record.steps[0].error.message)
    if not harness.survives_a_process:
        assert states(run) == {"dies": S.FAILED, "tell": S.SKIPPED, "dies_once": S.SKIPPED}
        return
    assert states(run) == {"dies": S.FAILED, "tell": S.SUCCEEDED, "dies_once": S.SUCCEEDED}
    assert run.record.steps[-1].attempts == 2


def test_logs_give_each_line_once_by_stream(harness):
    run = harness.run("jobs:say", {"lines": 5})
    assert lines(run, stream="stdout") == [f"out {index}" for index in range(5)]
    assert [text for text in lines(run, stream="stderr") if text.startswith("err")] == [f"err {i}" for i in range(5)]


def test_logs_of_one_step(harness, tmp_path):
    (tmp_path / "marker").touch()
    run = harness.run("jobs:chain", {"n": 7, "marker": tmp_path / "marker"})
    if harness.target in ("docker", "local", "submit"):
        assert lines(run, step="first", stream="stdout") == ["first says 7"]
        assert lines(run, step="second", stream="stdout") == ["second says 7"]
    assert sorted(lines(run, stream="stdout")) == ["first says 7", "second says 7"]


def test_logs_come_while_it_runs_and_following_ends_with_the_run(harness, tmp_path):
    go = tmp_path / "go"
    run = harness.submit("jobs:wait_for", {"path": go})
    followed = run.logs(follow=True, stream="stdout")
    assert next(followed).text == "waiting"
    assert not run.status().state.is_terminal
    go.touch()
    assert list(followed) == []
    assert run.status().state is S.SUCCEEDED


def test_cancel_ends_it_within_ten_seconds(harness, tmp_path):
    run = harness.submit("jobs:wait_for", {"path": tmp_path / "never"})
    until(lambda: run.status().steps[0].state is S.RUNNING)
    began = time.monotonic()
    record = harness.another().run(run.id).cancel()
    assert time.monotonic() - began < 10
    assert record.state is S.CANCELLED
    assert record.exit_code == 4
    assert record.steps[0].state is S.CANCELLED
    assert harness.another().run(run.id).cancel().state is S.CANCELLED


def test_a_cancelled_run_can_be_resumed(harness, tmp_path):
    path = tmp_path / "go"
    run = harness.submit("jobs:wait_for", {"path": path})
    run.cancel()
    path.touch()
    resumed = harness.client.resume(run.id)
    assert resumed.wait(timeout=120).state is S.SUCCEEDED


def test_a_run_that_takes_too_long_is_ended(harness, tmp_path):
    run = harness.run("jobs:wait_for", {"path": tmp_path / "never"}, timeout=0.5)
    assert run.state is S.FAILED
    assert run.record.exit_code == 124
    assert "longer than 0.5 s" in run.record.error.message


def test_status_is_the_same_from_another_process(harness):
    run = harness.run("jobs:succeed")
    assert harness.another().run(run.id).status() == run.record
    assert harness.another().run("last").id == run.id
    assert [other.id for other in harness.another().runs()] == [run.id]


def test_one_idempotency_key_makes_one_run(harness):
    first = harness.run("jobs:succeed", idempotency_key="k")
    second = harness.submit("jobs:succeed", idempotency_key="k")
    assert second.id == first.id
    assert len(harness.client.runs()) == 1


def test_secrets_reach_the_run_and_are_stored_nowhere(harness):
    if not harness.takes_secrets:
        with pytest.raises(ConfigurationError, match="MY_TOKEN in environment is a secret") as error:
            harness.submit("jobs:show", {"name": "MY_TOKEN"}, env={"MY_TOKEN": "s3cr3t-v4lue"})
        assert "{{secrets/scope/key}}" in error.value.hint
        assert harness.client.runs() == []
        return
    run = harness.submit("jobs:show", {"name": "MY_TOKEN"}, env={"MY_TOKEN": "s3cr3t-v4lue", "PLAIN": "seen"})
    run.wait(timeout=120)
    result = list(harness.home.rglob("outputs/**/value.json"))
    assert json.loads(result[0].read_text()) == "s3cr3t-v4lue"
    result[0].unlink()
    holders = [path for path in harness.home.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert holders == []
    with pytest.raises(ConfigurationError, match=r"MY_TOKEN was given .* not recorded"):
        harness.client.rerun(run.id)
    again = harness.client.rerun(run.id, env={"MY_TOKEN": "other"})
    again.wait(timeout=120)
    assert again.result() == "other"


def test_files_that_hold_state_are_the_owners(harness):
    run = harness.run("jobs:succeed")
    run_folder = harness.home / "data" / "artifacts" / "runs" / run.id
    below_root = ("events.jsonl", "deployment.json", "logs/stdout.log") if run_folder.is_dir() else ()
    for path in map(run_folder.joinpath, below_root):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (harness.home / "data" / "runs.sqlite").stat().st_mode & 0o077 == 0


def test_a_parameter_that_does_not_fit_is_refused_before_anything_is_recorded(harness):
    with pytest.raises(UsageError, match="'n': 'x' is not an int"):
        harness.submit("jobs:succeed", {"n": "x"})
    assert harness.client.runs() == []


def test_prepare_prints_what_would_be_submitted_and_records_nothing(harness):
    secret = "s3cr3t-v4lue" if harness.takes_secrets else "{{secrets/scope/key}}"
    prepared = harness.client.prepare("jobs:succeed", target=harness.target, env={"MY_TOKEN": secret})
    shown = json.dumps(prepared.request.display())
    assert "s3cr3t" not in shown
    assert "MY_TOKEN" in shown
    assert harness.client.runs() == []


def test_a_run_inside_a_run_is_refused(harness):
    client = type(harness.client)(harness.project, environ={**harness.client.environ, "WHEELRUN_RUN_ID": "outer"})
    with pytest.raises(ConfigurationError, match="must not start a run of its own"):
        client.submit("jobs:succeed")


def test_metadata_is_published_as_plain_json(harness):
    run = harness.run("jobs:succeed")
    assert json.loads(json.dumps(dict(run.record.metadata))) == run.record.metadata
    assert run.record.metadata
