from __future__ import annotations

import pytest
from databricks.sdk.service.compute import ClustersAPI
from databricks.sdk.service.jobs import JobsAPI

from wheelrun.emulator.checking import checked
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.service import query

WHEEL = {"package_name": "p", "entry_point": "e"}


def refusal(like, fields):
    with pytest.raises(ApiError) as caught:
        checked(like, fields)
    return caught.value.message


def test_what_the_client_knows_passes_as_it_is():
    fields = {
        "run_name": "n",
        "timeout_seconds": 5,
        "tasks": [
            {
                "task_key": "a",
                "python_wheel_task": {**WHEEL, "named_parameters": {"x": "1"}},
                "run_if": "ALL_DONE",
                "new_cluster": {"spark_version": "16.4.x-scala2.12", "spark_conf": {"a": "b"}},
            }
        ],
    }
    assert checked(JobsAPI.submit, fields) == fields


def test_what_a_query_has_as_text_becomes_what_it_is():
    assert checked(JobsAPI.list_runs, {"limit": "5", "expand_tasks": "true"}) == {"limit": 5, "expand_tasks": True}


def test_nothing_counts_as_not_given():
    assert checked(JobsAPI.list_runs, {"limit": None}) == {}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"job_clusters": []}, "Unknown field 'job_clusters'"),
        ({"tasks": [{"task_key": "a", "nope": 1}]}, "Unknown field 'tasks[0].nope'"),
        ({"tasks": [{}]}, "Missing required field: tasks[0].task_key"),
        ({"tasks": {}}, "tasks must be a list, not an object"),
        ({"timeout_seconds": "x"}, "timeout_seconds must be an integer, not a string"),
        ({"timeout_seconds": True}, "timeout_seconds must be an integer, not a boolean"),
        ({"timeout_seconds": 2**63}, "timeout_seconds must be an integer of 64 bits"),
        ({"tasks": [None]}, "tasks[0] must be an object, not null"),
        ({"run_name": 5}, "run_name must be a string, not an integer"),
        ({"tasks": [{"task_key": "a", "run_if": "NOW"}]}, "tasks[0].run_if: 'NOW' is not one of ALL_DONE, "),
        (
            {"tasks": [{"task_key": "a", "python_wheel_task": {**WHEEL, "parameters": [1]}}]},
            "tasks[0].python_wheel_task.parameters[0] must be a string",
        ),
    ],
)
def test_what_it_does_not_know_is_refused(fields, message):
    assert message in refusal(JobsAPI.submit, fields)


def test_a_field_that_has_to_be_there():
    assert refusal(JobsAPI.get_run, {}) == "Missing required field: run_id"


def test_a_query_has_several_values_and_fields_of_fields():
    pairs = [("filter_by.cluster_states", "RUNNING"), ("filter_by.is_pinned", "True"), ("page_size", "5")]
    expected = {"filter_by": {"cluster_states": ["RUNNING"], "is_pinned": True}, "page_size": 5}
    assert checked(ClustersAPI.list, query(pairs)) == expected
    several = [("filter_by.cluster_states", "RUNNING"), ("filter_by.cluster_states", "PENDING")]
    assert checked(ClustersAPI.list, query(several)) == {"filter_by": {"cluster_states": ["RUNNING", "PENDING"]}}


def test_a_query_that_contradicts_itself():
    with pytest.raises(ApiError, match=r"a\.b is given in two ways"):
        query([("a", "1"), ("a.b", "2")])
