"""The process that runs a local run's steps, from the unpacked wheels and not from the working tree."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError, WheelrunError
from wheelrun.orchestrators.local.launch import Launch
from wheelrun.runtime.entrypoint import RUN_ID_VARIABLE
from wheelrun.runtime.events import EventLog, EventReader, fold
from wheelrun.runtime.execute import Execution, SessionLostError
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.session import Gateway, jvm_is_alive, spark_home, stop_session, write_conf_dir
from wheelrun.runtime.working_tree import hide, tell_reads
from wheelrun.states import ErrorInfo, RunState


def work(launch: Launch, deployment: Deployment, events: int) -> int:
    """Run the steps that are left; return the process's exit status.

    Args:
        launch: What to run.
        deployment: Its steps.
        events: A descriptor that gets each event too; it closes when this process ends.
    """
    from wheelrun.orchestrators.local.supervisor import RESTART, end

    _die_with_parent()
    os.environ.update(launch.environment)
    os.environ[RUN_ID_VARIABLE] = launch.run_id
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ["PYTHONPATH"] = os.pathsep.join([*launch.code, *_inherited_path()])
    os.chdir(launch.working_directory)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    hide(Path(launch.source_root))
    sys.path[:0] = list(launch.code)
    root = ArtifactRoot(Path(launch.artifact_root))
    code = tuple(Path(folder) for folder in launch.code)
    log = EventLog(root.run(launch.run_id).events, also=events)
    try:
        may_start = _prepare_spark(launch, wanted=deployment.uses_spark)
    except WheelrunError as error:
        info = ErrorInfo(category=error.category, type=type(error).__name__, message=error.message, hint=error.hint)
        so_far = fold([spec.name for spec in deployment.steps], EventReader(root.run(launch.run_id).events).read())
        end(log, so_far, RunState.FAILED, info)
        return 0
    gateway = _start_gateway(Path(launch.scratch)) if may_start and deployment.uses_spark else None
    execution = Execution(
        deployment=deployment,
        run_id=launch.run_id,
        root=root,
        log=log,
        code=code,
        source_root=Path(launch.source_root),
        ready=gateway.ready if gateway else lambda: None,
        session_alive=lambda: jvm_is_alive(gateway),
    )
    tell_reads(Path(launch.source_root), code, execution.warn, own=(root.path,))
    try:
        execution.run_steps()
    except (SessionLostError, KeyboardInterrupt):  # the step raised it: nobody presses Ctrl-C here
        return RESTART
    finally:
        if jvm_is_alive(gateway):
            stop_session()
        if gateway is not None:
            gateway.close()
    return 0


def _start_gateway(scratch: Path) -> Gateway:
    gateway = Gateway(os.environ, scratch)
    # the import takes as long as a part of the JVM's start, so the two go side by side
    threading.Thread(target=_import_pyspark, daemon=True).start()
    return gateway


def _prepare_spark(launch: Launch, *, wanted: bool) -> bool:
    """Set the environment for a JVM, whoever starts it: ahead by us, or late by code that did not show that it will.

    Args:
        launch: The run's launch.
        wanted: Whether a JVM is sure to be wanted.

    Returns:
        Whether one may be started.

    Raises:
        ConfigurationError: one is wanted, and there is no Spark or no Java for it.
    """
    from wheelrun.runtime.java import find_java, java_environment

    if "SPARK_REMOTE" in os.environ:
        return False
    try:
        java = find_java(os.environ, cache=Path(launch.cache_dir))
    except ConfigurationError:
        if wanted:
            raise
        return False
    os.environ.update(java_environment(java))
    home, scratch = spark_home(os.environ), Path(launch.scratch)
    inherited = Path(os.environ.get("SPARK_CONF_DIR") or (home or scratch) / "conf")
    os.environ["SPARK_CONF_DIR"] = str(write_conf_dir(scratch / "conf", launch.conf, inherited=inherited))
    if "spark.local.dir" not in launch.conf:
        os.environ.setdefault("SPARK_LOCAL_DIRS", str(scratch))
    return True


def _import_pyspark() -> None:
    import pyspark.sql  # noqa: F401


def _inherited_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _die_with_parent() -> None:
    """End this process's group when the supervisor ends, however it ends: this process then has another parent."""
    parent = os.getppid()

    def watch() -> None:
        import time

        while os.getppid() == parent:
            time.sleep(0.5)
        os.killpg(os.getpgrp(), 9)

    threading.Thread(target=watch, daemon=True).start()
