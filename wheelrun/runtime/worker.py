"""The process that runs a run's steps, from the unpacked wheels and not from the working tree."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from wheelrun.deployment import Deployment
from wheelrun.errors import WheelrunError
from wheelrun.runtime.entrypoint import RUN_ID_VARIABLE
from wheelrun.runtime.events import EventLog, EventReader, fold
from wheelrun.runtime.execute import Execution, SessionLostError
from wheelrun.runtime.launch import Launch
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.sessions import SESSIONS
from wheelrun.runtime.working_tree import hide, tell_reads
from wheelrun.states import ErrorInfo, RunState


def work(launch: Launch, deployment: Deployment, events: int) -> int:
    """Run the steps that are left; return the process's exit status.

    Args:
        launch: What to run.
        deployment: Its steps.
        events: A descriptor that gets each event too; it closes when this process ends.
    """
    from wheelrun.runtime.supervisor import RESTART, end

    _die_with_parent()
    _set_up(launch)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    root = ArtifactRoot(Path(launch.artifact_root))
    code = tuple(Path(folder) for folder in launch.code)
    log = EventLog(root.run(launch.run_id).events, also=events)
    try:
        session = SESSIONS[launch.session](launch, deployment)
    except WheelrunError as error:
        info = ErrorInfo(category=error.category, type=type(error).__name__, message=error.message, hint=error.hint)
        so_far = fold([spec.name for spec in deployment.steps], EventReader(root.run(launch.run_id).events).read())
        end(log, so_far, RunState.FAILED, info)
        return 0
    source_root = Path(launch.source_root) if launch.source_root else None
    execution = Execution(
        deployment=deployment,
        run_id=launch.run_id,
        root=root,
        log=log,
        code=code,
        source_root=source_root,
        logs=tuple(map(Path, launch.logs)),
        ready=session.ready,
        session_alive=session.is_alive,
        between=session.close if launch.isolation == "step" else lambda: None,
    )
    if source_root is not None:
        tell_reads(source_root, code, execution.warn, own=(root.path,))
    try:
        execution.run_steps()
    except (SessionLostError, KeyboardInterrupt):  # the step raised it: nobody presses Ctrl-C here
        return RESTART
    finally:
        session.close()
    return 0


def _set_up(launch: Launch) -> None:
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


def _die_with_parent() -> None:
    """End this process's group when the supervisor ends, however it ends: this process then has another parent."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.killpg(os.getpgrp(), 9)

    threading.Thread(target=watch, daemon=True).start()
