"""`StandaloneOrchestrator`: the driver runs on a worker of a Spark standalone cluster, and outlives the client."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from wheelrun.config import Stack
from wheelrun.deployment import Deployment, StepSpec
from wheelrun.errors import ClusterError, WheelrunError
from wheelrun.orchestrators.base import flavor_of
from wheelrun.orchestrators.clustered import ClusterOrchestrator, start_of
from wheelrun.orchestrators.contract import Capabilities, LogLine, Request, RunHandle
from wheelrun.orchestrators.log_lines import Source, read_logs
from wheelrun.orchestrators.remote_run import RemoteRun
from wheelrun.orchestrators.roots import Root
from wheelrun.orchestrators.shipment import Shipment, ShipmentConfig
from wheelrun.orchestrators.spark_conf import (
    agree,
    archives,
    by_cores,
    executor_environment,
    resource_conf,
    split,
    together,
)
from wheelrun.orchestrators.standalone.gateway import Address, Gateway, LostAnswerError
from wheelrun.orchestrators.standalone.state import Native, overlaid
from wheelrun.orchestrators.standalone.web import VIEWS, View, driver_log
from wheelrun.orchestrators.wheeled import root_check
from wheelrun.runtime.jws import bearer_token
from wheelrun.runtime.ticket import SECRET_CONF_VARIABLE
from wheelrun.states import RunStatus

HONOURED = ("cpu_count", "memory", "executors", "executor_cpu_count", "executor_memory")
"""The resources that a standalone Master honours. Executors are counted by the cores that they have in all."""

_PREFACE = re.compile(r'|Launch Command: ".*|={40}|WARNING: Using incubator modules: jdk\.incubator\.vector')
"""What a worker and its JVM write into every driver's log before the driver says anything."""

RUN_VARIABLE = "WHEELRUN_SUBMITTED_RUN"
"""Tells the run in the environment of its driver's JVM. The gateway refuses a submission without any variable."""

_JAVA_OPTIONS = "spark.driver.defaultJavaOptions"

_OPENED = (
    *(f"java.base/java.{name}" for name in ("io", "lang", "lang.invoke", "lang.reflect", "net", "nio", "util")),
    *("java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic", "java.base/jdk.internal.ref"),
    *(f"java.base/sun.{name}" for name in ("nio.ch", "nio.cs", "security.action", "util.calendar")),
    "java.security.jgss/sun.security.krb5",
)
"""What Spark reaches into of Java 17 and newer. From Spark 4 on, the gateway itself opens it to a driver."""

_PATIENCE = 4.0
"""Seconds that a driver has to end a run by itself before the Master is asked to kill it."""


class StandaloneConfig(ShipmentConfig):
    """The settings of a target on a standalone cluster."""

    master: str = Field(description="The masters: spark://host:7077, or spark://a:7077,b:7077")
    rest: str | None = Field(default=None, description="The REST gateways; by default the masters' port 6066")
    web: str | None = Field(default=None, description="The Master's web page; by default the first master's port 8080")
    supervise: bool = Field(default=False, description="Whether the Master starts a driver again that failed")
    rest_key_file: Path | None = Field(default=None, description="The key that signs tokens for the REST gateway")
    rest_ca_file: Path | None = Field(default=None, description="The certificate that the REST gateway is checked with")

    @field_validator("master")
    @classmethod
    def _is_master(cls, value: str) -> str:
        if Address.parse(value) is None:
            raise ValueError("a master is spark://host:port, several are spark://a:7077,b:7077")
        return value

    @property
    def gateways(self) -> tuple[str, ...]:
        """The REST gateways' addresses."""
        address = Address.parse(self.master)
        assert address is not None
        return tuple(self.rest.split(",")) if self.rest else address.at("http", 6066)

    @property
    def pages(self) -> tuple[str, ...]:
        """The masters' web pages."""
        address = Address.parse(self.master)
        assert address is not None
        return tuple(self.web.split(",")) if self.web else address.at("http", 8080)


