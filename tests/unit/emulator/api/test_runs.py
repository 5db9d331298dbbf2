from __future__ import annotations

import concurrent.futures
import datetime as dt

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, DatabricksError, InvalidParameterValue, ResourceDoesNotExist
from databricks.sdk.service import jobs
from databricks.sdk.service.jobs import RunLifeCycleState, RunResultState, RunType

from wheelrun.emulator.server import running

SOON = dt.timedelta(seconds=60)
SLEEP = "import time; time.sleep(60)"


def submitted(tasks):
    return [jobs.SubmitTask.from_dict(task) for task in tasks]


def made(tasks):
    return [jobs.Task.from_dict(task) for task in tasks]


def post(client, call, **body):
    return client.api_client.do("POST", f"/api/2.2/jobs/{call}", body=body)


def test_submit_and_wait(scripted, script):
    tasks = submitted([script("a", "print('hello')"), script("b", "1/0", after=["a"], run_if="ALL_DONE")])
    waiter = scripted.jobs.submit(run_name="once", tasks=tasks)
    with pytest.raises(Exception, match="Task b failed with message: Workload failed, see run output for details"):
        waiter.result(timeout=SOON)
    run = scripted.jobs.get_run(waiter.run_id)
    assert (run.run_name, run.run_type) == ("once", RunType.SUBMIT_RUN)
    assert run.run_page_url == f"{scripted.config.host}/run/{run.run_id}"
    assert run.state.result_state is RunResultState.FAILED
    a, b = run.tasks
    assert (a.state.result_state, b.state.result_state) == (RunResultState.SUCCESS, RunResultState.FAILED)
    assert b.depends_on == [jobs.TaskDependency("a")]
    output = scripted.jobs.get_run_output(a.run_id)
    assert (output.logs, output.logs_truncated, output.error) == ("hello\n", False, None)
    assert (output.metadata.run_id, output.metadata.job_run_id) == (a.run_id, run.run_id)
    output = scripted.jobs.get_run_output(b.run_id)
    assert output.error == "ZeroDivisionError: division by zero"
    assert output.error_trace.startswith("Traceback")
    (same,) = scripted.jobs.get_run(b.run_id).tasks
    assert same == b
    with pytest.raises(ResourceDoesNotExist, match=r"Job \d+ does not exist\."):
        scripted.jobs.get(run.job_id)


def test_run_now_and_wait(scripted, script):
    task = script("a", "import sys; print(sys.argv[1:])", "{{job.parameters.p}}")
    job_id = scripted.jobs.create(
        name="j", tasks=made([task]), parameters=[jobs.JobParameterDefinition(name="p", default="d")]
    ).job_id
    run = scripted.jobs.run_now_and_wait(job_id, job_parameters={"p": "é"}, timeout=SOON)
    assert (run.job_id, run.run_name, run.run_type) == (job_id, "j", RunType.JOB_RUN)
    assert run.job_parameters == [jobs.JobParameter(name="p", default="d", value="é")]
    assert scripted.jobs.get_run_output(run.tasks[0].run_id).logs == "['é']\n"
    (task,) = scripted.jobs.get_run(run.run_id, include_resolved_values=True).tasks
    assert task.resolved_values.spark_python_task.parameters == ["é"]
    run = scripted.jobs.run_now_and_wait(job_id, python_params=["x"], timeout=SOON)
    assert run.overriding_parameters.python_params == ["x"]
    assert scripted.jobs.get_run_output(run.tasks[0].run_id).logs == "['x']\n"


def test_a_task_is_told_the_workspace_that_the_client_knows(scripted, script):
    task = script("a", "import sys; print(sys.argv[1])", "{{workspace.id}}")
    run = scripted.jobs.submit_and_wait(tasks=submitted([task]), timeout=SOON)
    assert scripted.jobs.get_run_output(run.tasks[0].run_id).logs.strip() == str(scripted.get_workspace_id())


