from __future__ import annotations

import pytest
from databricks.sdk.errors import BadRequest, InvalidParameterValue, ResourceDoesNotExist
from databricks.sdk.service import jobs
from databricks.sdk.service.compute import ClusterSpec
from databricks.sdk.service.jobs import CronSchedule, JobSettings, PauseStatus

DAILY = CronSchedule(quartz_cron_expression="0 0 6 * * ?", timezone_id="Europe/Berlin")


def made(*tasks):
    return [jobs.Task.from_dict(task) for task in tasks]


def post(client, call, **body):
    return client.api_client.do("POST", f"/api/2.2/jobs/{call}", body=body)


def test_a_job_is_told_as_it_was_made(scripted, script):
    job_id = scripted.jobs.create(
        name="näme",
        tasks=made(script("a"), script("b", after=["a"], run_if="ALL_DONE")),
        tags={"made-by": "me"},
        schedule=DAILY,
        parameters=[jobs.JobParameterDefinition(name="p", default="d")],
    ).job_id
    job = scripted.jobs.get(job_id)
    assert job.job_id == job_id
    assert job.creator_user_name == job.run_as_user_name == scripted.current_user.me().user_name
    settings = job.settings
    assert (settings.name, settings.tags) == ("näme", {"made-by": "me"})
    assert (settings.max_concurrent_runs, settings.timeout_seconds) == (1, 0)
    assert settings.schedule.pause_status is PauseStatus.UNPAUSED
    assert settings.queue.enabled
    assert [(task.task_key, task.run_if.value) for task in settings.tasks] == [("a", "ALL_SUCCESS"), ("b", "ALL_DONE")]


def test_the_queue_is_off_where_it_was_not_there_yet(scripted, script):
    answer = scripted.api_client.do("POST", "/api/2.1/jobs/create", body={"tasks": [script("a")]})
    assert scripted.jobs.get(answer["job_id"]).settings.queue is None


def test_reset(scripted, script):
    job_id = scripted.jobs.create(name="a", tasks=made(script("a")), tags={"x": "y"}).job_id
    scripted.jobs.reset(job_id, JobSettings(name="b", tasks=made(script("c"))))
    settings = scripted.jobs.get(job_id).settings
    assert (settings.name, settings.tags, [task.task_key for task in settings.tasks]) == ("b", None, ["c"])


def test_update(scripted, script):
    job_id = scripted.jobs.create(name="a", tasks=made(script("a"), script("b")), tags={"x": "y"}).job_id
    changed = JobSettings(name="n", tasks=made(script("b", description="new"), script("c")))
    scripted.jobs.update(job_id, new_settings=changed, fields_to_remove=["tags", "tasks/a"])
    settings = scripted.jobs.get(job_id).settings
    assert (settings.name, settings.tags) == ("n", None)
    assert [(task.task_key, task.description) for task in settings.tasks] == [("b", "new"), ("c", None)]


def test_an_update_that_would_break_a_job_changes_nothing(scripted, script):
    job_id = scripted.jobs.create(name="a", tasks=made(script("a"), script("b", after=["a"]))).job_id
    with pytest.raises(InvalidParameterValue, match="'b' depends on task 'a', which does not exist"):
        scripted.jobs.update(job_id, fields_to_remove=["tasks/a"])
    assert len(scripted.jobs.get(job_id).settings.tasks) == 2


def starting(*job_ids):
    return made(*({"task_key": f"start-{each}", "run_job_task": {"job_id": each}} for each in job_ids))


def test_a_job_does_not_start_itself(scripted, script):
    first = scripted.jobs.create(tasks=made(script("a"))).job_id
    second = scripted.jobs.create(tasks=starting(first)).job_id
    third = scripted.jobs.create(tasks=starting(first, second)).job_id
    each = {"task_key": "all", "for_each_task": {"inputs": "[1]", "task": starting(third)[0].as_dict()}}
    for tasks in (starting(first), starting(second), starting(third), made(each)):
        for change in (scripted.jobs.update, scripted.jobs.reset):
            with pytest.raises(InvalidParameterValue, match=f"Job {first} starts itself"):
                change(first, new_settings=JobSettings(tasks=tasks))
    assert [task.task_key for task in scripted.jobs.get(first).settings.tasks] == ["a"]


def test_jobs_that_start_jobs_are_nested_three_deep(scripted, script):
    outermost = scripted.jobs.create(tasks=made(script("a"))).job_id
    for _ in range(3):
        inner, outermost = outermost, scripted.jobs.create(tasks=starting(outermost)).job_id
    scripted.jobs.submit(tasks=[jobs.SubmitTask.from_dict(task.as_dict()) for task in starting(inner)]).result()
    with pytest.raises(InvalidParameterValue, match="nested more than 3 deep"):
        scripted.jobs.create(tasks=starting(outermost))
    with pytest.raises(InvalidParameterValue, match="nested more than 3 deep"):
        scripted.jobs.submit(tasks=[jobs.SubmitTask.from_dict(task.as_dict()) for task in starting(outermost)])