class StandaloneOrchestrator(ClusterOrchestrator):
    """Submits a run's driver to a standalone cluster through its REST gateway, and follows it by the artifact root."""

    capabilities = Capabilities(
        resources=True,
        parallel_steps=True,
        step_isolation=True,
        live_logs=True,
        cancel=True,
        resume=True,
        survives_client=True,
    )
    flavor = "spark-standalone"

    @property
    def config(self) -> StandaloneConfig:
        """The typed settings."""
        assert isinstance(self._config, StandaloneConfig)
        return self._config

    def prepare(self, deployment: Deployment, stack: Stack, run_id: str) -> Request:
        """Return the driver's submission, as the gateway will get it."""
        return self._request(self.shipment(deployment, stack), stack, run_id, start=1)

    def prepare_or_run_pipeline(
        self, deployment: Deployment, stack: Stack, environment: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        """Put code and deployment under the artifact root and submit the driver; yields how it can be found."""
        del environment  # the driver sets the run's id itself
        yield from self._submit(deployment, stack, self.get_orchestrator_run_id(), start=1)

    def resume(self, run: RunHandle, deployment: Deployment, stack: Stack) -> Iterator[Mapping[str, Any]]:
        """Submit another driver for the run; the steps that succeeded keep their outputs."""
        remote = self.remote(run)
        start = start_of(run)
        remote.revoke(start)  # the old driver has ended; one that never came must not come now
        again = [step.name for step in remote.status().steps if not step.state.is_success]
        remote.reopen(again)
        yield from self._submit(deployment, stack, run.id, start=start + 1)

    def fetch_status(self, run: RunHandle) -> RunStatus:
        """Return where a run is: what its events say, and where they say nothing, what the Master knows."""
        remote = self.remote(run)
        native = self._native(run, remote)
        status = remote.status()  # looked at last: a driver that the Master calls ended has said all it had to say
        return overlaid(status, native, run_id=run.id, silence=remote.silence)

    def cancel(self, run: RunHandle) -> None:
        """End a run: its driver is asked to, and killed if it does not; one that still waits is withdrawn."""
        remote = self.remote(run)
        start = start_of(run)
        if self.fetch_status(run).state.is_terminal:
            return
        remote.ask_to_end(start)
        began = not remote.revoke(start)
        limit = time.monotonic() + (_PATIENCE if began else 0)
        while not self.fetch_status(run).state.is_terminal and time.monotonic() < limit:
            time.sleep(0.1)
        driver = self._driver_id(run, remote)
        if driver:
            with contextlib.suppress(ClusterError):
                self._gateway().kill(driver)
            limit = time.monotonic() + _PATIENCE
            while not self.fetch_status(run).state.is_terminal and time.monotonic() < limit:
                time.sleep(0.1)

    def logs(
        self, run: RunHandle, *, step: str | None = None, stream: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield what the driver wrote, from its worker while that is there, else from the copy that it left."""
        remote = self.remote(run)

        def has_ended() -> bool:
            return self.fetch_status(run).state.is_terminal

        lines = read_logs(
            {name: self._log(run, remote, name) for name in ("stdout", "stderr")},
            remote.events,
            step=step,
            stream=stream,
            follow=follow,
            has_ended=has_ended,
            pause=0.3,
        )
        yield from _spoken(lines)

    def python_key(self) -> str | None:
        """Return what tells the cluster's Python from others, None if the configuration says its version."""
        if self.config.python_version:
            return None
        return f"{self.flavor} {self.config.master} {self.config.python}"

    def preflight(self, stack: Stack) -> Sequence[tuple[str, str | None, str | None]]:
        """Check the gateway, the workers and the artifact root."""
        checks: list[tuple[str, str | None, str | None]] = []
        try:
            version = self._gateway().ready()
            checks.append((f"REST gateway (Spark {version})", None, None))
        except ClusterError as error:
            checks.append(("REST gateway", error.message, error.hint))
        try:
            view = VIEWS.get(self.config.pages[0])
            problem = None if view.cores else "no worker is alive"
            checks.append((f"workers ({view.cores_free} of {view.cores} cores free)", problem, "start a worker"))
        except ClusterError as error:
            checks.append(("web page", error.message, "set web to the Master's web page"))
        return [*checks, root_check(stack)]

    def _request(self, shipment: Shipment, stack: Stack, run_id: str, *, start: int) -> Request:
        own = {
            "spark.master": ("master", self.config.master),
            "spark.submit.deployMode": ("the deploy mode", "cluster"),
        }
        agree(stack.conf, own, target=self.name)
        shown, secret = split(self._conf(shipment, stack))
        arguments = ["--master", self.config.master, "--deploy-mode", "client"]
        for name, value in sorted(shown.items()):
            arguments += ["--conf", f"{name}={value}"]
        ticket = shipment.ticket(run_id, start)
        if self.config.isolation == "step":
            each = {spec.name: self._resources([spec]) for spec in shipment.deployment.steps}
            ticket = shipment.ticket(run_id, start, conf={**shown, "spark.master": self.config.master}, step_conf=each)
        arguments += [shipment.entry, ticket.to_json()]
        python = {"PYSPARK_PYTHON": self.config.python} if self.config.python else {}
        content = {
            "gateways": list(self.config.gateways),
            "body": {
                "action": "CreateSubmissionRequest",
                "clientSparkVersion": "4.0.0",
                "appResource": "",
                "mainClass": "org.apache.spark.deploy.SparkSubmit",
                "appArgs": arguments,
                "sparkProperties": {
                    "spark.master": self.config.master,
                    "spark.app.name": shown["spark.app.name"],
                    "spark.submit.deployMode": "cluster",
                    "spark.driver.supervise": str(self.config.supervise).lower(),
                    **{name: value for name, value in shown.items() if name.startswith("spark.driver.")},
                    _JAVA_OPTIONS: _java_options(shown.get(_JAVA_OPTIONS, "")),
                },
            },
        }
        return Request(
            orchestrator=self.flavor,
            run_id=run_id,
            content=content,
            environment={**python, **stack.environment, RUN_VARIABLE: run_id},
            conf=secret,
        )

    def _submit(self, deployment: Deployment, stack: Stack, run_id: str, *, start: int) -> Iterator[Mapping[str, Any]]:
        shipment = self.shipment(deployment, stack)
        request = self._request(shipment, stack, run_id, start=start)
        root = Root.open(stack.artifact_root)
        sent = shipment.send(root, self.wheels, self.bundle, run_id)
        yield {"start": start, "submission": None, "bytes_sent": sent}
        body = {**request.content["body"], "environmentVariables": _environment(request)}
        try:
            driver = self._gateway().create(body)
        except LostAnswerError as error:
            if RemoteRun(root, run_id).revoke(start):
                raise ClusterError(
                    f"the submission failed: {error.message}",
                    hint=f"nothing runs, and nothing will; to try again: wheelrun resume {run_id}",
                ) from None
            return  # it has arrived: its driver tells its id itself
        yield {"submission": driver}

    def _conf(self, shipment: Shipment, stack: Stack) -> dict[str, str]:
        conf = {
            "spark.app.name": shipment.deployment.name,
            "spark.ui.showConsoleProgress": "false",
            **self._resources(shipment.deployment.steps),
            **executor_environment(stack.environment, shipment.code),
            **stack.conf,
            "spark.archives": archives(shipment.places, stack.conf.get("spark.archives", "")),
        }
        return shipment.quiet(conf)

    def _resources(self, steps: Sequence[StepSpec]) -> dict[str, str]:
        return by_cores(resource_conf(together(steps), honoured=HONOURED, target=self.name))

    def _gateway(self) -> Gateway:
        context = None
        if any(address.startswith("https:") for address in self.config.gateways):
            context = ssl.create_default_context(cafile=self.config.rest_ca_file)
        key = self.config.rest_key_file
        token = (lambda: bearer_token(key)) if key is not None else (lambda: None)
        return Gateway(addresses=self.config.gateways, token=token, context=context)

    def _driver_id(self, run: RunHandle, remote: RemoteRun) -> str | None:
        told = remote.driver(start_of(run))
        return run.metadata.get("submission") or (told or {}).get("id")

    def _view(self) -> View | None:
        for page in self.config.pages:
            with contextlib.suppress(ClusterError):
                view = VIEWS.get(page)
                if view.workers:
                    return view
        return None

    def _native(self, run: RunHandle, remote: RemoteRun) -> Native:
        """Ask where a run's driver is; a submission that was interrupted is withdrawn if it has not arrived."""
        driver = self._driver_id(run, remote)
        if driver is None:
            arrived = not remote.revoke(start_of(run))
            return Native(state="UNKNOWN" if arrived else "INTERRUPTED")
        view = self._view()
        if view is not None and (state := view.drivers.get(driver)) and state != "ERROR":  # why, only the gateway tells
            return Native(state=state, cores_free=view.cores_free, cores=view.cores)
        try:
            status = self._gateway().status(driver)
        except WheelrunError as error:
            return Native(state="UNREACHABLE", message=error.message)
        if status is None:
            return Native(state="NOT_FOUND")
        return Native(state=status.state, message=status.message)

    def _log(self, run: RunHandle, remote: RemoteRun, stream: str) -> Source:
        """Return a source of the driver's log: its worker while that answers, else the copy that the driver left."""
        kept = remote.log(stream)
        worker: Source | None = None

        def read(offset: int) -> bytes:
            nonlocal worker
            worker = worker or self._worker_log(run, remote, stream)
            if worker is not None:
                with contextlib.suppress(ClusterError):
                    return worker(offset)
            return kept(offset)

        return read

    def _worker_log(self, run: RunHandle, remote: RemoteRun, stream: str) -> Source | None:
        """Return the log of a driver on its worker's page, None while nobody says which worker that is."""
        driver = self._driver_id(run, remote)
        page = (remote.driver(start_of(run)) or {}).get("page")
        if page is None and driver is not None and (view := self._view()) is not None:
            page = view.workers.get(view.on.get(driver, ""))
        return driver_log(page, driver, stream) if page and driver else None


def _java_options(given: str) -> str:
    """Return the options with which a driver's JVM starts; Java 8 ignores those that it does not know."""
    opened = (f"--add-opens={package}=ALL-UNNAMED" for package in _OPENED)
    return " ".join(["-XX:+IgnoreUnrecognizedVMOptions", *opened, given]).strip()


def _spoken(lines: Iterator[LogLine]) -> Iterator[LogLine]:
    """Leave out what stands before the driver's first own word."""
    begun = False
    for line in lines:
        if line.stream == "stderr" and not begun:
            if _PREFACE.fullmatch(line.text):
                continue
            begun = True
        yield line


def _environment(request: Request) -> dict[str, str]:
    environment = dict(request.environment)
    if request.conf:
        environment[SECRET_CONF_VARIABLE] = json.dumps(dict(request.conf))
    return environment


StandaloneFlavor = flavor_of(StandaloneOrchestrator, StandaloneConfig)
"""The registry entry of `StandaloneOrchestrator`."""