def test_repair_run_and_wait(scripted, script, tmp_path):
    flag = tmp_path / "flag"
    code = "import pathlib, sys; sys.exit(not pathlib.Path(sys.argv[1]).exists())"
    job_id = scripted.jobs.create(tasks=made([script("a"), script("b", code, str(flag), after=["a"])])).job_id
    waiter = scripted.jobs.run_now(job_id)
    with pytest.raises(Exception, match="Task b failed"):
        waiter.result(timeout=SOON)
    flag.touch()
    repaired = scripted.jobs.repair_run(waiter.run_id, rerun_all_failed_tasks=True)
    run = repaired.result(timeout=SOON)
    assert run.run_id == waiter.run_id
    assert [(task.task_key, task.attempt_number) for task in run.tasks] == [("a", 0), ("b", 0), ("b", 1)]
    run = scripted.jobs.get_run(run.run_id, include_history=True)
    original, repair = run.repair_history
    assert (original.type.value, original.id, original.state.result_state) == ("ORIGINAL", None, RunResultState.FAILED)
    assert (repair.type.value, repair.id) == ("REPAIR", repaired.response.repair_id)
    assert original.task_run_ids == [task.run_id for task in run.tasks[:2]]
    assert repair.task_run_ids == [run.tasks[2].run_id]
    with pytest.raises(InvalidParameterValue, match="The latest repair ID needs to be provided"):
        scripted.jobs.repair_run(run.run_id, rerun_tasks=["b"])
    run = scripted.jobs.repair_run_and_wait(run.run_id, rerun_tasks=["b"], latest_repair_id=repair.id, timeout=SOON)
    assert run.state.result_state is RunResultState.SUCCESS


def test_cancel_run_and_wait(scripted, script):
    run_id = scripted.jobs.submit(tasks=submitted([script("a", SLEEP)])).run_id
    run = scripted.jobs.cancel_run_and_wait(run_id, timeout=SOON)
    assert run.state.life_cycle_state is RunLifeCycleState.TERMINATED
    assert run.state.result_state is RunResultState.CANCELED
    assert run.state.user_cancelled_or_timedout
    assert run.status.termination_details.code.value == "USER_CANCELED"


def test_cancel_all(scripted, script, until):
    job_id = scripted.jobs.create(tasks=made([script("a", SLEEP)])).job_id
    first, second = scripted.jobs.run_now(job_id).run_id, scripted.jobs.run_now(job_id).run_id
    run = scripted.jobs.get_run(second)
    assert run.state.life_cycle_state is RunLifeCycleState.QUEUED
    assert run.status.queue_details.message == "Queued due to reaching maximum concurrent runs of 1."
    scripted.jobs.cancel_all_runs(job_id=job_id)
    for run_id in (first, second):
        until(lambda run_id=run_id: scripted.jobs.get_run(run_id).state.result_state is RunResultState.CANCELED)
    with pytest.raises(InvalidParameterValue, match="Either job_id or all_queued_runs"):
        scripted.jobs.cancel_all_runs()


def test_a_run_too_many(scripted, script):
    queue = jobs.QueueSettings(enabled=False)
    job_id = scripted.jobs.create(tasks=made([script("a", SLEEP)]), queue=queue).job_id
    first = scripted.jobs.run_now(job_id).run_id
    run = scripted.jobs.run_now_and_wait(job_id, timeout=SOON)
    assert run.state.life_cycle_state is RunLifeCycleState.SKIPPED
    assert run.state.result_state is RunResultState.MAXIMUM_CONCURRENT_RUNS_REACHED
    assert run.status.termination_details.code.value == "MAX_CONCURRENT_RUNS_EXCEEDED"
    # the run's own setting comes first
    queued = scripted.jobs.run_now(job_id, queue=jobs.QueueSettings(enabled=True)).run_id
    assert scripted.jobs.get_run(queued).state.life_cycle_state is RunLifeCycleState.QUEUED
    scripted.jobs.cancel_run(queued)
    scripted.jobs.cancel_run_and_wait(first, timeout=SOON)