def test_a_job_below_which_one_is_gone_can_be_made(scripted, script):
    first = scripted.jobs.create(tasks=made(script("a"))).job_id
    second = scripted.jobs.create(tasks=starting(first)).job_id
    scripted.jobs.delete(first)
    assert scripted.jobs.create(tasks=starting(second)).job_id


def test_delete(scripted, script):
    job_id = scripted.jobs.create(tasks=made(script("a"))).job_id
    scripted.jobs.delete(job_id)
    with pytest.raises(ResourceDoesNotExist, match=f"Job {job_id} does not exist"):
        scripted.jobs.get(job_id)


@pytest.mark.parametrize(
    ("call", "body"),
    [("delete", {}), ("run-now", {}), ("update", {}), ("reset", {"new_settings": {}}), ("runs/cancel-all", {})],
)
def test_jobs_that_there_are_not(scripted, call, body):
    with pytest.raises(InvalidParameterValue, match=r"^Job 5 does not exist\.$"):
        post(scripted, call, job_id=5, **body)


def test_list(scripted, script):
    ids = [scripted.jobs.create(name=f"job {number % 2}", tasks=made(script("a"))).job_id for number in range(45)]
    assert [job.job_id for job in scripted.jobs.list()] == ids[::-1]
    assert [job.job_id for job in scripted.jobs.list(name="JOB 1", limit=10)] == ids[1::2][::-1]
    assert list(scripted.jobs.list(name="job")) == []
    job = next(iter(scripted.jobs.list()))
    assert not job.settings.tasks
    job = next(iter(scripted.jobs.list(expand_tasks=True)))
    assert [task.task_key for task in job.settings.tasks] == ["a"]


@pytest.mark.parametrize("query", [{"limit": 101}, {"limit": 0}, {"page_token": "x"}, {"nothing": "x"}])
def test_lists_that_are_refused(scripted, query):
    with pytest.raises(BadRequest):
        scripted.api_client.do("GET", "/api/2.2/jobs/list", query=query)


def test_250_tasks_in_pages(scripted, script):
    tasks = made(*(script(f"t{number}") for number in range(250)))
    spec = ClusterSpec(spark_version="16.4.x-scala2.12", node_type_id="i3.xlarge", num_workers=1)
    clusters = [jobs.JobCluster(f"c{number}", spec) for number in range(100)]
    job_id = scripted.jobs.create(name="many", tasks=tasks, job_clusters=clusters).job_id
    settings = scripted.jobs.get(job_id).settings
    assert [task.task_key for task in settings.tasks] == [task.task_key for task in tasks]
    assert len(settings.job_clusters) == 100
    (job,) = scripted.jobs.list(expand_tasks=True)
    assert len(job.settings.tasks) == 250
    assert len(scripted.api_client.do("GET", "/api/2.2/jobs/get", query={"job_id": job_id})["settings"]["tasks"]) == 100
    assert len(scripted.api_client.do("GET", "/api/2.1/jobs/get", query={"job_id": job_id})["settings"]["tasks"]) == 250


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"nope": 1}, "Unknown field 'nope'"),
        ({"tasks": [{"task_key": "a", "nope": 1}]}, r"Unknown field 'tasks\[0\]\.nope'"),
        ({"name": "n" * 5000}, "4096 bytes"),
        ({"schedule": {"quartz_cron_expression": "0 6 * * 1-5", "timezone_id": "UTC"}}, "5 fields, not 6 or 7"),
        ({"tasks": [{"task_key": f"t{number}"} for number in range(1001)]}, "1001 tasks"),
    ],
)
def test_jobs_that_are_refused(scripted, body, message):
    with pytest.raises(InvalidParameterValue, match=message):
        post(scripted, "create", **body)
    assert list(scripted.jobs.list()) == []


def test_1000_tasks(scripted, script):
    answer = post(scripted, "create", tasks=[script(f"t{number}") for number in range(1000)])
    assert len(scripted.jobs.get(answer["job_id"]).settings.tasks) == 1000


def test_a_schedule_fires_by_the_emulators_clock(scripted, script, until):
    job_id = scripted.jobs.create(tasks=made(script("a")), schedule=DAILY).job_id
    assert list(scripted.jobs.list_runs()) == []
    before = scripted.api_client.do("GET", "/emulator/clock")["now"]
    after = scripted.api_client.do("POST", "/emulator/clock", body={"seconds": 86400})["now"]
    assert after >= before + 86400
    (run,) = until(lambda: list(scripted.jobs.list_runs()))
    assert (run.job_id, run.trigger.value) == (job_id, "PERIODIC")
    assert run.schedule.quartz_cron_expression == DAILY.quartz_cron_expression
    with pytest.raises(InvalidParameterValue, match="forward only"):
        scripted.api_client.do("POST", "/emulator/clock", body={"seconds": -1})
