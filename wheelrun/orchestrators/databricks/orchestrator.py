"""`DatabricksOrchestrator`: a run is one of the Databricks Jobs service, and is followed by that and its artifacts."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from wheelrun.config import Stack, cache_dir, data_dir
from wheelrun.deployment import Deployment
from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.orchestrators.base import flavor_of
from wheelrun.orchestrators.contract import Capabilities, LogLine, Request, RunHandle
from wheelrun.orchestrators.databricks.api import Api, RefusedError, connect, connect_to, workspace_named
from wheelrun.orchestrators.databricks.compute import Computes, check_settings, misspelt
from wheelrun.orchestrators.databricks.config import DatabricksConfig
from wheelrun.orchestrators.databricks.follow import Followed, LogReader
from wheelrun.orchestrators.databricks.jobs import Jobs
from wheelrun.orchestrators.databricks.memory import remembered
from wheelrun.orchestrators.databricks.places import DBFS, SCHEMES, Place, folder
from wheelrun.orchestrators.databricks.requests import Plan, check_limits, job, repair, run_now, submission
from wheelrun.orchestrators.databricks.runtimes import ENVIRONMENTS, python_of_runtime
from wheelrun.orchestrators.databricks.schedules import WorkspaceScheduler
from wheelrun.orchestrators.databricks.shipping import Shipping, ready
from wheelrun.orchestrators.databricks.state import NativeRun, all_in_one, overlaid
from wheelrun.orchestrators.remote_run import RemoteRun, ended
from wheelrun.orchestrators.roots import Root
from wheelrun.orchestrators.wheeled import WheeledOrchestrator
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.own import own_wheel
from wheelrun.packaging.wheel import Wheel
from wheelrun.runtime.parts import task_key
from wheelrun.runtime.task import PIPELINE
from wheelrun.states import ErrorInfo, RunState, RunStatus

_HOME = ".wheelrun"
_PATIENCE = 30.0
"""Seconds that the service has to end a run that is cancelled."""

_EARLY = 300.0
"""Seconds by which this machine's clock may be ahead of the service's."""


class DatabricksOrchestrator(WheeledOrchestrator):
    """Submits runs to a Databricks workspace."""

    capabilities = Capabilities(
        schedule=True,
        resources=True,
        parallel_steps=True,
        step_isolation=True,
        live_logs=True,
        cancel=True,
        resume=True,
        survives_client=True,
    )
    flavor = "databricks"

    @property
    def config(self) -> DatabricksConfig:
        """The typed settings."""
        assert isinstance(self._config, DatabricksConfig)
        return self._config

    @functools.cached_property
    def api(self) -> Api:
        """The calls to the workspace that the target names."""
        return connect(self.config.host or "", self.config.profile or "")

    @functools.cached_property
    def _own(self) -> Wheel:
        """The wheel of wheelrun itself, which is installed beside the project's."""
        return own_wheel(WheelCache(cache_dir(self.environ)))

    @functools.cached_property
    def _runs(self) -> dict[str, Followed]:
        return {}

    @functools.cached_property
    def _found(self) -> dict[tuple[str, int], int]:
        return {}

    def settled(self, stack: Stack) -> Stack:
        """Return the target with its artifact root as a URL that names the workspace, and by default the user's folder.

        Raises:
            ConfigurationError: there is no workspace or no way into it, or a setting does not fit one.
        """
        check_settings(self.config, self._computes(stack))
        given = stack.artifact_root
        if given.startswith(tuple(f"{scheme}://" for scheme in SCHEMES)):
            return stack
        path = folder(given) if given else ""
        profile = self.config.profile or ""
        place = Place(
            host=self.api.host,
            path=path or folder(f"/Workspace/Users/{self.user()}/{_HOME}"),
            profile="" if workspace_named(profile) else profile,
        )
        if place.kind == DBFS:
            self.warnings.append(
                f"artifact_root {given!r} is on DBFS, where all users of the workspace can read and change it, and from"
                " which newer runtimes install no libraries; a Volume is better"
            )
        return replace(stack, artifact_root=place.url)

    def user(self) -> str:
        """Return the name of the user that the credentials are of."""
        key = self.api.identity
        return remembered(self._memory, f"user {key}", self.ask_user) if key else self.ask_user()

    def ask_user(self) -> str:
        """Ask the workspace for the name of the user. One call."""
        return str(self.api.get("/api/2.0/preview/scim/v2/Me")["userName"])

    def check(self, deployment: Deployment) -> None:
        """Refuse what a job cannot honour; a step's operator is the name of one of the target's clusters."""
        known = self.config.compute
        chosen = (
            replace(spec, step_operator=None) if spec.step_operator in known else spec for spec in deployment.steps
        )
        super().check(deployment.with_settings(steps=tuple(chosen)))
        check_limits(deployment, self.config, self.name)
        check_settings(self.config, self._computes(None), deployment)
        self.warnings.extend(misspelt(self.config.steps, deployment))

    def known_python(self) -> str | None:
        """Return the version of the compute's Python, as its runtime tells it."""
        config = self.config
        if config.python_version:
            return config.python_version
        if config.serverless is not None:
            return ENVIRONMENTS.get(config.serverless.environment_version)
        if config.existing_cluster_id is None:
            return python_of_runtime(next(iter(config.compute.values())).spark_version)
        return python_of_runtime(
            remembered(self._memory, f"runtime {self.api.host} {config.existing_cluster_id}", self._runtime)
        )

    def has_code(self, deployment: Deployment, stack: Stack) -> bool:
        """Whether everything that a deployment runs lies under the artifact root."""
        return self._shipping(deployment).is_there(Root.open(stack.artifact_root))

    def prepare(self, deployment: Deployment, stack: Stack, run_id: str) -> Request:
        """Return the requests, as the service will get them."""
        plan = self.plan(deployment, stack, run_id)
        if plan.is_pipeline:
            content = {"host": plan.place.host, "job": job(plan), "run_now": run_now(plan, 0) | {"job_id": "JOB_ID"}}
        else:
            content = {"host": plan.place.host, "submit": submission(plan)}
        return Request(
            orchestrator=self.flavor, run_id=run_id, content=content, environment=stack.environment, conf=stack.conf
        )

    def prepare_or_run_pipeline(
        self, deployment: Deployment, stack: Stack, environment: Mapping[str, str]
    ) -> Iterator[Mapping[str, object]]:
        """Put code and deployment under the artifact root and submit the run; yields how it can be found."""
        del environment  # the tasks set the run's id themselves
        yield from self._submit(self.plan(deployment, stack, self.get_orchestrator_run_id()), stack)

    def resume(self, run: RunHandle, deployment: Deployment, stack: Stack) -> Iterator[Mapping[str, object]]:
        """Run the steps that have not succeeded again: by a repair of the service's run where it is a job's."""
        plan = self.plan(deployment, stack, run.id, start=start_of(run) + 1)
        before = self._service_run(run)
        if before is None or not plan.is_pipeline or run.metadata.get("deployment") != plan.deployment.digest:
            yield from self._submit(plan, stack)
            return
        jobs = Jobs(self._api_of(run))
        native = jobs.run(before, history=True)
        status = self._status(run, native)
        again = [step.name for step in status.steps if not step.state.is_success]
        yield {"start": plan.start, "service_run": before}
        latest = native.repairs[-1] if native.repairs else None
        repaired = jobs.repair(repair(plan, before, again, latest))
        attempts = {key: native.tasks[key].attempt for key in map(task_key, again) if key in native.tasks}
        yield {"repair": repaired, "attempts_before": attempts}

    def fetch_status(self, run: RunHandle) -> RunStatus:
        """Return where a run is: one call, and one for each 100 tasks and each task that has ended since."""
        service_run = self._service_run(run)
        if service_run is None:
            return self._interrupted(run)
        try:
            native = Jobs(self._api_of(run)).run(service_run)
        except RefusedError as error:
            if not (error.is_missing or "does not exist" in error.message):
                raise
            known = self._follow(run).deployment()
            steps = (
                RemoteRun(Root.open(run.artifact_root), run.id).status() if known else RunStatus(state=RunState.UNKNOWN)
            )
            message = f"the workspace does not know run {service_run} (any more)"
            return ended(steps, RunState.FAILED, ErrorInfo(category="cluster", message=message), now=time.time())
        return self._status(run, native)

    def cancel(self, run: RunHandle) -> None:
        """End a run: the service ends its tasks; one that has not arrived is withdrawn."""
        service_run = self._service_run(run)
        if service_run is None:
            return  # it was withdrawn by that look
        jobs = Jobs(self._api_of(run))
        if jobs.run(service_run).run.state.is_terminal:
            return
        jobs.cancel(service_run)
        limit = time.monotonic() + _PATIENCE
        while not jobs.run(service_run).run.state.is_terminal:
            if time.monotonic() > limit:
                raise ClusterError(f"run {service_run} has not ended within {_PATIENCE:g} s", hint="look at its page")
            time.sleep(0.2)

    def logs(
        self, run: RunHandle, *, step: str | None = None, stream: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield what the tasks wrote, as they write it."""
        followed = self._follow(run)
        deployment = followed.deployment()
        service_run = self._service_run(run)
        if deployment is None or service_run is None:
            return iter(())
        jobs = Jobs(self._api_of(run))
        reader = LogReader(followed.root, run.id, lambda: jobs.run(service_run), jobs.output)
        if not self._in_one:
            keys = [task_key(spec.name) for spec in deployment.steps if step in (None, spec.name)]
            return reader.tasks(keys, stream, follow=follow)
        if step is None:
            return reader.tasks([PIPELINE], stream, follow=follow)
        return reader.step(PIPELINE, step, stream, follow=follow)

    def preflight(self, stack: Stack) -> Sequence[tuple[str, str | None, str | None]]:
        """Check the way into the workspace, the artifact root, the compute, and that jobs can be made."""
        from wheelrun.orchestrators.databricks.preflight import checks

        return list(checks(self, stack))

    def scheduler(self) -> WorkspaceScheduler:
        """Return the target's schedules."""
        return WorkspaceScheduler(
            jobs=Jobs(self.api),
            host=self.api.host,
            target=self.name,
            project=self._project(),
            plan=self.plan,
            send=self.send,
        )

    def plan(self, deployment: Deployment, stack: Stack, run_id: str, *, start: int = 1) -> Plan:
        """Return what a run's requests are made from."""
        check_settings(self.config, self._computes(stack), deployment)
        place = Place.parse(stack.artifact_root)
        shipping = self._shipping(ready(deployment, stack, self._own, self.config.max_parallel_steps))
        wheels = tuple(place.library(name) for name in shipping.names)
        distribution = deployment.wheel.name if deployment.wheel else ""
        return Plan(
            deployment=shipping.deployment,
            config=self.config,
            place=place,
            computes=replace(self._computes(stack), wheels=wheels),
            name=f"{self.strict_name(deployment.name, limit=80)}-{run_id}".rstrip("-"),
            job=self.strict_name(f"{distribution} {deployment.name} {stack.name}", limit=100),
            run_id=run_id,
            start=start,
        )

    def send(self, plan: Plan, root: Root, run_id: str) -> int:
        """Put everything that a plan needs under the artifact root; return the bytes of code that were sent."""
        return self._shipping(plan.deployment).send(root, self.wheels, run_id)

    def _submit(self, plan: Plan, stack: Stack) -> Iterator[Mapping[str, object]]:
        root = Root.open(stack.artifact_root)
        jobs = Jobs(connect_to(plan.place.host, plan.place.profile))
        sent = self.send(plan, root, plan.run_id)
        yield {
            "start": plan.start, "deployment": plan.deployment.digest, "name": plan.name, "job": None,
            "service_run": None, "since": time.time(), "bytes_sent": sent, "attempts_before": None,
        }  # fmt: skip
        with self._refused():
            if plan.is_pipeline:
                yield from jobs.start(job(plan), functools.partial(run_now, plan))
            else:
                yield {"service_run": jobs.submit(submission(plan))}

    @contextlib.contextmanager
    def _refused(self) -> Iterator[None]:
        """Tell what to look at when the workspace refuses a run."""
        try:
            yield
        except RefusedError as error:
            raise ClusterError(
                f"target {self.name!r}: the workspace refuses the run: {error.message}",
                hint=error.hint or f"`wheelrun doctor -t {self.name}` looks at cluster, policy and runtime",
            ) from error

    def _status(self, run: RunHandle, native: NativeRun) -> RunStatus:
        followed = self._follow(run)
        deployment = followed.deployment()
        if deployment is None:
            return RunStatus(state=native.run.state, reason="its deployment is gone", url=native.run.url)
        native = native.since(run.metadata.get("attempts_before") or {})
        told = followed.told(native, live=self._in_one)
        native = followed.explained(native, Jobs(self._api_of(run)).output)
        if self._in_one:
            return all_in_one(deployment, native, told.get(PIPELINE, ()))
        return overlaid(deployment, native, told)

    def _service_run(self, run: RunHandle) -> int | None:
        """Return the service's id of a run; a submission that was interrupted is withdrawn if it has not arrived."""
        known = run.metadata.get("service_run")
        if known is not None:
            return int(known)
        if "since" not in run.metadata:  # nothing was sent
            return None
        start = start_of(run)
        if (run.id, start) not in self._found:
            since = float(run.metadata["since"]) - _EARLY
            found = Jobs(self._api_of(run)).look_for(
                str(run.metadata["name"]), run.id, since, job_id=run.metadata.get("job")
            )
            if found is None:
                remote = RemoteRun(Root.open(run.artifact_root), run.id)
                if remote.revoke(start):
                    return None
                found = int(remote.root.read(remote.names.claim(start).as_posix()))
            self._found[run.id, start] = found
        return self._found[run.id, start]

    def _interrupted(self, run: RunHandle) -> RunStatus:
        status = RunStatus(state=RunState.QUEUED)
        with contextlib.suppress(FileNotFoundError):
            status = RemoteRun(Root.open(run.artifact_root), run.id).status()
        error = ErrorInfo(
            category="cluster",
            message="the submission was interrupted before it arrived",
            hint=f"to go on: wheelrun resume {run.id}",
        )
        return ended(status, RunState.FAILED, error, now=time.time())

    @property
    def _in_one(self) -> bool:
        """Whether all steps share one task."""
        return self.config.isolation == "pipeline"

    def _project(self) -> str:
        """Return the project's name, "" where there is none."""
        from wheelrun.packaging.project import find_root, load_project

        try:
            return load_project(find_root(self.source_root)).name
        except ConfigurationError:
            return ""

    def _follow(self, run: RunHandle) -> Followed:
        if run.id not in self._runs:
            self._runs[run.id] = Followed(Root.open(run.artifact_root), run.id)
        return self._runs[run.id]

    def _api_of(self, run: RunHandle) -> Api:
        place = Place.parse(run.artifact_root)
        return connect_to(place.host, place.profile)

    def _shipping(self, deployment: Deployment) -> Shipping:
        return Shipping(deployment, self._own)

    def _computes(self, stack: Stack | None) -> Computes:
        return Computes(
            config=self.config,
            target=self.name,
            wheels=(),
            environment=stack.environment if stack else {},
            conf=stack.conf if stack else {},
        )

    @property
    def _memory(self) -> Path:
        return data_dir(self.environ) / "databricks"

    def _runtime(self) -> str:
        cluster = self.config.existing_cluster_id
        try:
            found = self.api.get("/api/2.1/clusters/get", {"cluster_id": cluster})
        except RefusedError as error:
            raise ConfigurationError(
                f"target {self.name!r}: cluster {cluster!r} cannot be used: {error.message}",
                hint="its id is on its page, and in `databricks clusters list`",
            ) from error
        return str(found.get("spark_version") or "")


def start_of(run: RunHandle) -> int:
    """Return which start of a run is the last one, from 1."""
    return int(run.metadata.get("start", 1))


DatabricksFlavor = flavor_of(DatabricksOrchestrator, DatabricksConfig)
"""The registry entry."""