def test_one_run_for_20_calls_with_one_token(scripted, script):
    body = {"tasks": [script("a")], "idempotency_token": "t" * 64}
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(scripted, "runs/submit", **body), range(20)))
    assert len({answer["run_id"] for answer in answers}) == 1
    assert len(list(scripted.jobs.list_runs())) == 1


def test_list_runs(scripted, script, until):
    job_id = scripted.jobs.create(tasks=made([script("a")]), max_concurrent_runs=100).job_id
    ids = [scripted.jobs.run_now(job_id).run_id for _ in range(30)]
    other = scripted.jobs.submit(tasks=submitted([script("b", SLEEP)])).run_id
    until(lambda: not list(scripted.jobs.list_runs(job_id=job_id, active_only=True)))

    def listed(**asked):
        return [run.run_id for run in scripted.jobs.list_runs(**asked)]

    assert listed() == [other, *ids[::-1]]
    assert listed(job_id=job_id, limit=7) == ids[::-1]
    assert listed(active_only=True) == [other]
    assert listed(completed_only=True, limit=25) == ids[::-1]
    assert listed(run_type=RunType.SUBMIT_RUN) == [other]
    start = scripted.jobs.get_run(ids[15]).start_time
    assert set(ids[16:]) <= set(listed(start_time_from=start)) <= {*ids, other}
    assert set(listed(start_time_from=start)) | set(listed(start_time_to=start)) == {*ids, other}
    (run,) = scripted.jobs.list_runs(active_only=True, expand_tasks=True)
    assert [task.task_key for task in run.tasks] == ["b"]
    scripted.jobs.cancel_run(other)


def test_pages_of_runs_forward_and_back(scripted, script):
    ids = [post(scripted, "runs/submit", tasks=[script("a")])["run_id"] for _ in range(5)]

    def page(**query):
        answer = scripted.api_client.do("GET", "/api/2.2/jobs/runs/list", query=query)
        return [run["run_id"] for run in answer["runs"]], answer

    first, answer = page(limit=2)
    assert (first, answer["has_more"], "prev_page_token" in answer) == (ids[:2:-1], True, False)
    second, answer = page(limit=2, page_token=answer["next_page_token"])
    assert second == [ids[2], ids[1]]
    assert page(limit=2, page_token=answer["prev_page_token"])[0] == first
    last, answer = page(limit=2, page_token=answer["next_page_token"])
    assert (last, answer["has_more"]) == ([ids[0]], False)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": 26}, "limit must be between 0 and 25, not 26"),
        ({"limit": -1}, "limit must be"),
        ({"active_only": "true", "completed_only": "true"}, "cannot both be true"),
        ({"page_token": "x"}, "Invalid page token"),
        ({"nothing": 1}, "Unknown field 'nothing'"),
    ],
)
def test_lists_that_are_refused(scripted, query, message):
    with pytest.raises(BadRequest, match=message):
        scripted.api_client.do("GET", "/api/2.2/jobs/runs/list", query=query)


def test_250_tasks_in_pages(scripted, script):
    tasks = [script("t0", "raise SystemExit(1)"), *(script(f"t{number}", after=["t0"]) for number in range(1, 250))]
    waiter = scripted.jobs.submit(tasks=submitted(tasks))
    with pytest.raises(Exception, match="Task t0 failed"):
        waiter.result(timeout=SOON)
    run = scripted.jobs.get_run(waiter.run_id)
    assert [task.task_key for task in run.tasks] == [task["task_key"] for task in tasks]
    first = scripted.api_client.do("GET", "/api/2.2/jobs/runs/get", query={"run_id": run.run_id})
    assert len(first["tasks"]) == 100
    whole = scripted.api_client.do("GET", "/api/2.1/jobs/runs/get", query={"run_id": run.run_id})
    assert len(whole["tasks"]) == 250
    assert "next_page_token" not in whole
    (listed,) = scripted.jobs.list_runs(expand_tasks=True)
    assert len(listed.tasks) == 250


