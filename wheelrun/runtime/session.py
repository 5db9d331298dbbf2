"""The process's JVM, started early: it boots while Python imports the user's modules.

pyspark starts its gateway JVM when the first session is made, and waits for it. Here it is started before, with the
same command, and pyspark is told where it listens (`PYSPARK_GATEWAY_PORT`, `PYSPARK_GATEWAY_SECRET`), as spark-submit
does.
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelrun.errors import ClusterError
from wheelrun.runtime.java import find_spark

LOGGING = """\
rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{yy/MM/dd HH:mm:ss} %p %c{1}: %m%n%ex
logger.hadoop.name = org.apache.hadoop.util.NativeCodeLoader
logger.hadoop.level = error
"""
"""Warnings and worse, for a Spark that has no logging configuration of its own; Hadoop's native code is never there."""


JVM_LOST = (
    "the JVM died",
    "its last words are in the log; out of memory? give it more with --conf spark.driver.memory=4g",
)
"""What has happened to a session whose JVM is gone, and what to do."""


class Gateway:
    """A gateway JVM that was started ahead of the session.

    Args:
        environ: The environment that it gets; `SPARK_CONF_DIR` in it is where its configuration lies.
        folder: A folder in which it tells its address.

    Raises:
        ConfigurationError: there is no Spark.
    """

    def __init__(self, environ: Mapping[str, str], folder: Path) -> None:
        home = find_spark(environ).home
        self._info = folder / "info"
        self._told = False
        self._process = subprocess.Popen(
            [str(home / "bin" / "spark-submit"), "pyspark-shell"],
            stdin=subprocess.PIPE,  # the JVM ends when this pipe does
            env={**environ, "_PYSPARK_DRIVER_CONN_INFO_PATH": str(self._info), "SPARK_CONNECT_MODE": "0"},
        )

    def ready(self, *, timeout: float = 120.0) -> None:
        """Wait until it listens and put its address into this process's environment, where pyspark looks.

        The first call waits; the next ones return at once.

        Raises:
            ClusterError: it ended before it listened, or does not listen in time.
        """
        if self._told:
            return
        limit = time.monotonic() + timeout
        while not self._info.is_file():
            code = self._process.poll()
            if code is not None:
                raise ClusterError(
                    f"the JVM ended with status {code} before it was ready",
                    hint="its own words are in the run's log",
                )
            if time.monotonic() > limit:
                raise ClusterError(f"the JVM was not ready within {timeout:g} s")
            time.sleep(0.01)
        content = self._info.read_bytes()
        port, length = struct.unpack(">ii", content[:8])
        os.environ["PYSPARK_GATEWAY_PORT"] = str(port)
        os.environ["PYSPARK_GATEWAY_SECRET"] = content[8 : 8 + length].decode()
        self._told = True

    @property
    def is_alive(self) -> bool:
        """Whether the JVM is running."""
        return self._process.poll() is None

    def close(self, *, timeout: float = 10.0) -> None:
        """End the JVM: by closing its input, and by force if it does not end in time."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def write_conf_dir(
    folder: Path, conf: Mapping[str, str], *, inherited: Path | None, defaults: Path | None = None
) -> Path:
    """Make a Spark configuration folder: the inherited one's files, and its defaults with `conf` on top.

    Configuration goes by file, not on the command line, where every user of the machine could read a secret in it.

    Args:
        folder: What is made, for its owner only.
        conf: The settings on top, secrets included.
        inherited: The folder whose files are kept, if there is one.
        defaults: A properties file that stands in the place of the inherited defaults.
    """
    folder.mkdir(mode=0o700, parents=True)
    kept = {path.name: path for path in sorted(inherited.iterdir())} if inherited and inherited.is_dir() else {}
    default = kept.pop("spark-defaults.conf", None)
    if defaults is not None:
        default = defaults
    for name, path in kept.items():
        (folder / name).symlink_to(path.resolve())
    given = "" if default is None else default.read_text(encoding="utf-8").rstrip("\n") + "\n"
    lines = (f"{_escaped(key, ' :=')} {_escaped(value)}\n" for key, value in conf.items())
    if not any(folder.glob("log4j2.*")):
        (folder / "log4j2.properties").write_text(LOGGING, encoding="utf-8")
    target = folder / "spark-defaults.conf"
    target.touch(mode=0o600)
    # what is no text is escaped as java.util.Properties has it
    target.write_text(given + "".join(lines), encoding="utf-8", errors="backslashreplace")
    return folder


def _escaped(text: str, separators: str = "") -> str:
    """Escape as java.util.Properties reads it."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    if text.startswith(" "):
        text = "\\" + text
    return "".join("\\" + character if character in separators else character for character in text)


def active_context() -> Any:
    """Return the process's active SparkContext if pyspark was imported and has one, else None."""
    pyspark = sys.modules.get("pyspark")
    context = getattr(pyspark, "SparkContext", None)
    return getattr(context, "_active_spark_context", None)


def active_remote() -> Any:
    """Return the process's session on a Connect server, the thread's own if it has one, else None."""
    kind = getattr(sys.modules.get("pyspark.sql.connect.session"), "SparkSession", None)
    if kind is None:
        return None
    return kind.getActiveSession() or kind._get_default_session()  # noqa: SLF001 - `active` raises where there is none


def application_id() -> str | None:
    """Return the id of the active Spark application, or of the session on a Connect server, or None."""
    context = active_context()
    if context is not None:
        return context.applicationId if context._jsc is not None else None  # noqa: SLF001
    session = active_remote()
    return None if session is None else str(session.session_id)


def group_of(run_id: str, step: str, attempt: int) -> str:
    """Return the name by which the jobs of an attempt of a step are found."""
    return f"{run_id}:{step}:{attempt}".replace(",", "_")  # a tag of Connect has no comma


def group_jobs(group: str) -> None:
    """Mark the jobs that this thread starts from now on."""
    context = active_context()
    if context is not None:
        context.setJobGroup(group, group.split(":")[1], interruptOnCancel=True)
    elif (session := active_remote()) is not None:
        run_id = group.partition(":")[0]
        for tag in tuple(session.getTags()):
            if tag.partition(":")[0] == run_id:
                session.removeTag(tag)
        session.addTag(group)


def cancel_jobs(group: str, *, patience: float = 3.0) -> None:
    """Cancel the jobs that were marked so; wait so many seconds for it."""
    context = active_context()
    if context is not None:
        with contextlib.suppress(Exception):  # the JVM may be the reason for the timeout
            context.cancelJobGroup(group)
    elif (session := active_remote()) is not None:
        # in a thread, since the server may be the reason for the timeout; another attempt has another mark
        thread = threading.Thread(target=_interrupt, args=(session, group), daemon=True)
        thread.start()
        thread.join(patience)


def _interrupt(session: Any, tag: str) -> None:
    with contextlib.suppress(Exception):
        session.interruptTag(tag)


def jvm_is_alive(gateway: Gateway | None) -> bool:
    """Whether the JVM that serves this process runs: the one started ahead, or the one that pyspark started itself."""
    if gateway is not None:
        return gateway.is_alive
    context = getattr(sys.modules.get("pyspark"), "SparkContext", None)
    process = getattr(getattr(context, "_gateway", None), "proc", None)
    return process is None or process.poll() is None


def stop_session() -> None:
    """Stop the active Spark application, if there is one."""
    context = active_context()
    if context is not None:
        context.stop()
