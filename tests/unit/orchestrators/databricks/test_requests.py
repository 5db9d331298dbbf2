"""Requests, each held to a file that can be reviewed, and to the official client's own models.

A file is written anew by deleting it and running the test, which then fails once.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import typing
from pathlib import Path

import pytest
from databricks.sdk.service import jobs as sdk

from wheelrun.deployment import Deployment, StepSpec, WheelRef
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.databricks.compute import Computes
from wheelrun.orchestrators.databricks.config import DatabricksConfig
from wheelrun.orchestrators.databricks.places import Place
from wheelrun.orchestrators.databricks.requests import (
    Plan,
    check_limits,
    job,
    repair,
    run_now,
    scheduled_job,
    submission,
)
from wheelrun.step_settings import Resources

EXPECTED = Path(__file__).parent / "requests"
DIGEST = "0123456789ab" + "0" * 52

ONE = (StepSpec(name="load", function="shop.jobs:load", timeout=90, retries=2, retry_delay=5),)
SEVERAL = (
    StepSpec(name="load", function="shop.jobs:load"),
    StepSpec(name="clean up", function="shop.jobs:clean", upstream=("load",), retries=1, retry_delay=0.5),
    StepSpec(name="train", function="shop.jobs:train", upstream=("clean up",), resources=Resources(executors=4)),
    StepSpec(name="tell", function="shop.jobs:tell", upstream=("train",), run_if="one_failed"),
    StepSpec(name="tidy", function="shop.jobs:tidy", upstream=("load", "train"), run_if="always"),
)
AWS = {
    "spark_version": "15.4.x-scala2.12",
    "node_type_id": "i3.xlarge",
    "autoscale": {"min_workers": 1, "max_workers": 8},
    "aws_attributes": {"availability": "SPOT_WITH_FALLBACK", "first_on_demand": 1, "zone_id": "auto"},
    "data_security_mode": "SINGLE_USER",
    "spark_conf": {"spark.sql.shuffle.partitions": "64"},
    "spark_env_vars": {"WAREHOUSE_TOKEN": "{{secrets/shop/warehouse}}"},
    "custom_tags": {"team": "shop"},
    "init_scripts": ["/Volumes/main/default/scripts/setup.sh", "s3://bucket/init.sh"],
    "logs": "/Volumes/main/default/logs",
}
AZURE = {
    "spark_version": "16.4.x-scala2.12",
    "instance_pool_id": "pool-1",
    "num_workers": 2,
    "policy_id": "ABC",
    "apply_policy_default_values": True,
    "azure_attributes": {"availability": "SPOT_WITH_FALLBACK_AZURE", "spot_bid_max_price": -1.0},
    "docker_image": {
        "url": "registry/image:1",
        "basic_auth": {"username": "me", "password": "{{secrets/shop/registry}}"},
    },
}
GCP = {
    "spark_version": "17.3.x-scala2.13",
    "node_type_id": "n2-highmem-4",
    "num_workers": 0,
    "gcp_attributes": {"availability": "PREEMPTIBLE_WITH_FALLBACK_GCP", "google_service_account": "sa@project"},
}
GPU = {"spark_version": "15.4.x-gpu-ml-scala2.12", "node_type_id": "g5.xlarge", "num_workers": 1}


def plan(
    specs=ONE, *, place="/Workspace/Users/me@example.com/.wheelrun", conf=None, environment=None, timeout=None, **table
):
    config = DatabricksConfig.model_validate(table)
    wheel = WheelRef(
        file="shop-1.0+w0123456789ab-py3-none-any.whl", name="shop", version="1.0+w0123456789ab", digest=DIGEST
    )
    where = Place(host="https://dbc-1.cloud.databricks.com", path=place)
    names = (f"wheels/shop/{DIGEST}/{wheel.file}", f"wheels/shop/{DIGEST}/wheelrun-0.1.0+wff-py3-none-any.whl")
    return Plan(
        deployment=Deployment(name="training", entry="shop.jobs:training", steps=specs, wheel=wheel, timeout=timeout),
        config=config,
        place=where,
        computes=Computes(
            config=config,
            target="prod",
            wheels=tuple(map(where.library, names)),
            conf=conf or {},
            environment=environment or {},
        ),
        name="training-20260101-000000-abc",
        job="shop-training-prod",
        run_id="20260101-000000-abc",
    )


MADE = {
    "submit-existing-cluster": lambda: submission(plan(existing_cluster_id="0101-120000-abcd")),
    "submit-aws": lambda: submission(
        plan(cluster=AWS, timeout=3600, environment={"REGION": "eu"}, conf={"spark.task.cpus": "2"})
    ),
    "submit-azure-pool": lambda: submission(plan(cluster=AZURE, place="/Volumes/main/default/wheelrun/prod")),
    "submit-gcp-single-node": lambda: submission(plan(cluster=GCP)),
    "submit-serverless": lambda: submission(
        plan(serverless={"performance_target": "STANDARD", "dependencies": ["polars==1.2"]}, libraries=["requests"])
    ),
    "submit-dbfs": lambda: submission(plan(existing_cluster_id="0101-120000-abcd", place="/dbfs/wheelrun")),
    "submit-pipeline-in-one-task": lambda: submission(plan(SEVERAL[:2], isolation="pipeline", cluster=GPU)),
    "job-existing-cluster": lambda: job(
        plan(SEVERAL[:2], existing_cluster_id="0101-120000-abcd", libraries=["requests==2.32", "/Volumes/c/s/v/x.jar"])
    ),
    "job-clusters": lambda: job(
        plan(
            SEVERAL,
            clusters={"default": AZURE, "gpu": GPU},
            steps={"clean up": "gpu"},
            tags={"team": "shop"},
            timeout=7200,
        )
    ),
    "job-serverless": lambda: job(plan(SEVERAL[:2], serverless={})),
    "job-on-a-schedule": lambda: scheduled_job(
        plan(cluster=GPU),
        "schedule-shop-training-prod",
        {"quartz_cron_expression": "0 0 6 ? * MON-FRI", "timezone_id": "Europe/Berlin", "pause_status": "UNPAUSED"},
        {"wheelrun-name": "training"},
    ),
    "run-now": lambda: run_now(plan(SEVERAL[:2], serverless={}), 17),
    "repair": lambda: repair(
        dataclasses.replace(plan(SEVERAL[:2], serverless={}), start=3), 4711, ["clean up", "load", "load"], 8
    ),
}
METHODS = {
    "submit": sdk.JobsAPI.submit,
    "job": sdk.JobsAPI.create,
    "run": sdk.JobsAPI.run_now,
    "repair": sdk.JobsAPI.repair_run,
}


def through_the_client(hint, value):
    """Return a value as the client's own models write what they read."""
    if typing.get_origin(hint) is typing.Union:
        (hint,) = [each for each in typing.get_args(hint) if each is not type(None)]
    if typing.get_origin(hint) is list:
        return [through_the_client(typing.get_args(hint)[0], each) for each in value]
    if dataclasses.is_dataclass(hint):
        return hint.from_dict(value).as_dict()
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return hint(value).value
    return value


