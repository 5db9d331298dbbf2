"""The requests of a run, as the service will get them: pure functions of deployment, settings and place."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wheelrun.deployment import Deployment, StepSpec
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.databricks.compute import Computes
from wheelrun.orchestrators.databricks.config import OWN_TAG, DatabricksConfig
from wheelrun.orchestrators.databricks.places import Place
from wheelrun.runtime.entrypoint import COMMAND
from wheelrun.runtime.parts import task_key
from wheelrun.runtime.task import (
    PIPELINE,
    PipelineTaskEntrypointConfiguration,
    StepTaskEntrypointConfiguration,
    failing_before,
)
from wheelrun.step_settings import RunIf

MOST_TASKS = 1000
MOST_PARAMETERS = 10_000
"""The most bytes of a run's parameters, as JSON."""

RUN_IF = {RunIf.ALL_SUCCEEDED: "ALL_SUCCESS", RunIf.ONE_FAILED: "AT_LEAST_ONE_FAILED", RunIf.ALWAYS: "ALL_DONE"}
"""A step's condition, and the service's word for it."""

SUBMITTED, SCHEDULED = "submitted", "scheduled"

SERVICE_RUN = "{{job.run_id}}"
"""What the service puts its own id of the run for."""

_START_UP = 1200
"""Seconds that a task has, besides its step's own time, for its cluster and libraries. The step measures its own time;
the service's limit is for a process that hangs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run's requests are made from.

    Attributes:
        deployment: What runs.
        config: The target's settings.
        place: Where its artifacts lie.
        computes: What its tasks run on.
        name: What the run is called.
        job: What the pipeline's job is called.
        run_id: The run's id.
        start: Which start of the run this is, from 1.
    """

    deployment: Deployment
    config: DatabricksConfig
    place: Place
    computes: Computes
    name: str
    job: str
    run_id: str
    start: int = 1

    @property
    def is_pipeline(self) -> bool:
        """Whether it is a job of several tasks; else it is one task, which needs no job."""
        return self.config.isolation == "step" and len(self.deployment.steps) > 1

    @property
    def token(self) -> str:
        """What makes a repeated request the same one: at most 64 characters."""
        text = f"{self.run_id}-{self.start}"
        return text if len(text) <= 64 else hashlib.sha256(text.encode()).hexdigest()

    @property
    def parameters(self) -> dict[str, str]:
        """The values that differ from run to run."""
        return {
            "deployment_id": self.deployment.digest,
            "run_id": self.run_id,
            "source": self.run_id,
            "start": str(self.start),
        }


def submission(plan: Plan) -> dict[str, Any]:
    """Return the body of `runs/submit` for a run of one task."""
    task = _task(plan, plan.parameters)
    key = task.pop("job_cluster_key", None)
    if key is not None:
        task["new_cluster"] = plan.computes.cluster(key)
    return {
        "run_name": plan.name,
        "tasks": [task],
        **_around(plan),
        "idempotency_token": plan.token,
    }


def job(plan: Plan) -> dict[str, Any]:
    """Return the settings of a pipeline's job: the same for all its runs; a run's values are parameters of it."""
    references = {name: f"{{{{job.parameters.{name}}}}}" for name in plan.parameters}
    return _job(plan, plan.job, references, SUBMITTED) | {
        "parameters": [{"name": name, "default": ""} for name in plan.parameters],
        "max_concurrent_runs": plan.config.max_concurrent_runs,
    }


