"""What every orchestrator is: `BaseOrchestrator`, its config, its flavor, and the values that pass through them."""

from __future__ import annotations

import builtins
import os
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from wheelrun.config import Stack
from wheelrun.deployment import Deployment, StepSpec
from wheelrun.errors import ConfigurationError, WheelrunError
from wheelrun.orchestrators.contract import Capabilities, LogLine, PlaceholderRun, Request, RunHandle, local_path
from wheelrun.orchestrators.roots import NAMES, Root
from wheelrun.runtime import artifacts
from wheelrun.runtime.entrypoint import RUN_ID_VARIABLE
from wheelrun.runtime.events import EventLog
from wheelrun.runtime.execute import Execution, conclude
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.states import RunState, RunStatus

if TYPE_CHECKING:
    from wheelrun.orchestrators.collect import Item
    from wheelrun.orchestrators.schedules import Scheduler
    from wheelrun.packaging.platforms import Platform


class BaseOrchestratorConfig(BaseModel):
    """The typed settings of an orchestrator: what stands in its target's table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def is_schedulable(self) -> bool:
        """Whether the orchestrator can run on a schedule; a schedule is refused early otherwise."""
        return False

    @property
    def is_synchronous(self) -> bool:
        """Whether `run` returns after the run's end rather than before it."""
        return False

    @property
    def supports_client_side_caching(self) -> bool:
        """Whether cached steps are left out before anything is launched."""
        return True