@pytest.mark.parametrize("name", MADE)
def test_requests_are_as_reviewed(name):
    file = EXPECTED / f"{name}.json"
    text = json.dumps(MADE[name](), indent=2, sort_keys=True) + "\n"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        pytest.fail(f"{file} was missing and was written: review it")
    assert text == file.read_text()


@pytest.mark.parametrize("name", MADE)
def test_the_clients_models_read_all_of_a_request(name):
    method = METHODS[name.partition("-")[0]]
    body, hints = json.loads(json.dumps(MADE[name]())), typing.get_type_hints(method)
    assert {field: through_the_client(hints[field], value) for field, value in body.items()} == body
    if method is sdk.JobsAPI.create:
        assert sdk.JobSettings.from_dict(body).as_dict() == body


def test_a_job_is_the_same_for_all_runs_of_the_same_code():
    one = plan(SEVERAL[:2], serverless={})
    other = dataclasses.replace(one, run_id="another", start=2, name="x")
    assert job(one) == job(other)
    assert run_now(one, 1) != run_now(other, 1)


def test_tokens_are_short_and_tell_starts_apart():
    one = plan(serverless={})
    long = dataclasses.replace(one, run_id="x" * 200)
    assert one.token != dataclasses.replace(one, start=2).token
    assert len(long.token) <= 64


def test_more_tasks_than_a_job_has_are_refused():
    config = DatabricksConfig.model_validate({"serverless": {}})
    steps = tuple(StepSpec(name=f"s{number}", function="m:f") for number in range(1001))
    check_limits(Deployment(name="x", entry="x", steps=steps[:1000]), config, "prod")
    with pytest.raises(ConfigurationError, match="1,001 steps are more than the 1,000 tasks") as error:
        check_limits(Deployment(name="x", entry="x", steps=steps), config, "prod")
    assert 'isolation = "pipeline"' in error.value.hint


def test_names_that_would_be_one_task_are_refused():
    config = DatabricksConfig.model_validate({"serverless": {}})
    steps = (StepSpec(name="Load", function="m:f"), StepSpec(name="load", function="m:f"))
    with pytest.raises(ConfigurationError, match="'Load' and 'load' would have one name"):
        check_limits(Deployment(name="x", entry="x", steps=steps), config, "prod")


def test_names_of_any_length_and_letters_make_keys_that_the_service_takes():
    steps = tuple(
        StepSpec(name=name, function="m:f") for name in ("x" * 5000, "x" * 4999, "日本", "a.b", "a/b", "ok_1")
    )
    keys = [task["task_key"] for task in job(plan(steps, serverless={}))["tasks"]]
    assert len(set(keys)) == len(steps)
    assert all(len(key) <= 100 and key.isascii() and key.replace("-", "").replace("_", "").isalnum() for key in keys)
    assert keys[-1] == "ok_1"


@pytest.mark.parametrize(
    ("table", "spec", "said"),
    [
        ({"serverless": {}}, {"resources": Resources(executors=2)}, "cannot honour executors of step 'x': serverless"),
        (
            {"existing_cluster_id": "c"},
            {"resources": Resources(memory="8GiB")},
            "cannot honour memory .* is there already",
        ),
        ({"cluster": GPU}, {"resources": Resources(gpu_count=1)}, "cannot honour gpu_count"),
        ({"cluster": AWS}, {"resources": Resources(executors=2)}, "asks for executors, and cluster 'default' scales"),
        ({"clusters": {"a": GPU, "b": GPU}, "steps": {"y": "a"}}, {}, "step 'x' chooses no cluster; there is a, b"),
    ],
)
def test_resources_that_cannot_be_given_are_refused(table, spec, said):
    made = plan((StepSpec(name="x", function="m:f", **spec),), **table)
    with pytest.raises(ConfigurationError, match=said):
        submission(made)


def test_a_steps_operator_is_a_cluster():
    steps = (StepSpec(name="x", function="m:f", step_operator="gpu"),)
    made = submission(plan(steps, clusters={"default": AZURE, "gpu": GPU}))
    assert made["tasks"][0]["new_cluster"]["node_type_id"] == "g5.xlarge"
