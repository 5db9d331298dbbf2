"""`Client`: the one place where project, configuration, packaging, orchestrator and store come together."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wheelrun.client.building import Workspace
from wheelrun.client.bundling import bundle_for
from wheelrun.client.compiling import Compilation
from wheelrun.client.entries import entry_of, python_here, refuse_missing, with_wheels
from wheelrun.client.placing import Placeholder, placing, submission
from wheelrun.client.prepared import Prepared
from wheelrun.client.pythons import TargetPythons, check_python
from wheelrun.client.recording import new_record, recorded_stack, wheel_table
from wheelrun.client.results import result_of
from wheelrun.client.run import Run
from wheelrun.client.surveying import SURVEY, python_of, survey
from wheelrun.config import Stack, data_dir, resolve_stack, validate
from wheelrun.deployment import Deployment, WheelRef
from wheelrun.errors import ConfigurationError, StoreError
from wheelrun.orchestrators import registry
from wheelrun.orchestrators.base import BaseOrchestrator
from wheelrun.orchestrators.wheeled import WheeledOrchestrator
from wheelrun.packaging.builder import BuildResult
from wheelrun.runtime.alive import is_held
from wheelrun.runtime.entrypoint import RUN_ID_VARIABLE
from wheelrun.states import RunState
from wheelrun.store import RunRecord, RunStore


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
            stack = orchestrator.settled(stack)
        except BaseException:
            compilation.abandon()
            raise
        deployment = compilation.result().with_settings(timeout=stack.timeout)
        orchestrator.check(deployment)
        where = {"target": target, "env": env, "conf": conf, "options": options}
        if entry != SURVEY and (python := python_of(self, orchestrator, where, on_stage=on_stage)):
            check_python(self.project, python, stack.name)
        with submission(data_dir(self.environ) / "submissions") as submitter:
            record, created = self.store.create(
                new_record(deployment, stack, project=self.root, key=idempotency_key, submitter=submitter)
            )
            if not created:
                return Run(self, record)
            self.store.save_deployment(record.id, deployment.to_json())
            with placing(self.store, record, orchestrator) as placeholder:
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
        stack = orchestrator.settled(stack)
        orchestrator.check(deployment)
        deployment, built = self._built(deployment.with_settings(timeout=stack.timeout), orchestrator, allow_secrets)
        request = orchestrator.prepare(deployment, stack, "RUN_ID")
        return Prepared(request=request, build=built, deployment=deployment, stack=stack, orchestrator=orchestrator)

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
        stack = recorded_stack(record, env, conf, environ=self.environ)
        orchestrator = self.orchestrator_for(stack, Path(record.project))
        deployment = self._recorded_deployment(record)
        with submission(data_dir(self.environ) / "submissions") as submitter:
            record = self.store.reopen(record.id, submitter=submitter)
            with placing(self.store, record, orchestrator) as placeholder:
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
        stack = recorded_stack(old, env, conf, environ=self.environ)
        orchestrator = self.orchestrator_for(stack, Path(old.project))
        deployment = self._recorded_deployment(old)
        with submission(data_dir(self.environ) / "submissions") as submitter:
            record, _ = self.store.create(
                replace(
                    new_record(deployment, stack, project=Path(old.project), key=None, submitter=submitter),
                    rerun_of=old.id,
                )
            )
            self.store.save_deployment(record.id, deployment.to_json())
            with placing(self.store, record, orchestrator) as placeholder:
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
            python=python_here(stack),
            environ={**self.environ, **stack.environment},
        )

    @functools.cached_property
    def pythons(self) -> TargetPythons:
        """What is remembered of the Pythons of targets that run elsewhere."""
        return TargetPythons(data_dir(self.environ) / "pythons")

    def survey(self, target: str | None = None, *, distributions: Sequence[str] = ()) -> Any:
        """Look at a target from inside, by a run of its own: what driver and executors have.

        Args:
            target: The target's name; by default the configured one.
            distributions: Names of distributions whose versions are asked for.

        Returns:
            What `wheelrun.runtime.survey.survey` returns.

        Raises:
            WheelrunError: the run could not be made, or failed.
        """
        where = {"target": target}
        # what travels with the run is made for the target's Python
        python_of(self, self.orchestrator_for(self._stack(target, None, None, None, None)), where)
        return survey(self, where, distributions, executors=True)

    def _package(
        self,
        deployment: Deployment,
        orchestrator: BaseOrchestrator,
        run: Placeholder,
        allow_secrets: Collection[str],
    ) -> Deployment:
        deployment, built = self._built(deployment, orchestrator, allow_secrets)
        orchestrator.warnings.extend(built.warnings)
        self.store.update(run.id, wheel=wheel_table(built.wheel))
        self.store.save_deployment(run.id, deployment.to_json())
        return deployment

    def _built(
        self, deployment: Deployment, orchestrator: BaseOrchestrator, allow_secrets: Collection[str]
    ) -> tuple[Deployment, BuildResult]:
        """Return the deployment with the wheels, and the bundle, that were made for it; the orchestrator gets them."""
        built = self.build(allow_secrets=allow_secrets)
        refuse_missing(deployment, built)
        deployment = with_wheels(deployment, built)
        if isinstance(orchestrator, WheeledOrchestrator):
            orchestrator.wheels = (built.wheel, *built.also)
            orchestrator.bundle = bundle_for(self, orchestrator, built)
            if orchestrator.bundle is not None:
                from wheelrun.orchestrators.shipment import bundle_reference

                deployment = deployment.with_settings(bundle=bundle_reference(orchestrator.bundle))
        return deployment, built

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

    def _recorded_deployment(self, record: RunRecord) -> Deployment:
        text = self.store.load_deployment(record.id)
        if text is None:
            raise StoreError(f"run {record.id} was interrupted before it was compiled", hint="submit it again")
        return Deployment.from_json(text)

    def _refuse_nested(self) -> None:
        if RUN_ID_VARIABLE in self.environ:
            raise ConfigurationError(
                f"this is run {self.environ[RUN_ID_VARIABLE]}: a step must not start a run of its own",
                hint="call the function, or make it a step of the pipeline",
            )


__all__ = ["Client", "WheelRef", "entry_of"]
