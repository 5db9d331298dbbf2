"""`SubmitOrchestrator`: spark-submit starts the driver, on this machine or on a YARN or Kubernetes cluster."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wheelrun.config import Stack, cache_dir
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
from wheelrun.orchestrators.submit_command import Program, arguments, find_program, kill_command
from wheelrun.orchestrators.submit_conf import resources, submit_conf
from wheelrun.orchestrators.submit_masters import SubmitConfig, check
from wheelrun.orchestrators.submit_state import overlaid, told_of
from wheelrun.runtime.alive import is_held
from wheelrun.runtime.java import find_java, java_environment
from wheelrun.runtime.launch import Launch, lock_path, remove_scratch, scratch_path
from wheelrun.runtime.layout import ArtifactRoot, RunPaths
from wheelrun.runtime.session import write_conf_dir
from wheelrun.runtime.submission import conf_file
from wheelrun.runtime.submit_output import Told, last_words
from wheelrun.states import RunStatus

_PATIENCE = 4.0
"""Seconds that a driver on a cluster has to end a run by itself before its application is ended."""

_KILL_TIMEOUT = 60.0
_CONNECT_TIMEOUT = 5.0


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
        root = ArtifactRoot(local_path(stack.artifact_root))
        shipment = self.shipment(deployment, stack)
        sent = shipment.send(Root.open(stack.artifact_root), self.wheels, self.bundle, run_id)
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
        if self.config.on_cluster:
            self.remote(run).revoke(self._start_number - 1)  # a driver that never came must not come now
        yield from super().resume(run, deployment, stack)

    def launch(self, plain: Launch, deployment: Deployment, request: Request) -> Launch:
        """Return the launch of spark-submit; a driver on the cluster measures the run's time itself."""
        del deployment
        config = self.config
        follow = config.kind.reader if config.on_cluster else ""
        return replace(
            plain,
            command=tuple(request.content["argv"]),
            start=self._start_number,
            defaults=str(config.properties_file) if config.properties_file else "",
            follow=follow,
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
        status, told = remote.status(), told_of(remote.events(), start)
        interrupted = False
        if not held and not status.state.is_terminal:
            remove_scratch(str(run.metadata.get("scratch", "")))
            interrupted = told.id is None and remote.revoke(start)
        return overlaid(
            status,
            told,
            kind=self.config.kind.reader,
            held=held,
            asked=remote.root.exists(remote.names.cancel(start).as_posix()),
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
        paths = self._paths(run)
        yield from read_logs(
            {"stdout": file_source(paths.stdout), "stderr": file_source(paths.stderr)},
            self.remote(run).events,
            step=step,
            stream=stream,
            follow=follow,
            has_ended=lambda: self.fetch_status(run).state.is_terminal,
            beside=[("stderr", file_source(paths.submit_log))],
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
        return [*checks, *(super().preflight(stack) if "://" not in stack.artifact_root else ())]

    def _end_application(self, run: RunHandle) -> None:
        remote, start = self.remote(run), start_of(run)
        remote.ask_to_end(start)
        began = not remote.revoke(start)
        limit = time.monotonic() + (_PATIENCE if began else 0)
        while not (ended := remote.status().state.is_terminal) and time.monotonic() < limit:
            time.sleep(0.1)
        told = told_of(remote.events(), start)
        if ended or told.id is None:
            return
        try:
            self._kill(remote, told)
        except WheelrunError:
            if began:  # one that has not begun will run nothing
                raise

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
        with tempfile.TemporaryDirectory(prefix="wheelrun-") as folder:
            home = program.spark.home / "conf" if program.spark else None
            inherited = Path(environ["SPARK_CONF_DIR"]) if "SPARK_CONF_DIR" in environ else home
            conf = write_conf_dir(
                Path(folder) / "conf", deployment.conf, inherited=inherited, defaults=self.config.properties_file
            )
            try:
                result = subprocess.run(
                    command,
                    env={**environ, **self._own_environment(program), "SPARK_CONF_DIR": str(conf)},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=_KILL_TIMEOUT,
                    check=False,
                )
                problem = last_words(result.stderr, result.stdout) if result.returncode else None
            except (OSError, subprocess.TimeoutExpired) as error:
                problem = str(error)
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
        """Refuse an artifact root that the cluster cannot be expected to read."""
        if self.config.on_cluster and self.config.cluster_root is None and Root.open(stack.artifact_root).is_local:
            raise ConfigurationError(
                f"artifact_root {stack.artifact_root} is a folder of this machine, and the driver runs on the cluster",
                hint="set artifact_root to a folder that both share, and cluster_root to what the cluster calls it",
            )

    def _check_ready(self, stack: Stack) -> None:
        """Refuse a run that cannot be started from here."""
        if not Root.open(stack.artifact_root).is_local:
            raise ConfigurationError(
                f"artifact_root {stack.artifact_root!r} is not a folder: drivers of spark-submit write to folders only",
                hint="set artifact_root to a folder that both share, and cluster_root to what the cluster calls it",
            )
        environ = {**self.environ, **stack.environment}
        python = self.config.python
        if python and not self.config.on_cluster and shutil.which(python, path=environ.get("PATH", "")) is None:
            raise ConfigurationError(
                f"{python} cannot be started, and the driver runs on this machine",
                hint="set the target's python to one that is there",
            )
        if self.config.kind.name == "standalone":
            _reach(self.config.master)
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


def _reach(master: str) -> None:
    """Refuse a standalone cluster of which no Master answers: Spark would try for a minute, and then not say so."""
    reasons = []
    for address in master.removeprefix("spark://").split(","):
        host, _, port = address.rpartition(":")
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT):
                return
        except OSError as error:
            reasons.append(f"{address}: {error.strerror or error}")
    raise ClusterError(f"no master of {master} answers ({'; '.join(reasons)})", hint="is it up, and is the port right?")


SubmitFlavor = flavor_of(SubmitOrchestrator, SubmitConfig)
"""The registry entry of `SubmitOrchestrator`."""
