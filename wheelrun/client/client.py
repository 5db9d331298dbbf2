"""`Client`: the one place where project, configuration, packaging, orchestrator and store come together."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelrun.client.building import Workspace, main_file
from wheelrun.client.compiling import Compilation
from wheelrun.client.pythons import TargetPythons, check_python
from wheelrun.client.results import result_of
from wheelrun.client.run import Run
from wheelrun.config import LOCAL, Stack, cache_dir, data_dir, resolve_stack, validate
from wheelrun.config.remotes import given_again, without_secrets
from wheelrun.deployment import Deployment, WheelRef
from wheelrun.errors import ConfigurationError, RunCancelledError, StoreError, UsageError, WheelrunError
from wheelrun.orchestrators import registry
from wheelrun.orchestrators.base import BaseOrchestrator
from wheelrun.orchestrators.contract import Request
from wheelrun.orchestrators.shipment import bundle_reference
from wheelrun.orchestrators.wheeled import WheeledOrchestrator, reference
from wheelrun.packaging.builder import BuildResult
from wheelrun.packaging.wheel import Wheel
from wheelrun.runtime.alive import RunLock, is_held
from wheelrun.runtime.entrypoint import RUN_ID_VARIABLE
from wheelrun.runtime.masking import is_secret, public
from wheelrun.runtime.tracebacks import said_by
from wheelrun.states import ErrorInfo, RunState
from wheelrun.store import RunRecord, RunStore

if TYPE_CHECKING:
    from wheelrun.packaging.bundle import Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a submission would be: the request (secrets masked by `request.display()`), the wheel, the deployment."""

    request: Request
    build: BuildResult
    deployment: Deployment


SURVEY = "wheelrun.runtime.survey:survey"
"""The entry of a run that looks at its target."""


