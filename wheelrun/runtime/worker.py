"""The process that runs a run's steps, from the unpacked wheels and not from the working tree."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from wheelrun.deployment import Deployment
from wheelrun.errors import WheelrunError
from wheelrun.runtime.entrypoint import RUN_ID_VARIABLE
from wheelrun.runtime.events import EventLog, EventReader, fold
from wheelrun.runtime.execute import Execution, SessionLostError, warn
from wheelrun.runtime.launch import Launch
from wheelrun.runtime.layout import ArtifactRoot, RunPaths
from wheelrun.runtime.sessions import SESSIONS, Session
from wheelrun.runtime.ticket import SECRET_CONF_VARIABLE
from wheelrun.runtime.working_tree import hide, tell_reads
from wheelrun.states import ErrorInfo, RunState


def work(launch: Launch, deployment: Deployment, events: int) -> int:
    """Run the steps that are left; return the process's exit status.

    Args:
        launch: What to run.
        deployment: Its steps.
        events: A descriptor that gets each event too; it closes when this process ends.
    """
    from wheelrun.runtime.supervisor import RESTART

    die_with_parent()
    set_up(launch)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    paths = ArtifactRoot(Path(launch.artifact_root)).run(launch.run_id)
    log = EventLog(paths.events, also=events)
    if launch.isolation == "step":
        return _work_apart(launch, deployment, log, events)
    try:
        session = session_of(launch, deployment, log)
    except WheelrunError as error:
        end_with(error, deployment, paths, log)
        return 0
    try:
        execution_of(launch, deployment, log, session).run_steps()
    except (SessionLostError, KeyboardInterrupt):  # the step raised it: nobody presses Ctrl-C here
        return RESTART
    finally:
        session.close()
    return 0


def end_with(error: WheelrunError, deployment: Deployment, paths: RunPaths, log: EventLog) -> None:
    """Tell that a run ends here, by an error that is not of one of its steps."""
    from wheelrun.runtime.supervisor import end

    info = ErrorInfo(category=error.category, type=type(error).__name__, message=error.message, hint=error.hint)
    status = fold([spec.name for spec in deployment.steps], EventReader(paths.events).read())
    end(log, status, RunState.FAILED, info)


def session_of(launch: Launch, deployment: Deployment, log: EventLog) -> Session:
    """Return the session of a launch in this process; what it remarks is told as a warning.

    Raises:
        ConfigurationError: there can be none.
    """
    return SESSIONS[launch.session](launch, deployment, functools.partial(warn, log))


def execution_of(launch: Launch, deployment: Deployment, log: EventLog, session: Session) -> Execution:
    """Return the execution of a launch in this process."""
    root = ArtifactRoot(Path(launch.artifact_root))
    code = tuple(Path(folder) for folder in launch.code)
    source_root = Path(launch.source_root) if launch.source_root else None
    execution = Execution(
        deployment=deployment,
        run_id=launch.run_id,
        root=root,
        log=log,
        code=code,
        source_root=source_root,
        logs=tuple(map(Path, launch.logs)),
        frames=launch.frames,
        ready=session.ready,
        session_alive=session.is_alive,
        session_lost=session.lost,
    )
    if source_root is not None:
        tell_reads(source_root, code, execution.warn, own=(root.path,))
    return execution


def _work_apart(launch: Launch, deployment: Deployment, log: EventLog, events: int) -> int:
    from wheelrun.runtime.apart import ApartExecution

    ApartExecution(
        deployment=deployment,
        run_id=launch.run_id,
        root=ArtifactRoot(Path(launch.artifact_root)),
        log=log,
        logs=tuple(map(Path, launch.logs)),
        launch=launch,
        events=events,
        secret=json.loads(os.environ.get(SECRET_CONF_VARIABLE, "{}")),
    ).run_steps()
    return 0


def set_up(launch: Launch) -> None:
    """Make this process ready to run the user's code: environment, working directory, path."""
    os.environ.update(launch.environment)
    os.environ[RUN_ID_VARIABLE] = launch.run_id
    if launch.session == "own":
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["PYTHONPATH"] = os.pathsep.join([*launch.code, *_inherited_path()])
    os.chdir(launch.working_directory)
    if launch.source_root:
        hide(Path(launch.source_root))
    sys.path[:0] = list(launch.code)


def _inherited_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def die_with_parent(last: Callable[[], None] = lambda: None) -> None:
    """End this process's group when the supervisor ends, however it ends: this process then has another parent.

    Args:
        last: Called before.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        try:
            last()
        finally:
            os.killpg(os.getpgrp(), 9)

    threading.Thread(target=watch, daemon=True).start()
