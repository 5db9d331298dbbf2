"""What was asked to be run: a job, or tasks once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wheelrun.emulator.engine.graph import Graph
from wheelrun.emulator.engine.jobbook import Job
from wheelrun.emulator.engine.records import JobRun, Pass
from wheelrun.emulator.errors import ApiError

UNTITLED = "Untitled"
OVERRIDING = (
    "python_params",
    "python_named_params",
    "jar_params",
    "notebook_params",
    "spark_submit_params",
    "sql_params",
    "dbt_commands",
    "pipeline_params",
)
"""The parameters of tasks that can be sent with a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A run that is asked for.

    Attributes:
        job_id: The job's id, None for tasks that run once.
        name: The run's name.
        settings: The job's settings, without the tasks.
        tasks: The tasks' settings.
        trigger: What asks for it.
        parameters: The job parameters: each with "name", "default" and "value".
        overriding: The parameters of tasks that were sent.
        token: The idempotency token.
        caller: The task run that asks for it.
        only: The keys of the tasks to run; None for all.
        single: Whether the tasks are one that came without a list.
    """

    job_id: int | None
    name: str
    settings: Mapping[str, Any]
    tasks: Sequence[Mapping[str, Any]]
    trigger: str = "ONE_TIME"
    parameters: Sequence[Mapping[str, Any]] = ()
    overriding: Mapping[str, Any] = field(default_factory=dict)
    token: str | None = None
    caller: int | None = None
    only: Sequence[str] | None = None
    single: bool = False

    @classmethod
    def of_job(
        cls, job: Job, fields: Mapping[str, Any], *, trigger: str = "ONE_TIME", caller: int | None = None
    ) -> Order:
        """Return the order of a job's run.

        Args:
            job: The job.
            fields: What was sent: "job_parameters", "idempotency_token", "python_params", "queue", "only".
            trigger: What asks for it.
            caller: The task run that asks for it.

        Raises:
            ApiError: the job has no tasks, or not those that were asked for.
        """
        settings = {name: value for name, value in job.settings.items() if name != "tasks"}
        if "queue" in fields:
            settings["queue"] = fields["queue"]
        tasks = job.settings.get("tasks", [])
        if not tasks:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Job {job.job_id} has no tasks to run.")
        return cls(
            job_id=job.job_id,
            name=settings.get("name", UNTITLED),
            settings=settings,
            tasks=tasks,
            trigger=trigger,
            parameters=job_parameters(settings.get("parameters", ()), fields.get("job_parameters", {})),
            overriding={name: fields[name] for name in OVERRIDING if name in fields},
            token=fields.get("idempotency_token"),
            caller=caller,
            only=_selected(Graph.of(tasks), fields["only"]) if "only" in fields else None,
        )

    @classmethod
    def once(cls, fields: Mapping[str, Any], *, single: bool) -> Order:
        """Return the order of tasks that run once."""
        apart = {"tasks", "run_name", "idempotency_token"}
        return cls(
            job_id=None,
            name=fields.get("run_name", UNTITLED),
            settings={name: value for name, value in fields.items() if name not in apart},
            tasks=fields["tasks"],
            token=fields.get("idempotency_token"),
            single=single,
        )

    def run(self, run_id: int, job_id: int, now: int) -> JobRun:
        """Return the run, not begun yet.

        Args:
            run_id: Its id.
            job_id: An id for the job that there is not, where there is none.
            now: The time, in milliseconds since the epoch.
        """
        return JobRun(
            run_id=run_id,
            job_id=job_id if self.job_id is None else self.job_id,
            name=self.name,
            kind="SUBMIT_RUN" if self.job_id is None else "JOB_RUN",
            trigger=self.trigger,
            settings=self.settings,
            passes=[Pass(start=now, parameters=self.parameters, overriding=self.overriding)],
            caller=self.caller,
            only=self.only,
            single=self.single,
        )


def job_parameters(defined: Sequence[Mapping[str, str]], sent: Mapping[str, str]) -> list[dict[str, str]]:
    """Return a run's job parameters: the job's with what was sent for them, and what was sent besides."""
    known = {item["name"]: item["default"] for item in defined}
    told = [{"name": name, "default": default, "value": sent.get(name, default)} for name, default in known.items()]
    return told + [{"name": name, "value": value} for name, value in sent.items() if name not in known]


def _selected(graph: Graph, only: Sequence[str]) -> list[str]:
    selected: set[str] = set()
    for word in only:
        key = word.strip("+")
        if key not in graph.upstream:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Task '{key}' does not exist in the job.")
        selected |= {key}
        selected |= graph.above([key]) if word.startswith("+") else set()
        selected |= graph.below([key]) if word.endswith("+") else set()
    return sorted(selected)
