from __future__ import annotations

import pytest

from wheelrun.emulator.engine.checks import check_job, check_sent
from wheelrun.emulator.errors import ApiError

WHEEL = {"package_name": "p", "entry_point": "e"}


class Clusters:
    """Knows one cluster, and no cluster of eleven workers."""

    def check_existing(self, cluster_id):
        if cluster_id != "known":
            raise ApiError("INVALID_PARAMETER_VALUE", f"Cluster {cluster_id} does not exist")

    def check_cluster_spec(self, spec):
        if spec.get("num_workers") == 11:
            raise ApiError("INVALID_PARAMETER_VALUE", "too many workers")


def task(key="a", kind="python_wheel_task", value=WHEEL, **settings):
    if kind in {"python_wheel_task", "spark_python_task"} and not {*settings} & {
        "new_cluster",
        "job_cluster_key",
        "environment_key",
    }:
        settings = {"existing_cluster_id": "known", **settings}
    return {"task_key": key, kind: value, **{name: item for name, item in settings.items() if item is not None}}


def job(*tasks, **settings):
    return {"tasks": list(tasks), **settings}


def unknown_job(job_id):
    if job_id != 1:
        raise ApiError("INVALID_PARAMETER_VALUE", f"Job {job_id} does not exist.")


CONDITION = task("if", "condition_task", {"op": "EQUAL_TO", "left": "a", "right": "a"})
EACH = {"inputs": "[1]", "concurrency": 100, "task": task("one")}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        job(task(), task("b", depends_on=[{"task_key": "a"}])),
        job(*(task(f"t{number}") for number in range(1000)), name="n" * 4096, tags={str(n): "" for n in range(25)}),
        job(CONDITION, task("b", depends_on=[{"task_key": "if", "outcome": "true"}])),
        job(task(new_cluster={"num_workers": 2}, libraries=[{"whl": "/a.whl"}])),
        job(task(job_cluster_key="c"), job_clusters=[{"job_cluster_key": "c", "new_cluster": {}}]),
        job(task(environment_key="e"), environments=[{"environment_key": "e"}]),
        job(task("k" * 100, "for_each_task", EACH)),
        job(task("a", "run_job_task", {"job_id": 1})),
        job(task("a", "spark_python_task", {"python_file": "/f.py"}, max_retries=-1)),
        {"schedule": {"quartz_cron_expression": "0 0 6 ? * 2-6", "timezone_id": "Europe/Berlin"}},
        {"trigger": {"periodic": {"interval": 1, "unit": "DAYS"}}, "max_concurrent_runs": 0},
        {"parameters": [{"name": "a.b-c_1", "default": ""}]},
    ],
)
def test_what_can_be_a_job(settings):
    check_job(settings, Clusters(), unknown_job)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "é" * 2049}, "its maximum length is 4096 bytes in UTF-8"),
        ({"run_name": "n" * 5000}, "its maximum length is 4096 bytes"),
        ({"description": "d" * 27701}, "27700 characters"),
        ({"tags": {str(number): "" for number in range(26)}}, "at most 25 tags, not 26"),
        ({"max_concurrent_runs": 1001}, "between 0 and 1000"),
        ({"max_concurrent_runs": -1}, "between 0 and 1000"),
        ({"timeout_seconds": -1}, "timeout_seconds must be between 0 and 2147483647"),
        ({"timeout_seconds": 2**31}, "timeout_seconds must be between 0 and 2147483647"),
        (job(*(task(f"t{number}") for number in range(1001))), "has 1001 tasks, which exceeds the maximum of 1000"),
        (job(task("a b")), "Invalid task key 'a b'"),
        (job(task("é")), "Invalid task key 'é'"),
        (job(task("")), "Invalid task key ''"),
        (job(task("k" * 101)), "between 1 and 100 characters"),
        (job(task(), task()), "Duplicate task key 'a'"),
        (job(task(depends_on=[{"task_key": "b"}])), "depends on task 'b', which does not exist"),
        (job(task(depends_on=[{"task_key": "a"}])), "has a cycle"),
        (
            job(task(), task("b", depends_on=[{"task_key": "a", "outcome": "true"}])),
            "an outcome is that of a condition",
        ),
        (
            job(CONDITION, task("b", depends_on=[{"task_key": "if", "outcome": "maybe"}])),
            "an outcome is that of a cond",
        ),
        (job({"task_key": "a"}), "exactly one kind of task, not none"),
        (job(task(spark_python_task={"python_file": "f"})), "exactly one kind of task, not python_wheel_task, spark_p"),
        (job(task("a", "notebook_task", {"notebook_path": "/n"})), "a notebook_task is not run by this emulator"),
        (job(task(existing_cluster_id=None)), "exactly one of existing_cluster_id, new_cluster, job_cluster_key"),
        (job({**task(), "new_cluster": {}}), "exactly one of existing_cluster_id, new_cluster, job_cluster_key"),
        (job(task(existing_cluster_id="unknown")), "Cluster unknown does not exist"),
        (job(task(new_cluster={"num_workers": 11})), "too many workers"),
        ({"job_clusters": [{"job_cluster_key": "c", "new_cluster": {"num_workers": 11}}]}, "too many workers"),
        ({"job_clusters": [{"job_cluster_key": "c", "new_cluster": {}}] * 2}, "Duplicate job cluster key: 'c'"),
        ({"job_clusters": [{"job_cluster_key": f"c{n}", "new_cluster": {}} for n in range(101)]}, "at most 100 job"),
        (job(task(job_cluster_key="c")), "job_cluster_key 'c' is not defined"),
        (job(task(environment_key="e")), "environment_key 'e' is not defined"),
        (
            job(task(environment_key="e", libraries=[{"whl": "w"}]), environments=[{"environment_key": "e"}]),
            "libraries field is not supported for serverless task",
        ),
        ({"environments": [{"environment_key": "e"}] * 2}, "Duplicate environment key: 'e'"),
        (
            {"environments": [{"environment_key": "e", "spec": {"environment_version": "99"}}]},
            "no environment version 99",
        ),
        ({"environments": [{"environment_key": "e", "spec": {"client": "x"}}]}, "no environment version x"),
        ({"parameters": [{"name": "p", "default": ""}] * 2}, "Duplicate job parameter: 'p'"),
        ({"parameters": [{"name": "p q", "default": ""}]}, "Invalid job parameter 'p q'"),
        (job(task(value={**WHEEL, "parameters": ["a"], "named_parameters": {"a": ""}})), "only one of parameters and"),
        (job(task("a", "spark_python_task", {"python_file": "f", "source": "GIT"})), "files of Git repositories"),
        (job(task(environment_variables_key="v")), "environment_variables_key is not supported"),
        (job(task(max_retries=-2)), "max_retries must be -1 or more"),
        (job(task(min_retry_interval_millis=-1)), "min_retry_interval_millis must be between 0 and"),
        (job({**CONDITION, "max_retries": 1}), "a condition task does not support retries"),
        (job({**CONDITION, "existing_cluster_id": "known"}), "existing_cluster_id cannot be specified"),
        (job(task("f", "for_each_task", {**EACH, "concurrency": 101})), "concurrency must be between 1 and 100"),
        (job(task("f", "for_each_task", {**EACH, "task": task("g", "for_each_task", EACH)})), "is no for-each task"),
        (job(task("f", "for_each_task", {**EACH, "task": task("g", existing_cluster_id="x")})), "Cluster x does not"),
        (job(task("a", "run_job_task", {"job_id": 2})), "Job 2 does not exist."),
        ({"schedule": {"quartz_cron_expression": "0 6 * * 1", "timezone_id": "UTC"}}, "5 fields, not 6 or 7"),
        ({"schedule": {"quartz_cron_expression": "0 0 6 * * ?", "timezone_id": "X/Y"}}, "Invalid timezone_id: 'X/Y'"),
        ({"schedule": {}, "trigger": {}}, "Only one of schedule, trigger and continuous"),
        ({"continuous": {"pause_status": "PAUSED"}}, "continuous is not supported by this emulator"),
        ({"git_source": {"git_url": "u", "git_provider": "gitHub"}}, "git_source is not supported"),
        ({"trigger": {"file_arrival": {"url": "u"}}}, "the kind file_arrival are not fired"),
        ({"trigger": {"periodic": {"interval": 0, "unit": "DAYS"}}}, "must be positive"),
    ],
)
def test_what_cannot_be_a_job(settings, message):
    with pytest.raises(ApiError) as caught:
        check_job(settings, Clusters(), unknown_job)
    assert caught.value.code == "INVALID_PARAMETER_VALUE"
    assert message in caught.value.message


@pytest.mark.parametrize(
    "fields",
    [{}, {"job_parameters": {"a": "x" * 9900}}, {"idempotency_token": "t" * 64}, {"python_named_params": {"a": "é"}}],
)
def test_what_can_be_sent(fields):
    check_sent(fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"idempotency_token": "t" * 65}, "at most 64 characters"),
        ({"job_parameters": {"a": "x" * 10_000}}, "exceeds the maximum of 10000 bytes"),
        ({"python_params": ["x" * 11_000]}, "The JSON representation of python_params has 11022 bytes"),
        ({"python_params": ["é"]}, "ASCII"),
        ({"python_params": [], "python_named_params": {}}, "Only one of python_params and python_named_params"),
        ({"jar_params": [], "notebook_params": {}}, "cannot be specified together"),
    ],
)
def test_what_cannot_be_sent(fields, message):
    with pytest.raises(ApiError) as caught:
        check_sent(fields)
    assert message in caught.value.message
