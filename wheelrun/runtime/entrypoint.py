"""The entrypoints: what a cluster starts to run one step, or all steps in one process.

    wheelrun-entrypoint --entrypoint_config_source wheelrun.runtime.entrypoint.StepEntrypointConfiguration
                        --deployment_id <digest> --run_id <id> --artifact_root <path> --step_name <name>

The command stands in every project wheel, so a wheel task that names package and entry point finds it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError, UsageError, WheelrunError
from wheelrun.runtime.events import EventLog
from wheelrun.runtime.execute import Execution
from wheelrun.runtime.layout import ArtifactRoot, RunPaths
from wheelrun.states import RunState

COMMAND = "wheelrun-entrypoint"
"""The console script's name."""

SOURCE_OPTION = "entrypoint_config_source"
RUN_ID_VARIABLE = "WHEELRUN_RUN_ID"
"""Set while a run runs: a submission that finds it is nested and is refused."""


class BaseEntrypointConfiguration(ABC):
    """One way to start on a cluster. Subclasses name their options; all are required."""

    options: ClassVar[tuple[str, ...]] = ("deployment_id", "run_id", "artifact_root")

    def __init__(self, arguments: dict[str, str]) -> None:
        self.arguments = arguments

    @classmethod
    def get_entrypoint_command(cls) -> list[str]:
        """Return the command without its arguments."""
        return [COMMAND]

    @classmethod
    def get_entrypoint_options(cls) -> set[str]:
        """Return the names of the options, all required."""
        return {SOURCE_OPTION, *cls.options}

    @classmethod
    def get_entrypoint_arguments(cls, **values: str) -> list[str]:
        """Return the arguments for `main`.

        Raises:
            UsageError: an option is missing or unknown.
        """
        if set(values) != set(cls.options):
            raise UsageError(f"{cls.__name__} takes {sorted(cls.options)}, not {sorted(values)}")
        arguments = [f"--{SOURCE_OPTION}", f"{cls.__module__}.{cls.__qualname__}"]
        for name in cls.options:
            arguments += [f"--{name}", values[name]]
        return arguments

    @abstractmethod
    def run(self) -> RunState:
        """Run, and return the state at the end."""

    def execution(self) -> Execution:
        """Load the deployment that the arguments name and make ready to run it.

        Raises:
            ConfigurationError: it is not there, or is another one than was named.
        """
        root = ArtifactRoot(Path(self.arguments["artifact_root"]))
        paths = root.run(self.arguments["run_id"])
        deployment = open_deployment(paths, self.arguments["deployment_id"])
        return Execution(
            deployment=deployment,
            run_id=self.arguments["run_id"],
            root=root,
            log=EventLog(paths.events),
            code=tuple(Path(entry) for entry in sys.path if entry),
        )


class PipelineEntrypointConfiguration(BaseEntrypointConfiguration):
    """All steps of a deployment in one process, with one Spark session."""

    def run(self) -> RunState:
        """Run every step that has not ended, and return the run's state."""
        return self.execution().run_all()


class StepEntrypointConfiguration(BaseEntrypointConfiguration):
    """One step of a deployment in a process of its own."""

    options = ("deployment_id", "run_id", "artifact_root", "step_name")

    def run(self) -> RunState:
        """Run the step with its retries, and return its state."""
        return self.execution().run_one(self.arguments["step_name"])


def open_deployment(paths: RunPaths, digest: str) -> Deployment:
    """Read a run's deployment, which must be the one of that digest.

    Raises:
        ConfigurationError: it is not there, or is another one than was submitted.
    """
    try:
        deployment = Deployment.from_json(paths.deployment.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no deployment at {paths.deployment}",
            hint="is the artifact root the same on both sides?",
        ) from None
    if deployment.digest != digest:
        raise ConfigurationError(f"the deployment at {paths.deployment} is another one than was submitted")
    return deployment


def load(source: str) -> type[BaseEntrypointConfiguration]:
    """Return the class that "module.Class" names.

    Raises:
        UsageError: there is none, or it is not an entrypoint configuration.
    """
    module, _, name = source.rpartition(".")
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"--{SOURCE_OPTION} {source!r} cannot be loaded: {error}") from None
    if not (isinstance(found, type) and issubclass(found, BaseEntrypointConfiguration)):
        raise UsageError(f"--{SOURCE_OPTION} {source!r} is not a BaseEntrypointConfiguration")
    return found


def parse(argv: Sequence[str]) -> BaseEntrypointConfiguration:
    """Read the arguments and return the configuration that they ask for, ready to run.

    Raises:
        UsageError: the class is none, or an option is missing or unknown.
    """
    first = argparse.ArgumentParser(prog=COMMAND, add_help=False, exit_on_error=False)
    first.add_argument(f"--{SOURCE_OPTION}", required=False)
    known, rest = first.parse_known_args(list(argv))
    if known.entrypoint_config_source is None:
        raise UsageError(f"--{SOURCE_OPTION} is missing")
    kind = load(known.entrypoint_config_source)
    second = argparse.ArgumentParser(prog=COMMAND, add_help=False, exit_on_error=False, allow_abbrev=False)
    for name in kind.options:
        second.add_argument(f"--{name}")
    values, unknown = second.parse_known_args(rest)
    missing = [name for name in kind.options if getattr(values, name) is None]
    if missing or unknown:
        said = f"--{missing[0]} is missing" if missing else f"{unknown[0]!r} is not known"
        raise UsageError(f"{said}; {kind.__name__} takes {', '.join('--' + name for name in kind.options)}")
    return kind(vars(values))


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the arguments name; the exit code is 0 if it succeeded."""
    try:
        configuration = parse(sys.argv[1:] if argv is None else argv)
        run_id = configuration.arguments["run_id"]
        if os.environ.setdefault(RUN_ID_VARIABLE, run_id) != run_id:  # whoever starts a container may have set it
            raise ConfigurationError(
                f"a run ({os.environ[RUN_ID_VARIABLE]}) is already running in this process's environment",
                hint="a step must not start a run of its own",
            )
        state = configuration.run()
    except WheelrunError as error:
        sys.stderr.write(f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else ""))
        return error.exit_code
    return 0 if state.is_success or state is RunState.SKIPPED else 1
