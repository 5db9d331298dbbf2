"""`SubmitOrchestrator`: spark-submit starts the driver, on this machine or on a YARN or Kubernetes cluster."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wheelrun.config import Stack, cache_dir, data_path
from wheelrun.config.masters import is_loopback
from wheelrun.deployment import Deployment
from wheelrun.errors import ClusterError, ConfigurationError, WheelrunError
from wheelrun.orchestrators.base import flavor_of
from wheelrun.orchestrators.clustered import ClusterOrchestrator, start_of
from wheelrun.orchestrators.contract import Capabilities, LogLine, Request, RunHandle, local_path
from wheelrun.orchestrators.log_lines import file_source, read_logs
from wheelrun.orchestrators.process import ProcessOrchestrator
from wheelrun.orchestrators.remote_run import RemoteRun
from wheelrun.orchestrators.roots import Root
from wheelrun.orchestrators.shipment import Shipment, refuse_compiled
from wheelrun.orchestrators.spark_conf import resource_conf, together
from wheelrun.orchestrators.submit_command import Program, arguments, find_program, kill_command, run_kill
from wheelrun.orchestrators.submit_conf import resources, submit_conf
from wheelrun.orchestrators.submit_masters import SubmitConfig, check, reach
from wheelrun.orchestrators.submit_state import overlaid, told_of
from wheelrun.orchestrators.supervisors import writing
from wheelrun.runtime.alive import is_held
from wheelrun.runtime.events import EventLog, EventReader
from wheelrun.runtime.java import find_java, java_environment
from wheelrun.runtime.launch import Launch, lock_path, remove_scratch, scratch_path
from wheelrun.runtime.layout import ArtifactRoot, RunPaths, write_atomically
from wheelrun.runtime.submission import conf_file
from wheelrun.runtime.submit_output import KILLED, Told
from wheelrun.states import RunStatus

_PATIENCE = 4.0
"""Seconds that a driver on a cluster has to end a run by itself before its application is ended."""

_FAR_PATIENCE = 12.0
"""The same where wish and answer travel through an artifact root behind a URL."""


class SubmitOrchestrator(ClusterOrchestrator, ProcessOrchestrator):
    """Runs a deployment through spark-submit, below a supervisor on this machine.

    In client mode the driver is below spark-submit and the run ends with it. In cluster mode spark-submit watches an
    application of the cluster, and the supervisor tells what it says of it.
    """

    capabilities = Capabilities(
        resources=True,
        parallel_steps=True,
        step_isolation=True,
        live_logs=True,
        cancel=True,
        resume=True,
        survives_client=True,
    )
    flavor = "spark-submit"
    session = "given"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._config = self.config.anchored(self.source_root or Path.cwd())
        self._start_number = 1

    @property
    def config(self) -> SubmitConfig:
        """The typed settings."""
        assert isinstance(self._config, SubmitConfig)
        return self._config

    @property
    def supervisor_python(self) -> str:
        """This Python: the target's is the driver's, which may be elsewhere."""
        return sys.executable

    def check(self, deployment: Deployment) -> None:
        """Refuse what the master cannot honour.

        Raises:
            ConfigurationError: there is something.
        """
        super().check(deployment)
        check(self.config, target=self.name)
        resource_conf(together(deployment.steps), honoured=self.config.honoured, target=self.name)

    def python_key(self) -> str | None:
        """Return what tells the driver's Python from others, None if it is this one or said."""
        if self.config.python_version or not self.config.on_cluster:
            return None
        return f"{self.flavor} {self.config.master} {self.config.python}"

    def here(self, artifact_root: str) -> ArtifactRoot:
        """Return the artifact root, or what stands for one behind a URL: what spark-submit says lies there."""
        root = Root.open(artifact_root)
        return ArtifactRoot(root.local if root.is_local else data_path(self.environ) / "applications")

    def prepare(self, deployment: Deployment, stack: Stack, run_id: str) -> Request:
        """Return the command line of spark-submit, its settings and its environment."""
        directory = Path(self.config.working_directory or Path.cwd()).expanduser().absolute()
        if not directory.is_dir():
            raise ConfigurationError(f"working_directory {directory} is not a folder", hint="make it, or name another")
        self._check_root(stack)
        program = self._program(stack.environment)
        shipment = self.shipment(deployment, stack)
        conf = submit_conf(self.config, shipment, stack, self._places(shipment, stack), target=self.name)
        ticket = shipment.ticket(run_id, self._start_number)
        if self.config.isolation == "step":
            each = {spec.name: resources(self.config, [spec], stack.conf, self.name) for spec in deployment.steps}
            ticket = shipment.ticket(
                run_id, self._start_number, conf={"spark.master": self.config.master}, step_conf=each
            )
        ticket = replace(ticket, own_logs=True)
        if not self.config.on_cluster:
            tree = str(self.source_root or directory)
            ticket = replace(ticket, root=str(local_path(stack.artifact_root)), source_root=tree, supervised=True)
        argv = arguments(
            program.path,
            self.config,
            settings=str(conf_file(str(scratch_path(run_id)))),
            code=self._places(shipment, stack) if self.config.kind.zips else (),
            entry=self._place(shipment, stack, shipment.entry_name),
            ticket=ticket.to_json(),
        )
        return Request(
            orchestrator=self.flavor,
            run_id=run_id,
            content={
                "argv": list(argv),
                "artifact_root": stack.artifact_root,
                "working_directory": str(directory),
                "timeout": deployment.timeout,
            },
            environment={**self._own_environment(program), **stack.environment},
            conf=conf,
        )

    def prepare_or_run_pipeline(
        self, deployment: Deployment, stack: Stack, environment: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        """Put code and deployment under the artifact root and start the supervisor; yields where it can be found."""
        del environment  # the driver sets the run's id itself
        run_id = self.get_orchestrator_run_id()
        request = self.prepare(deployment, stack, run_id)
        self._check_ready(stack)
        if self.config.kind.zips:
            refuse_compiled(self.bundle, target=self.name, master=self.config.master)
        root, there = self.here(stack.artifact_root), Root.open(stack.artifact_root)
        shipment = self.shipment(deployment, stack)
        sent = shipment.send(there, self.wheels, self.bundle, run_id)
        if not there.is_local:
            with writing(root.path):
                write_atomically(root.run(run_id).deployment, shipment.deployment.to_json().encode())
        yield {
            "start": self._start_number,
            "bytes_sent": sent,
            "run_folder": str(root.run(run_id).path),
            "working_directory": request.content["working_directory"],
        }
        yield from self._start(shipment.deployment, request, root)

    def resume(self, run: RunHandle, deployment: Deployment, stack: Stack) -> Iterator[Mapping[str, Any]]:
        """Submit another driver for the run; the steps that succeeded keep their outputs."""
        self._start_number = start_of(run) + 1
        remote = self.remote(run)
        if self.config.on_cluster:
            remote.revoke(self._start_number - 1)  # a driver that never came must not come now
        if not remote.root.is_local:
            remote.reopen([step.name for step in remote.status().steps if not step.state.is_success])
        yield from super().resume(run, deployment, stack)

    def launch(self, plain: Launch, deployment: Deployment, request: Request) -> Launch:
        """Return the launch of spark-submit; a driver on the cluster measures the run's time itself."""
        del deployment
        config = self.config
        follow = config.kind.reader if config.on_cluster else ""
        elsewhere = not Root.open(request.content["artifact_root"]).is_local
        return replace(
            plain,
            command=tuple(request.content["argv"]),
            start=self._start_number,
            defaults=str(config.properties_file) if config.properties_file else "",
            follow=follow,
            elsewhere=elsewhere,
            timeout=None if elsewhere else plain.timeout,
            linked_home=config.kind.name == "local-cluster",
            logs=(str(self._submit_log(plain)),) if follow else (),
        )

    def code(self, deployment: Deployment, root: ArtifactRoot) -> tuple[str, ...]:
        """Return the unpacked wheels for a driver on this machine; nothing where it unpacks what was shipped itself.

        That is on a cluster, and where a bundle of dependencies was shipped too.
        """
        return () if self.config.on_cluster or deployment.bundle else super().code(deployment, root)

    def output(self, paths: RunPaths) -> tuple[Path, Path]:
        """Return the run's own logs; those of a driver on the cluster are its own, and spark-submit has another."""
        return (paths.submit_log, paths.submit_log) if self.config.on_cluster else super().output(paths)

    def spark_conf(self, deployment: Deployment, stack: Stack) -> dict[str, str]:
        """Return the run's Spark configuration, secrets included."""
        shipment = self.shipment(deployment, stack)
        return submit_conf(self.config, shipment, stack, self._places(shipment, stack), target=self.name)

    def fetch_status(self, run: RunHandle) -> RunStatus:
        """Return where a run is: what its events say, and where they say nothing, what spark-submit said last."""
        if not self.config.on_cluster:
            return super().fetch_status(run)
        held = is_held(lock_path(self._paths(run).path))  # looked at first, as for a run on this machine
        remote, start = self.remote(run), start_of(run)
        status, told = remote.status(), self._told(run)
        interrupted = False
        if not held and not status.state.is_terminal:
            remove_scratch(str(run.metadata.get("scratch", "")))
            interrupted = told.id is None and remote.revoke(start)
        return overlaid(
            status,
            told,
            kind=self.config.kind.reader,
            held=held,
            asked=not held and remote.root.exists(remote.names.cancel(start).as_posix()),
            interrupted=interrupted,
            silence=remote.silence() if remote.driver(start) else None,
            run_id=run.id,
            now=time.time(),
        )

    def cancel(self, run: RunHandle) -> None:
        """End a run. A driver on a cluster is asked to end first; then its application is ended.

        Raises:
            ClusterError: the application of a driver that has begun could not be ended.
        """
        if self.config.on_cluster and not self.fetch_status(run).state.is_terminal:
            self._end_application(run)
        super().cancel(run)

    def logs(
        self, run: RunHandle, *, step: str | None = None, stream: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield what the driver wrote, and what spark-submit wrote of it."""
        remote = self.remote(run)
        yield from read_logs(
            {"stdout": remote.log("stdout"), "stderr": remote.log("stderr")},
            remote.events,
            step=step,
            stream=stream,
            follow=follow,
            has_ended=lambda: self.fetch_status(run).state.is_terminal,
            beside=[("stderr", file_source(self._paths(run).submit_log))],
            pause=0.1 if remote.root.is_local else 1.0,
        )

    def preflight(self, stack: Stack) -> Sequence[tuple[str, str | None, str | None]]:
        """Check spark-submit, Java, what YARN needs, and the artifact root."""
        looks: dict[str, Callable[[], object]] = {
            "spark-submit": lambda: self._own_environment(self._program(stack.environment)),
            "settings": lambda: check(self.config, target=self.name),
            "artifact root for the cluster": lambda: self._check_root(stack),
            "cluster": lambda: self._check_ready(stack),
        }
        checks = [(name, *_problem(look)) for name, look in looks.items()]
        return [*checks, *super().preflight(stack)]

    def _told(self, run: RunHandle) -> Told:
        """Return what spark-submit last said of the application of a run's last start."""
        remote = self.remote(run)
        told = remote.events() if remote.root.is_local else EventReader(self._paths(run).events).read()
        return told_of(told, start_of(run))

    def _end_application(self, run: RunHandle) -> None:
        remote, start = self.remote(run), start_of(run)
        remote.ask_to_end(start)
        began = not remote.revoke(start)
        patience = _PATIENCE if remote.root.is_local else _FAR_PATIENCE
        limit = time.monotonic() + (patience if began else 0)
        while not (ended := remote.status().state.is_terminal) and time.monotonic() < limit:
            time.sleep(0.1)
        told = self._told(run)
        if ended or told.id is None:
            return
        try:
            self._kill(remote, told)
        except WheelrunError:
            if began:  # one that has not begun will run nothing
                raise
            return
        if not remote.root.is_local:
            log = EventLog(self._paths(run).events)
            log.emit("submission", start=start, id=told.id, state=KILLED[self.config.kind.reader], url=told.url)
            log.close()

    def _kill(self, remote: RemoteRun, told: Told) -> None:
        deployment = remote.deployment()
        environ = {**self.environ, **deployment.environment}
        program = self._program(deployment.environment)
        assert told.id is not None
        command = kill_command(
            self.config.kind.reader,
            told.id,
            program=program.path,
            master=self.config.master,
            yarn=shutil.which("yarn", path=environ.get("PATH", "")),
        )
        home = program.spark.home / "conf" if program.spark else None
        problem = run_kill(
            command,
            {**environ, **self._own_environment(program)},
            deployment.conf,
            inherited=Path(environ["SPARK_CONF_DIR"]) if "SPARK_CONF_DIR" in environ else home,
            defaults=self.config.properties_file,
        )
        if problem is not None:
            raise ClusterError(f"{told.id} could not be ended: {problem}", hint=" ".join(command))

    def _program(self, environment: Mapping[str, str]) -> Program:
        return find_program(self.config.submit_command, {**self.environ, **environment})

    def _own_environment(self, program: Program) -> dict[str, str]:
        """Return the variables that spark-submit needs: Java's home, Spark's, and loopback where all is here."""
        own = {}
        if self.config.kind.name == "local-cluster" or is_loopback(self.config.master):
            own["SPARK_LOCAL_IP"] = "127.0.0.1"
        if program.spark is not None:
            java = find_java(self.environ, cache=cache_dir(self.environ), spark=program.spark)
            own |= {"SPARK_HOME": str(program.spark.home), **java_environment(java)}
        return own

    def _check_root(self, stack: Stack) -> None:
        """Refuse an artifact root that the driver cannot be expected to read or write."""
        is_local = Root.open(stack.artifact_root).is_local
        if not self.config.on_cluster and not is_local:
            raise ConfigurationError(
                f"artifact_root {stack.artifact_root!r} is not a folder, and the driver runs on this machine",
                hint="leave artifact_root out, or set deploy_mode to cluster",
            )
        if self.config.on_cluster and self.config.cluster_root is None and is_local:
            raise ConfigurationError(
                f"artifact_root {stack.artifact_root} is a folder of this machine, and the driver runs on the cluster",
                hint="set artifact_root to a folder that both share, and cluster_root to what the cluster calls it",
            )

    def _check_ready(self, stack: Stack) -> None:
        """Refuse a run that cannot be started from here."""
        environ = {**self.environ, **stack.environment}
        python = self.config.python
        if python and not self.config.on_cluster and shutil.which(python, path=environ.get("PATH", "")) is None:
            raise ConfigurationError(
                f"{python} cannot be started, and the driver runs on this machine",
                hint="set the target's python to one that is there",
            )
        if self.config.kind.name == "standalone":
            reach(self.config.master)
        if self.config.kind.name == "yarn" and not (environ.get("HADOOP_CONF_DIR") or environ.get("YARN_CONF_DIR")):
            raise ConfigurationError(
                "nobody says where YARN is: neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set",
                hint="set one of them to the folder with yarn-site.xml",
            )

    def _place(self, shipment: Shipment, stack: Stack, name: str) -> str:
        """Return where spark-submit finds a file below the artifact root.

        It takes files of this machine along, but for a driver on Kubernetes, which has them where it runs.
        """
        root = Root.open(stack.artifact_root)
        if self.config.on_cluster and self.config.kind.name == "kubernetes" and "://" not in shipment.root:
            return f"local://{shipment.root}/{name}"
        return str(root.local / name) if root.is_local else f"{shipment.root}/{name}"

    def _places(self, shipment: Shipment, stack: Stack) -> tuple[str, ...]:
        return tuple(self._place(shipment, stack, name) for name in shipment.code)

    def _submit_log(self, plain: Launch) -> Path:
        return ArtifactRoot(Path(plain.artifact_root)).run(plain.run_id).submit_log


def _problem(look: Callable[[], object]) -> tuple[str | None, str | None]:
    try:
        look()
    except WheelrunError as error:
        return error.message, error.hint
    return None, None


SubmitFlavor = flavor_of(SubmitOrchestrator, SubmitConfig)
"""The registry entry of `SubmitOrchestrator`."""