class Client(Workspace):
    """The Python API: the same power as the command line.

    Args:
        project: The project's folder; by default the nearest project at or above the working directory, else the folder
            of the main program.
        cwd: The working directory; by default the process's.
        environ: The environment; by default the process's.
    """

    @functools.cached_property
    def store(self) -> RunStore:
        """The run store."""
        return RunStore(data_dir(self.environ) / "runs.sqlite")

    def submit(
        self,
        entry: str | Callable[..., Any],
        params: Mapping[str, Any] | None = None,
        *,
        target: str | None = None,
        argv: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        conf: Mapping[str, str] | None = None,
        name: str | None = None,
        timeout: float | None = None,
        idempotency_key: str | None = None,
        allow_secrets: Collection[str] = (),
        options: Mapping[str, Any] | None = None,
        on_stage: Callable[[str], None] = lambda _: None,
    ) -> Run:
        """Submit an entry; returns as soon as the target has it (`Run.wait` waits for the end).

        Args:
            entry: "module:callable", "module", "file.py", "file.py:callable", or a function, step or pipeline itself.
            params: Its parameters: typed values, or text.
            target: The target's name; by default the configured one, else "local".
            argv: Arguments that the code sees as `sys.argv[1:]`.
            env: Environment variables for the run. Those whose names tell a secret are never stored.
            conf: Spark configuration.
            name: Another name for the run.
            timeout: Seconds for the whole run.
            idempotency_key: A second submission with the key gives the first one's run, unless that failed.
            allow_secrets: Paths that the secret guard lets through.
            options: The orchestrator's own settings, above the target's. With a `master` and no target, it is the
                orchestrator that this master wants.
            on_stage: Called with what is being done: "compiling", "packaging", "submitting".

        Raises:
            UsageError: the entry or a parameter does not fit.
            ConfigurationError: something is not configured, found, or honoured.
            PackagingError: the wheel cannot be built.
            SubmissionError: the target refuses, or does not answer.
        """
        self._refuse_nested()
        stack = self._stack(target, env, conf, timeout, options)
        on_stage("compiling")
        compilation = self._compile(entry, params or {}, argv, name, stack)
        try:
            orchestrator = self.orchestrator_for(stack)
        except BaseException:
            compilation.abandon()
            raise
        deployment = compilation.result().with_settings(timeout=stack.timeout)
        orchestrator.check(deployment)
        if python := self._python_of(orchestrator, stack, entry, on_stage):
            check_python(self.project, python, stack.name)
        with self._submission() as submitter:
            record, created = self.store.create(self._record(deployment, stack, idempotency_key, submitter))
            if not created:
                return Run(self, record)
            self.store.save_deployment(record.id, deployment.to_json())
            with self._placing(record, orchestrator) as placeholder:
                on_stage("packaging")
                deployment = self._package(deployment, orchestrator, placeholder, allow_secrets)
                on_stage("submitting")
                orchestrator.run(deployment, stack, placeholder)
        return Run(self, self.store.get(record.id), warnings=orchestrator.warnings, is_new=True)

    def prepare(
        self,
        entry: str | Callable[..., Any],
        params: Mapping[str, Any] | None = None,
        *,
        target: str | None = None,
        argv: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        conf: Mapping[str, str] | None = None,
        name: str | None = None,
        timeout: float | None = None,
        allow_secrets: Collection[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> Prepared:
        """Do everything of `submit` but submitting: compile, build, and return the request. Records nothing.

        Arguments and errors are those of `submit`.
        """
        stack = self._stack(target, env, conf, timeout, options)
        deployment = self._compile(entry, params or {}, argv, name, stack).result()
        orchestrator = self.orchestrator_for(stack)
        orchestrator.check(deployment)
        built = self.build(allow_secrets=allow_secrets)
        deployment = _with_wheels(deployment.with_settings(timeout=stack.timeout), built)
        _refuse_missing(deployment, built)
        return Prepared(request=orchestrator.prepare(deployment, stack, "RUN_ID"), build=built, deployment=deployment)

    def runs(
        self,
        *,
        all_projects: bool = True,
        states: Sequence[RunState] = (),
        limit: int = 50,
        before: str | None = None,
    ) -> list[Run]:
        """Return recorded runs, the newest first; those that have not ended are looked at again.

        Args:
            all_projects: Runs of every project, or only of this one.
            states: Only runs in these states.
            limit: At most so many.
            before: Only runs older than this run.
        """
        project = None if all_projects else str(self.root)
        for record in self.store.unfinished():
            self.refresh(record)
        return [Run(self, record) for record in self.store.list(project, tuple(states), limit, before)]

    def run(self, ref: str = "last") -> Run:
        """Return a recorded run by its id, the start or end of one, or "last".

        Raises:
            StoreError: there is none, or several fit.
        """
        return Run(self, self.store.get(ref))

    def resume(
        self,
        ref: str = "last",
        *,
        env: Mapping[str, str] | None = None,
        conf: Mapping[str, str] | None = None,
    ) -> Run:
        """Take up a run that failed or was cancelled: what succeeded keeps its outputs, the rest runs again.

        Args:
            ref: The run.
            env: Environment variables on top of the recorded ones. Secret ones were not recorded: give them again.
            conf: Spark configuration likewise.

        Raises:
            ConfigurationError: it is still running, or has succeeded.
        """
        self._refuse_nested()
        record = self.run(ref).status()
        if not record.state.is_terminal:
            raise ConfigurationError(f"run {record.id} is {record.state}", hint=f"wheelrun logs -f {record.id}")
        if record.state.is_success:
            raise ConfigurationError(
                f"run {record.id} has succeeded", hint=f"to run it again: wheelrun rerun {record.id}"
            )
        stack = self._recorded_stack(record, env, conf)
        orchestrator = self.orchestrator_for(stack, Path(record.project))
        deployment = self._recorded_deployment(record)
        with self._submission() as submitter:
            record = self.store.reopen(record.id, submitter=submitter)
            with self._placing(record, orchestrator) as placeholder:
                if not orchestrator.has_code(deployment, stack):
                    deployment = self._package(deployment, orchestrator, placeholder, ())
                for metadata in orchestrator.resume(record, deployment, stack):
                    placeholder.publish(metadata)
        return Run(self, self.store.get(record.id), warnings=orchestrator.warnings)

    def rerun(
        self,
        ref: str = "last",
        *,
        env: Mapping[str, str] | None = None,
        conf: Mapping[str, str] | None = None,
    ) -> Run:
        """Run a recorded run's wheel with its parameters again, as a new run. Arguments are those of `resume`."""
        self._refuse_nested()
        old = self.run(ref).record
        stack = self._recorded_stack(old, env, conf)
        orchestrator = self.orchestrator_for(stack, Path(old.project))
        deployment = self._recorded_deployment(old)
        with self._submission() as submitter:
            record, _ = self.store.create(
                replace(self._record(deployment, stack, None, submitter), project=old.project, rerun_of=old.id)
            )
            self.store.save_deployment(record.id, deployment.to_json())
            with self._placing(record, orchestrator) as placeholder:
                if not orchestrator.has_code(deployment, stack):
                    deployment = self._package(deployment, orchestrator, placeholder, ())
                else:
                    self.store.update(record.id, wheel=old.wheel)
                orchestrator.run(deployment, stack, placeholder)
        return Run(self, self.store.get(record.id), warnings=orchestrator.warnings, is_new=True)

    def targets(self) -> list[Stack]:
        """Return every configured target, resolved."""
        return [resolve_stack(self.settings, name, flags={}, environ=self.environ) for name in self.settings.targets]

    def refresh(self, record: RunRecord) -> RunRecord:
        """Return what is now known of a run, and store it."""
        if record.state.is_terminal:
            return record
        lock = (record.submitter or {}).get("lock")
        if lock and is_held(Path(lock)):
            return self.store.get(record.id)
        with contextlib.suppress(NotImplementedError):
            status = self.orchestrator_of(record).fetch_status(record)
            return self.store.set_status(record.id, status)
        return record

    def orchestrator_of(self, record: RunRecord) -> BaseOrchestrator:
        """Return the orchestrator of a recorded run, configured as it was."""
        if record.id not in self._orchestrators:  # a run is looked at often, and finding plug-ins takes its time
            self._orchestrators[record.id] = self.orchestrator_for(Stack(**record.stack), Path(record.project))
        return self._orchestrators[record.id]

    @functools.cached_property
    def _orchestrators(self) -> dict[str, BaseOrchestrator]:
        return {}

    def result_of(self, record: RunRecord) -> Any:
        """Return what a run's entry returned, from its artifacts."""
        return result_of(record, self._recorded_deployment(record))

    def _compile(
        self,
        entry: str | Callable[..., Any],
        params: Mapping[str, Any],
        argv: Sequence[str],
        name: str | None,
        stack: Stack,
    ) -> Compilation:
        from wheelrun.runtime.values import display

        roots = [*self.project.import_roots]
        if self.root not in roots:
            roots.append(self.root)
        return Compilation(
            entry if isinstance(entry, str) else entry_of(entry),
            display(params),
            argv=argv,
            roots=roots,
            cwd=self._cwd,
            name=name,
            python=_python_here(stack),
            environ={**self.environ, **stack.environment},
        )

    def _bundle(self, orchestrator: BaseOrchestrator, built: BuildResult) -> Bundle | None:
        """Return the bundle of the dependencies that a target wants, None for none."""
        key = orchestrator.python_key()
        python = self._pythons.get(key) if key is not None else None
        wanted = orchestrator.bundle_platform(python or platform.python_version())
        if wanted is None:
            return None
        from wheelrun.packaging.bundle import make_bundle
        from wheelrun.packaging.platforms import refuse_unfit

        wheels = (built.wheel, *built.also)
        for wheel in wheels:
            refuse_unfit(wheel, wanted)
        return make_bundle(self.project, wheels, cache_dir(self.environ), wanted, environ=self.environ)

    @functools.cached_property
    def _pythons(self) -> TargetPythons:
        return TargetPythons(data_dir(self.environ) / "pythons")

    def _python_of(
        self,
        orchestrator: BaseOrchestrator,
        stack: Stack,
        entry: str | Callable[..., Any],
        on_stage: Callable[[str], None],
    ) -> str | None:
        """Return the version of a target's Python where it is another machine's: remembered, or asked for now."""
        key = orchestrator.python_key()
        if key is None or entry == SURVEY:
            return None
        found = self._pythons.get(key)
        if found is None:
            on_stage(f"asking {stack.name} for its Python")
            found = self.survey(stack.name, executors=False)["driver"]["python"]
            self._pythons.put(key, found)
        return found

    def survey(self, target: str | None = None, *, distributions: Sequence[str] = (), executors: bool = True) -> Any:
        """Look at a target from inside, by a run of its own: what driver and executors have.

        Args:
            target: The target's name; by default the configured one.
            distributions: Names of distributions whose versions are asked for.
            executors: Whether to start Spark there and ask the executors too.

        Returns:
            What `wheelrun.runtime.survey.survey` returns.

        Raises:
            WheelrunError: the run could not be made, or failed.
        """
        params = {"distributions": list(distributions), "executors": executors}
        return self.submit(SURVEY, params, target=target, name="survey").result()

    def _package(
        self,
        deployment: Deployment,
        orchestrator: BaseOrchestrator,
        run: _Placeholder,
        allow_secrets: Collection[str],
    ) -> Deployment:
        built = self.build(allow_secrets=allow_secrets)
        _refuse_missing(deployment, built)
        deployment = _with_wheels(deployment, built)
        if isinstance(orchestrator, WheeledOrchestrator):
            orchestrator.wheels = (built.wheel, *built.also)
            orchestrator.bundle = self._bundle(orchestrator, built)
            if orchestrator.bundle is not None:
                deployment = deployment.with_settings(bundle=bundle_reference(orchestrator.bundle))
        orchestrator.warnings.extend(built.warnings)
        self.store.update(run.id, wheel=_wheel_table(built.wheel))
        self.store.save_deployment(run.id, deployment.to_json())
        return deployment

    def _stack(
        self,
        target: str | None,
        env: Mapping[str, str] | None,
        conf: Mapping[str, str] | None,
        timeout: float | None,
        options: Mapping[str, Any] | None,
    ) -> Stack:
        flags = {"environment": env or {}, "conf": conf or {}, "timeout": timeout, **(options or {})}
        return resolve_stack(self.settings, target, flags=flags, environ=self.environ)

    def orchestrator_for(self, stack: Stack, project: Path | None = None) -> BaseOrchestrator:
        """Return a new orchestrator for a target; `project` is the root that its wheel is made from, if not this one's.

        Raises:
            ConfigurationError: there is no such orchestrator, or a setting does not fit it.
        """
        flavor = registry.flavor(stack.orchestrator)
        config = validate(flavor.config_class, stack.config, stack.where or f"target {stack.name!r}")
        kind = flavor.implementation_class
        if issubclass(kind, WheeledOrchestrator):
            root = project
            if root is None:
                with contextlib.suppress(ConfigurationError):
                    root = self.root
            return kind(config, name=stack.name, environ=self.environ, source_root=root)
        return kind(config, name=stack.name, environ=self.environ)

    def _record(self, deployment: Deployment, stack: Stack, key: str | None, submitter: Mapping[str, Any]) -> RunRecord:
        from wheelrun.states import StepStatus

        kept = replace(stack, environment=public(stack.environment), conf=public(stack.conf))
        secret = sorted(name for name in (*stack.environment, *stack.conf) if is_secret(name))
        return RunRecord(
            project=str(self.root),
            name=deployment.name,
            target=stack.name,
            orchestrator=stack.orchestrator,
            entry=deployment.entry,
            params=dict(deployment.parameters),
            argv=deployment.argv,
            steps=tuple(StepStatus(name=spec.name) for spec in deployment.steps),
            idempotency_key=key,
            artifact_root=stack.artifact_root,
            stack={**asdict(kept), "environment": dict(kept.environment), "conf": dict(kept.conf)},
            metadata={"secret_settings": secret} if secret else {},
            submitter=submitter,
        )

    def _recorded_stack(
        self, record: RunRecord, env: Mapping[str, str] | None, conf: Mapping[str, str] | None
    ) -> Stack:
        stack = Stack(**record.stack)
        environment, spark = {**stack.environment, **(env or {})}, {**stack.conf, **(conf or {})}
        config, known = given_again(stack.config, env or {}, self.environ)
        config, environment, spark = without_secrets(config, environment, spark)
        for name in record.metadata.get("secret_settings", ()):
            if name in environment or name in spark:
                continue
            if name not in known:
                flag = "--conf" if "." in name else "-e"
                raise ConfigurationError(
                    f"{name} was given to run {record.id} and, being a secret, not recorded",
                    hint=f"give it again: {flag} {name}=…, or set it in the environment",
                )
            environment[name] = known[name]
        return replace(stack, config=config, environment=environment, conf=spark)

    def _recorded_deployment(self, record: RunRecord) -> Deployment:
        text = self.store.load_deployment(record.id)
        if text is None:
            raise StoreError(f"run {record.id} was interrupted before it was compiled", hint="submit it again")
        return Deployment.from_json(text)

    @contextlib.contextmanager
    def _submission(self) -> Iterator[Mapping[str, Any]]:
        """Hold a lock while a submission is made, by which another process can tell that it is."""
        folder = data_dir(self.environ) / "submissions"
        path = folder / f"{os.getpid()}-{os.urandom(6).hex()}.lock"
        lock = RunLock(path)
        lock.acquire()
        try:
            yield {"pid": os.getpid(), "lock": str(path)}
        finally:
            path.unlink(missing_ok=True)
            lock.release()

    @contextlib.contextmanager
    def _placing(self, record: RunRecord, orchestrator: BaseOrchestrator) -> Iterator[_Placeholder]:
        """Leave a record that tells the truth, and nothing that runs, when a submission does not come to its end."""
        placeholder = _Placeholder(self.store, record)
        try:
            yield placeholder
        except WheelrunError as error:
            placeholder.fail(error)
            error.run_id = record.id
            raise
        except BaseException as error:
            with contextlib.suppress(NotImplementedError):
                orchestrator.cancel(placeholder)
            if isinstance(error, KeyboardInterrupt):
                placeholder.fail(RunCancelledError("the submission was interrupted"))
            else:
                kind = ConfigurationError if isinstance(error, OSError) else WheelrunError  # the machine is not fit
                placeholder.fail(kind(f"the submission was interrupted: {said_by(error)}"))
            raise

    def _refuse_nested(self) -> None:
        if RUN_ID_VARIABLE in self.environ:
            raise ConfigurationError(
                f"this is run {self.environ[RUN_ID_VARIABLE]}: a step must not start a run of its own",
                hint="call the function, or make it a step of the pipeline",
            )


class _Placeholder:
    """The record of a run that is being submitted."""

    def __init__(self, store: RunStore, record: RunRecord) -> None:
        self._store = store
        self._record = record

    @property
    def id(self) -> str:
        return self._record.id

    @property
    def artifact_root(self) -> str:
        return self._record.artifact_root

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self._record.metadata

    def publish(self, metadata: Mapping[str, Any]) -> None:
        self._record = self._store.add_metadata(self.id, metadata)

    def fail(self, error: WheelrunError) -> None:
        info = ErrorInfo(category=error.category, type=type(error).__name__, message=error.message, hint=error.hint)
        state = RunState.CANCELLED if isinstance(error, RunCancelledError) else RunState.FAILED
        record = self._store.get(self.id)
        if not record.state.is_terminal:
            steps = tuple(
                step if step.state.is_terminal else replace(step, state=RunState.SKIPPED) for step in record.steps
            )
            self._store.update(self.id, state=state, error=info, steps=steps)


def entry_of(function: Callable[..., Any]) -> str:
    """Return the entry text for a function, step or pipeline; one of the main program is named by its file."""
    target = getattr(function, "function", function)
    module, name = target.__module__, target.__qualname__
    if "<" in name:
        raise UsageError(f"{name} cannot be submitted", hint="submit a function at the top level of a module")
    if module != "__main__":
        return f"{module}:{name}"
    main = main_file()
    if main is None:
        raise UsageError(f"{name} is defined in an interactive session", hint="put it into a module")
    return f"{main}:{name}"


def _python_here(stack: Stack) -> str | None:
    """Return the Python that compiles: the target's, unless it is one of another machine."""
    python = stack.config.get("python")
    if stack.orchestrator == LOCAL or python is None or shutil.which(python):
        return python
    return None


def _with_wheels(deployment: Deployment, built: BuildResult) -> Deployment:
    return deployment.with_settings(wheel=reference(built.wheel), also=tuple(reference(wheel) for wheel in built.also))


def _refuse_missing(deployment: Deployment, built: BuildResult) -> None:
    """Refuse a script that no wheel holds."""
    for spec in deployment.steps:
        if spec.kind != "script" or not spec.function.endswith(".py"):
            continue
        if not any(spec.function in wheel.files for wheel in (built.wheel, *built.also)):
            rule = next(
                (item.rule for item in built.excluded if item.path == spec.function),
                "the project's own build",
            )
            raise ConfigurationError(
                f"{spec.function} is not in the wheel: left out by {rule}",
                hint=f'add it: [tool.wheelrun.package] include = ["{spec.function.partition("/")[0]}"]',
            )


def _wheel_table(wheel: Wheel) -> dict[str, Any]:
    return {"path": str(wheel.path), "name": wheel.name, "version": wheel.version, "digest": wheel.digest}


__all__ = ["Client", "Prepared", "WheelRef", "entry_of"]