class BaseOrchestrator(ABC):
    """Runs deployments on one kind of system.

    `run` is called by the client: it prepares, leaves out cached steps, calls `prepare_or_run_pipeline`, which
    subclasses implement, and publishes each piece of metadata that it yields at once, so that a crash in the middle
    leaves something to find the run by.

    Args:
        config: The typed settings.
        name: The target's name, for messages.
        environ: The environment that processes on this machine get; by default the process's.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()
    flavor: ClassVar[str] = ""

    def __init__(
        self, config: BaseOrchestratorConfig, *, name: str = "", environ: Mapping[str, str] | None = None
    ) -> None:
        self._config = config
        self.environ = os.environ if environ is None else environ
        self.name = name or self.flavor
        self.warnings: list[str] = []
        self._deployment: Deployment | None = None
        self._stack: Stack | None = None
        self._run_id: str | None = None

    @property
    def config(self) -> BaseOrchestratorConfig:
        """The typed settings."""
        return self._config

    def run(self, deployment: Deployment, stack: Stack, placeholder_run: PlaceholderRun | None = None) -> None:
        """Submit a deployment.

        Args:
            deployment: What to run.
            stack: The target.
            placeholder_run: The run's record. It is marked failed, never lost, if the submission fails.

        Raises:
            WheelrunError: the submission failed.
        """
        self._deployment, self._stack = deployment, stack
        self._run_id = placeholder_run.id if placeholder_run else uuid.uuid4().hex
        try:
            self.check(deployment)
            environment = {**stack.environment, RUN_ID_VARIABLE: self._run_id}
            if self._leave_out_cached(deployment, stack):
                return
            for metadata in self.prepare_or_run_pipeline(deployment, stack, environment):
                if placeholder_run is not None and metadata:
                    placeholder_run.publish(metadata)
            if self.config.is_synchronous and placeholder_run is not None:
                self.wait(placeholder_run)
        except WheelrunError as error:
            if placeholder_run is not None:
                placeholder_run.fail(error)
            raise
        finally:
            self._deployment = self._stack = None
            self._run_id = None

    @abstractmethod
    def prepare_or_run_pipeline(
        self, deployment: Deployment, stack: Stack, environment: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        """Run the steps here, or hand them to the system; yield metadata as soon as there is some.

        Args:
            deployment: What to run.
            stack: The target.
            environment: Environment variables for the run.

        Yields:
            Handles to find the run by: plain JSON, no secrets.
        """

    @abstractmethod
    def prepare(self, deployment: Deployment, stack: Stack, run_id: str) -> Request:
        """Return the request that `prepare_or_run_pipeline` submits, without submitting it."""

    def settled(self, stack: Stack) -> Stack:
        """Return the target with what only it can tell, as a run's record will have it. Nothing is made there.

        Raises:
            WheelrunError: it cannot be reached, or a setting does not fit it.
        """
        return stack

    def check(self, deployment: Deployment) -> None:
        """Refuse, or warn about, what this orchestrator cannot honour.

        Raises:
            ConfigurationError: a step asks for something that cannot be honoured here.
        """
        for spec in deployment.steps:
            if self.requires_resources_in_orchestration_environment(spec) and not self.capabilities.resources:
                message = f"target {self.name!r} cannot honour the resources of step {spec.name!r}"
                if self.capabilities.strict_resources:
                    raise ConfigurationError(message, hint="remove them, or submit to another target")
                self.warnings.append(f"{message}; they are ignored")
            if spec.step_operator:
                raise ConfigurationError(
                    f"target {self.name!r} has no step operator {spec.step_operator!r}, which step {spec.name!r} wants"
                )

    def run_step(self, step: StepSpec) -> None:
        """Run one step of the active deployment here, in this process, with its retries.

        Raises:
            RuntimeError: no deployment is active.
            WheelrunError: its last attempt failed, with the error that was published.
        """
        execution = self._execution()
        state = execution.run_one(step.name)
        if state is RunState.FAILED:
            from wheelrun.errors import UserCodeError
            from wheelrun.runtime.events import EventReader, fold

            names = [spec.name for spec in execution.deployment.steps]
            status = {s.name: s for s in fold(names, EventReader(execution.paths.events).read()).steps}[step.name]
            error = status.error
            raise UserCodeError(
                f"step {step.name!r} failed: {error.message if error else ''}",
                detail=error.traceback if error else None,
            )

    def _execution(self) -> Execution:
        if self._deployment is None or self._stack is None or self._run_id is None:
            raise RuntimeError("run_step needs an active deployment: prepare_or_run_pipeline calls it")
        root = ArtifactRoot(local_path(self._stack.artifact_root))
        log = EventLog(root.run(self._run_id).events)
        return Execution(deployment=self._deployment, run_id=self._run_id, root=root, log=log)

    def get_orchestrator_run_id(self) -> str:
        """Return the id of the active run: unique, and the same for all its steps.

        Raises:
            RuntimeError: no run is active here.
        """
        run_id = self._run_id or self.environ.get(RUN_ID_VARIABLE)
        if not run_id:
            raise RuntimeError(f"no run is active: {RUN_ID_VARIABLE} is not set")
        return run_id

    def fetch_status(self, run: RunHandle) -> RunStatus:
        """Return where a run is, per step and with the reason.

        Raises:
            NotImplementedError: the orchestrator cannot tell.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement fetch_status")

    def cancel(self, run: RunHandle) -> None:
        """End a run. Returns when it has ended; ending one that has ended does nothing.

        Raises:
            NotImplementedError: the orchestrator cannot cancel.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement cancel")

    def resume(self, run: RunHandle, deployment: Deployment, stack: Stack) -> Iterator[Mapping[str, Any]]:
        """Take up a run that failed or was cancelled; what succeeded is not run again. Yields metadata.

        Raises:
            NotImplementedError: the orchestrator cannot resume.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement resume")

    def logs(
        self, run: RunHandle, *, step: str | None = None, stream: str | None = None, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield what a run wrote.

        A line is yielded once and whole, except that what a running program has not finished with a line end may come
        at the very end. With `follow` the iterator ends after the run's end, having given everything; without, it ends
        at what is there now. Lines of one stream keep their order; between the streams there is none.

        Args:
            run: The run.
            step: Only what was written while this step was running.
            stream: Only "stdout" or only "stderr".
            follow: Wait for more until the run has ended.

        Raises:
            NotImplementedError: the orchestrator has no logs.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement logs")

    def has_code(self, deployment: Deployment, stack: Stack) -> bool:
        """Whether the code of a deployment is where a run of it finds it: false after an interrupted submission."""
        del stack
        return deployment.wheel is not None

    def bundle_platform(self, python: str) -> Platform | None:
        """Return what a bundle of the dependencies is to be made for, None if this target wants none.

        Args:
            python: The version of the target's Python, such as "3.11.7".
        """
        del python
        return None

    def known_python(self) -> str | None:
        """Return the version of the target's Python where that is known without a run, such as "3.11" or "3.11.7"."""
        return None

    def python_key(self) -> str | None:
        """Return what tells the Python of this target from others, None if it is this process's own or known."""
        return None

    def preflight(self, stack: Stack) -> Sequence[tuple[str, str | None, str | None]]:
        """Check the target; each check is its name, what is wrong (None if nothing), and the remedy."""
        del stack
        return ()

    def scheduler(self) -> Scheduler:
        """Return the target's schedules.

        Raises:
            NotImplementedError: the orchestrator has none; its config is not `is_schedulable`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement scheduler")

    def prune(self, kept: Callable[[], Sequence[Mapping[str, Any]]], *, dry_run: bool) -> Sequence[Item]:
        """Remove what the target's system keeps of runs that are not recorded any more, and return it.

        Args:
            kept: Returns the metadata of the recorded runs.
            dry_run: Remove nothing.
        """
        del kept, dry_run
        return ()

    def wait(self, run: RunHandle, *, poll: float = 0.2, sleep: Callable[[float], None] = time.sleep) -> RunStatus:
        """Return a run's status once it has ended."""
        while not (status := self.fetch_status(run)).state.is_terminal:
            sleep(poll)
        return status

    @staticmethod
    def requires_resources_in_orchestration_environment(step: StepSpec) -> bool:
        """Return whether a step asks for resources of the environment that the orchestrator runs it in.

        False if a step operator runs it elsewhere.
        """
        return step.step_operator is None and not step.resources.empty

    def _leave_out_cached(self, deployment: Deployment, stack: Stack) -> bool:
        """Tell the steps whose outputs are cached; return whether that leaves nothing to launch."""
        if not self.config.supports_client_side_caching or self._run_id is None:
            return False
        place = Root.open(stack.artifact_root)
        if not place.is_local:
            return False  # what is cached behind a URL is looked up by the driver
        root = ArtifactRoot(local_path(stack.artifact_root))
        paths = root.run(self._run_id)
        keys = deployment.step_keys()
        found = {
            spec.name: hit
            for spec in deployment.steps
            if spec.cache and (hit := artifacts.recall(root.step_index(keys[spec.name])))
        }
        if len(found) < len(deployment.steps):
            return False  # what is cached beside steps that run is told by the process that runs them
        place.write(NAMES.run(self._run_id).deployment.as_posix(), deployment.to_json().encode())
        log = EventLog(paths.events)
        log.emit("run", state=RunState.RUNNING)
        for spec in deployment.steps:
            folders, outputs = found[spec.name]
            for name, folder in folders.items():
                artifacts.adopt(folder, paths.output(spec.name, name))
            log.emit("step", step=spec.name, state=RunState.CACHED, outputs=outputs)
        conclude(deployment, paths, log)
        log.close()
        return True


class BaseOrchestratorFlavor(ABC):
    """The registry entry of an orchestrator."""

    @property
    def type(self) -> str:
        """The kind of component."""
        return "orchestrator"

    @property
    @abstractmethod
    def name(self) -> str:
        """The name that a target's `orchestrator` key uses."""

    @property
    def config_class(self) -> builtins.type[BaseOrchestratorConfig]:
        """The class of the typed settings."""
        return BaseOrchestratorConfig

    @property
    @abstractmethod
    def implementation_class(self) -> builtins.type[BaseOrchestrator]:
        """The orchestrator's class."""

    @property
    def docs_url(self) -> str | None:
        """Where the flavor is explained."""
        return None

    @property
    def sdk_docs_url(self) -> str | None:
        """Where the classes are documented."""
        return None

    @property
    def logo_url(self) -> str | None:
        """The flavor's logo."""
        return None


def flavor_of(
    implementation: type[BaseOrchestrator], config: type[BaseOrchestratorConfig]
) -> type[BaseOrchestratorFlavor]:
    """Return the flavor of an orchestrator, under the orchestrator's own name.

    Args:
        implementation: The orchestrator's class.
        config: The class of its typed settings.
    """

    class Flavor(BaseOrchestratorFlavor):
        @property
        def name(self) -> str:
            return implementation.flavor

        @property
        def config_class(self) -> builtins.type[BaseOrchestratorConfig]:
            return config

        @property
        def implementation_class(self) -> builtins.type[BaseOrchestrator]:
            return implementation

    return Flavor