def test_iterations_in_pages(scripted, script):
    inputs = f"{list(range(101))}"
    task = {"task_key": "all", "for_each_task": {"inputs": inputs, "concurrency": 50, "task": script("one")}}
    run = scripted.jobs.submit_and_wait(tasks=submitted([task]), timeout=SOON)
    (task,) = run.tasks
    stats = task.for_each_task.stats.task_run_stats
    assert (stats.total_iterations, stats.succeeded_iterations, stats.active_iterations) == (101, 101, 0)
    run = scripted.jobs.get_run(task.run_id)
    assert len(run.iterations) == 101
    assert [one.task_key for one in run.tasks] == ["all"]
    assert scripted.jobs.get_run_output(run.iterations[0].run_id).logs == ""


def test_the_end_of_long_logs(scripted, script):
    code = "import sys; sys.stdout.write('x' * 6_000_000 + 'end')"
    run = scripted.jobs.submit_and_wait(tasks=submitted([script("a", code)]), timeout=SOON)
    output = scripted.jobs.get_run_output(run.tasks[0].run_id)
    assert output.logs_truncated
    assert len(output.logs) == 5 * 1024 * 1024
    assert output.logs.endswith("xend")


def test_a_run_is_deleted_once_it_has_ended(scripted, script):
    run_id = scripted.jobs.submit(tasks=submitted([script("a", SLEEP)]), idempotency_token="t").run_id
    with pytest.raises(BadRequest, match="is active and cannot be deleted"):
        scripted.jobs.delete_run(run_id)
    scripted.jobs.cancel_run_and_wait(run_id, timeout=SOON)
    scripted.jobs.delete_run(run_id)
    with pytest.raises(ResourceDoesNotExist, match=f"Run {run_id} does not exist"):
        scripted.jobs.get_run(run_id)
    with pytest.raises(InvalidParameterValue, match="was deleted"):
        scripted.jobs.submit(tasks=submitted([script("a")]), idempotency_token="t")


@pytest.mark.parametrize("call", ["runs/cancel", "runs/delete", "runs/repair"])
def test_runs_that_there_are_not(scripted, call):
    with pytest.raises(InvalidParameterValue, match=r"Run 77 does not exist\."):
        post(scripted, call, run_id=77)


@pytest.mark.parametrize("call", ["runs/get", "runs/get-output", "runs/export"])
def test_runs_that_cannot_be_told_of(scripted, call):
    with pytest.raises(DatabricksError, match=r"^Run 77 does not exist\.$"):
        scripted.api_client.do("GET", f"/api/2.2/jobs/{call}", query={"run_id": 77})


def test_the_output_of_a_job_run(scripted, script):
    run = scripted.jobs.submit_and_wait(tasks=submitted([script("a")]), timeout=SOON)
    with pytest.raises(BadRequest, match="Retrieving the output of runs with multiple tasks is not supported"):
        scripted.jobs.get_run_output(run.run_id)
    with pytest.raises(BadRequest, match="Only runs of notebook tasks"):
        scripted.jobs.export_run(run.run_id)


@pytest.mark.parametrize(
    "field", [{"job_clusters": []}, {"parameters": []}, {"schedule": {}}, {"tags": {}}, {"max_concurrent_runs": 1}]
)
def test_what_one_time_runs_do_not_have(scripted, script, field):
    (name,) = field
    with pytest.raises(InvalidParameterValue, match=f"Unknown field '{name}'"):
        post(scripted, "runs/submit", tasks=[script("a")], **field)