def scheduled_job(plan: Plan, source: str, schedule: Mapping[str, Any], trigger: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a job that runs on a schedule: each of its runs is a run of the same deployment.

    Args:
        plan: The plan.
        source: The run in whose folder the deployment lies.
        schedule: When it runs.
        trigger: What is to be remembered of how it was made, as tags.
    """
    values = {**plan.parameters, "run_id": f"{source}-{SERVICE_RUN}", "source": source}
    return _job(plan, scheduled_name(plan.job), values, SCHEDULED, trigger) | {
        "schedule": dict(schedule),
        "max_concurrent_runs": 1,
    }


def scheduled_name(job: str) -> str:
    """Return what the scheduled job of a pipeline is called."""
    return f"{job}-schedule"


def run_now(plan: Plan, job_id: int) -> dict[str, Any]:
    """Return the body of `run-now`.

    Raises:
        ConfigurationError: its parameters are longer than the service takes.
    """
    size = len(json.dumps(plan.parameters).encode())
    if size > MOST_PARAMETERS:
        raise ConfigurationError(f"the run's parameters have {size:,} bytes, and the service takes {MOST_PARAMETERS:,}")
    return {
        "job_id": job_id,
        "job_parameters": plan.parameters,
        "idempotency_token": plan.token,
        "queue": {"enabled": True},
    }


def repair(plan: Plan, service_run: int, steps: list[str], latest: int | None) -> dict[str, Any]:
    """Return the body of `runs/repair`: the parameters have to be said again.

    Args:
        plan: The plan of the start that this is.
        service_run: The service's id of the run.
        steps: The names of the steps that run again.
        latest: The id of the last repair, None if there was none.
    """
    body: dict[str, Any] = {
        "run_id": service_run,
        "rerun_tasks": list(dict.fromkeys(task_key(name) for name in steps)),
        "job_parameters": plan.parameters,
    }
    return body if latest is None else {**body, "latest_repair_id": latest}


def check_limits(deployment: Deployment, config: DatabricksConfig, target: str) -> None:
    """Refuse a deployment that is larger than a job may be.

    Raises:
        ConfigurationError: it is.
    """
    if config.isolation == "step" and len(deployment.steps) > MOST_TASKS:
        raise ConfigurationError(
            f"target {target!r}: {len(deployment.steps):,} steps are more than the {MOST_TASKS:,} tasks of a job",
            hint='set isolation = "pipeline": all steps run in one task',
        )
    keys: dict[str, str] = {}
    for spec in deployment.steps:
        other = keys.setdefault(task_key(spec.name).lower(), spec.name)
        if other != spec.name:
            raise ConfigurationError(
                f"steps {other!r} and {spec.name!r} would have one name as tasks", hint="rename one"
            )


def _job(
    plan: Plan, name: str, values: Mapping[str, str], purpose: str, tags: Mapping[str, str] | None = None
) -> dict[str, Any]:
    tasks = [_task(plan, values, spec) for spec in plan.deployment.steps] if plan.is_pipeline else [_task(plan, values)]
    keys = list(dict.fromkeys(task["job_cluster_key"] for task in tasks if "job_cluster_key" in task))
    clusters = [{"job_cluster_key": key, "new_cluster": plan.computes.cluster(key)} for key in keys]
    return {
        "name": name,
        "tasks": tasks,
        **({"job_clusters": clusters} if clusters else {}),
        **_around(plan),
        "tags": {OWN_TAG: purpose, **plan.config.tags, **(tags or {})},
        "format": "MULTI_TASK",
    }


def _around(plan: Plan) -> dict[str, Any]:
    environments = plan.computes.environments()
    serverless = plan.config.serverless
    return {
        **({"environments": environments} if environments else {}),
        **(
            {"performance_target": serverless.performance_target}
            if serverless and serverless.performance_target
            else {}
        ),
        **({"timeout_seconds": math.ceil(plan.deployment.timeout)} if plan.deployment.timeout else {}),
        "queue": {"enabled": True},
    }


def _task(plan: Plan, values: Mapping[str, str], spec: StepSpec | None = None) -> dict[str, Any]:
    """Return one task: of a step, or of all of them; a single step is the same as a task of its own or of all."""
    steps = plan.deployment.steps if spec is None else (spec,)
    alone = steps[0] if len(steps) == 1 and plan.config.isolation == "step" else None
    common = {**values, "artifact_root": plan.place.path, "service_run": SERVICE_RUN, "service_task": "{{task.run_id}}"}
    if alone is None:
        key, how = PIPELINE, {}
        words = PipelineTaskEntrypointConfiguration.get_entrypoint_arguments(**common)
    else:
        key, how = task_key(alone.name), _how(alone, plan.deployment)
        words = StepTaskEntrypointConfiguration.get_entrypoint_arguments(**common, task_key=key)
    assert plan.deployment.wheel is not None
    return {
        "task_key": key,
        **how,
        "python_wheel_task": {"package_name": plan.deployment.wheel.name, "entry_point": COMMAND, "parameters": words},
        **plan.computes.of(steps).task,
    }


def _how(spec: StepSpec, deployment: Deployment) -> dict[str, Any]:
    """Return how a step's task is run: what before it, and how often."""
    how: dict[str, Any] = {}
    before = dict.fromkeys(spec.upstream)
    if spec.run_if is RunIf.ONE_FAILED:  # a step that failed counts, however many were left out between it and this one
        for name in spec.upstream:
            before |= dict.fromkeys(failing_before(deployment, name))
    if spec.run_if is RunIf.ALWAYS:  # the service leaves out a step if all before it were left out
        left = list(spec.upstream)
        while left:
            each = deployment.step(left.pop())
            if each.run_if is RunIf.ONE_FAILED:
                left += [name for name in each.upstream if name not in before]
                before |= dict.fromkeys(each.upstream)
    if before:
        how["depends_on"] = [{"task_key": task_key(each.name)} for each in deployment.steps if each.name in before]
        how["run_if"] = RUN_IF[spec.run_if]
    if spec.retries:
        how["max_retries"] = spec.retries
        how["min_retry_interval_millis"] = round(spec.retry_delay * 1000)
        how["retry_on_timeout"] = True
    if spec.timeout is not None:
        how["timeout_seconds"] = math.ceil(spec.timeout) + _START_UP
    return how
