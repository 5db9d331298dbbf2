"""`ContainerEntrypointConfiguration`: one step in a container that was started for it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import ClassVar

from wheelrun.errors import WheelrunError
from wheelrun.runtime.entrypoint import StepEntrypointConfiguration, open_deployment
from wheelrun.runtime.events import EventLog
from wheelrun.runtime.launch import Launch, make_scratch, scratch_path
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.session import JVM_LOST
from wheelrun.runtime.sessions import Session
from wheelrun.runtime.ticket import CODE_VARIABLE, SECRET_CONF_VARIABLE
from wheelrun.states import RunState


class ContainerEntrypointConfiguration(StepEntrypointConfiguration):
    """One step of a deployment in a container, in which the run's artifact root is mounted.

    The environment holds the run's Spark settings and the folders of its code. What the step writes goes to the run's
    logs, where the other steps' words are too.
    """

    def run(self) -> RunState:
        """Run the step with its retries, and return its state."""
        from wheelrun.runtime.worker import execution_of, session_of, set_up

        given = self.arguments
        root = ArtifactRoot(Path(given["artifact_root"]))
        paths = root.run(given["run_id"])
        _redirect(paths.stdout, sys.stdout.fileno())
        _redirect(paths.stderr, sys.stderr.fileno())
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
        scratch = scratch_path(given["run_id"])
        make_scratch(str(scratch))
        launch = Launch(
            run_id=given["run_id"],
            artifact_root=given["artifact_root"],
            code=tuple(os.environ.pop(CODE_VARIABLE).split(os.pathsep)),
            source_root="",
            working_directory=str(Path.cwd()),
            conf=json.loads(os.environ.pop(SECRET_CONF_VARIABLE, "{}")),
            cache_dir=str(scratch),
            scratch=str(scratch),
        )
        set_up(launch)
        deployment = open_deployment(paths, given["deployment_id"])
        log = EventLog(paths.events)
        session: Session
        try:
            session = session_of(launch, deployment, log)
        except WheelrunError as error:
            session = NoSession(error)
        try:
            return execution_of(launch, deployment, log, session).run_one(given["step_name"])
        finally:
            session.close()


class NoSession:
    """What a step has where Spark is wanted and cannot be had: an error, for the step to fail with."""

    lost: ClassVar = JVM_LOST

    def __init__(self, error: WheelrunError) -> None:
        self._error = error

    def ready(self) -> None:
        """Raise the error."""
        raise self._error

    def is_alive(self) -> bool:
        """Whether it was lost: it never was there."""
        return True

    def close(self) -> None:
        """Do nothing."""


def _redirect(path: Path, descriptor: int) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(opened, descriptor)
    os.close(opened)