def test_what_tasks_of_one_time_runs_do_not_have(scripted, script):
    with pytest.raises(InvalidParameterValue, match=r"Unknown field 'tasks\[0\]\.job_cluster_key'"):
        post(scripted, "runs/submit", tasks=[script("a", job_cluster_key="c")])
    with pytest.raises(InvalidParameterValue, match="Missing required field: tasks"):
        post(scripted, "runs/submit", run_name="n")
    with pytest.raises(InvalidParameterValue, match="Cluster other does not exist"):
        post(scripted, "runs/submit", tasks=[script("a", existing_cluster_id="other")])


def test_a_run_in_flight_when_the_emulator_was_restarted(tmp_path, stand_in, script, until):
    with running(tmp_path / "state", compute_class=stand_in, token="t") as state:
        client = WorkspaceClient(host=state.host, token="t")
        run_id = client.jobs.submit(tasks=submitted([script("a", SLEEP), script("b", after=["a"])])).run_id
        until(lambda: client.jobs.get_run(run_id).tasks[0].state.life_cycle_state is RunLifeCycleState.RUNNING)
    with running(tmp_path / "state", compute_class=stand_in, token="t") as state:
        client = WorkspaceClient(host=state.host, token="t")
        run = client.jobs.get_run(run_id)
        assert run.state.life_cycle_state is RunLifeCycleState.INTERNAL_ERROR
        assert run.state.result_state is RunResultState.FAILED
        assert "The service restarted" in run.state.state_message
        assert [task.state.life_cycle_state for task in run.tasks] == [RunLifeCycleState.INTERNAL_ERROR] * 2
        assert client.jobs.submit(tasks=submitted([script("a")])).run_id > run.tasks[-1].run_id


def test_one_task_as_version_2_0_has_it(scripted, script, until):
    def call(method, path, **fields):
        given = {"body" if method == "POST" else "query": fields}
        return scripted.api_client.do(method, f"/api/2.0/jobs/runs/{path}", **given)

    task = script("a", "print('hello')")
    del task["task_key"]
    run_id = call("POST", "submit", run_name="n", **task)["run_id"]
    run = until(lambda: (run := call("GET", "get", run_id=run_id))["status"]["state"] == "TERMINATED" and run)
    assert run["format"] == "SINGLE_TASK"
    assert run["task"] == {"spark_python_task": task["spark_python_task"]}
    assert run["cluster_spec"] == {"existing_cluster_id": task["existing_cluster_id"]}
    assert run["state"]["result_state"] == "SUCCESS"
    assert call("GET", "get-output", run_id=run_id)["logs"] == "hello\n"
    with pytest.raises(InvalidParameterValue, match="Only one of tasks and existing_cluster_id"):
        call("POST", "submit", tasks=[script("a")], **task)
    with pytest.raises(InvalidParameterValue, match="Unknown field 'spark_python_task'"):
        post(scripted, "runs/submit", **task)
    assert "task" not in call("GET", "get", run_id=call("POST", "submit", tasks=[script("a")])["run_id"])


def test_every_answer_is_the_clients(scripted, script):
    """What is told of a run is known to the client's own classes, without loss."""
    tasks = [
        script("a", max_retries=1, description="d"),
        {"task_key": "if", "condition_task": {"op": "EQUAL_TO", "left": "1", "right": "1"}},
        {"task_key": "all", "for_each_task": {"inputs": "[1]", "task": script("one")}},
    ]
    run_id = scripted.jobs.submit_and_wait(tasks=submitted(tasks), timeout=SOON).run_id
    query = {"run_id": run_id, "include_history": "true", "include_resolved_values": "true"}
    told = scripted.api_client.do("GET", "/api/2.2/jobs/runs/get", query=query)
    assert told.pop("format") == "MULTI_TASK"
    assert filled(jobs.Run.from_dict(told).as_dict()) == filled(told)


def filled(value):
    """Leave out what is empty: the client does."""
    if isinstance(value, dict):
        return {name: filled(item) for name, item in value.items() if item not in ({}, [])}
    return [filled(item) for item in value] if isinstance(value, list) else value
