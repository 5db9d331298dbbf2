"""A worker's session on a Spark Connect server.

Whoever makes a session in the process, this module or the user's code, gets one that has the run's settings and code:
the class is extended as it is imported. The server keeps a session, with all that runs in it, for an hour after its
client has gone. So each is noted in a file before the server hears of it, and one that its worker did not release,
since it was killed or cancelled, is released by another process (`main`).
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError, WheelrunError
from wheelrun.runtime.bootstrap import python_command
from wheelrun.runtime.connect_server import (
    HURRY,
    INSTALL,
    Server,
    answers,
    differs,
    first_line,
    make_importable,
    patience,
    release,
    within,
)
from wheelrun.runtime.context import ACTIVE
from wheelrun.runtime.imports import close, when_imported
from wheelrun.runtime.launch import Launch, is_scratch
from wheelrun.runtime.remote import REMOTE, with_parameters
from wheelrun.runtime.session import group_of
from wheelrun.runtime.shims import write_shims
from wheelrun.signatures import spark_session

MODULE = "pyspark.sql.connect.session"

_DEPENDENCIES = "dependencies"
"""The folder of a session into which the server unpacks the bundle of dependencies."""


class RemoteSession:
    """The sessions of one worker process on a Connect server; the first is made while the user's code is imported.

    Args:
        launch: The run's launch.
        deployment: Its steps.
        tell: Tells a remark to the user.

    Raises:
        ConfigurationError: the address is none.
    """

    lost: ClassVar = (
        "the Connect server went away, or gave up the session,",
        "its own log tells why; when it is up again, `wheelrun resume` takes the run up",
    )

    def __init__(self, launch: Launch, deployment: Deployment, tell: Callable[[str], None]) -> None:
        self._launch = launch
        self._tell = tell
        self._wanted = deployment.uses_spark
        self._notes = notes(Path(launch.scratch))
        self._sessions: list[Any] = []
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._server = Server(os.environ)
        self._archives = _as_zip(launch.archives, Path(launch.scratch))
        if launch.bundle:
            shims = Path(launch.scratch, f"{_DEPENDENCIES}.zip")
            write_shims(Path(launch.bundle), _DEPENDENCIES, shims)
            self._archives += (str(shims),)
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
        make_importable()
        when_imported(MODULE, self._extend)
        self._thread: threading.Thread | None = None
        if self._wanted:
            self._thread = threading.Thread(target=self._connect, daemon=True)
            self._thread.start()

    def ready(self) -> None:
        """Wait until the session is made and has the code, and make it this thread's; try again if it failed before.

        Raises:
            ConfigurationError: the client cannot be imported, or the server refuses a setting.
            ClusterError: the server cannot be reached, or refuses.
        """
        with self._lock:
            if self._thread is not None:
                self._thread.join()
                self._thread = None
            elif self._wanted and not self._living():
                self._connect()
            error, self._error = self._error, None
        if error is not None:
            raise error
        if living := self._living():
            type(living[0])._set_default_and_active_session(living[0])  # noqa: SLF001 - as its builder does

    def is_alive(self) -> bool:
        """Whether the server still has the sessions."""
        return all(answers(session) for session in self._living())

    def close(self) -> None:
        """Release the sessions on the server."""
        for session in self._living():
            if within(2 * HURRY, functools.partial(release, session)):
                (self._notes / session.session_id).unlink(missing_ok=True)

    def _living(self) -> list[Any]:
        return [session for session in self._sessions if not session.is_stopped]

    def _connect(self) -> None:
        try:
            spark_session()
        except WheelrunError as error:
            self._error = error
        except ImportError as error:
            message = f"the client of Spark Connect cannot be imported: {first_line(error)}"
            self._error = ConfigurationError(message, hint=INSTALL)
        except BaseException as error:  # noqa: BLE001 - raised in the step that needs the session
            self._error = self._server.refusal(error)

    def _extend(self, module: ModuleType) -> None:
        """Have every session of the class, once it is made, noted and furnished."""
        kind: Any = module.SparkSession
        initialise = kind.__init__

        @functools.wraps(initialise)
        def furnished(session: Any, *args: Any, **kwargs: Any) -> None:
            initialise(session, *args, **kwargs)
            self._furnish(session)

        kind.__init__ = furnished
        for name in ("newSession", "cloneSession"):  # they go past __init__
            if hasattr(kind, name):
                setattr(kind, name, self._noting(getattr(kind, name), furnishes=name == "newSession"))

    def _noting(self, make: Callable[..., Any], *, furnishes: bool) -> Callable[..., Any]:
        @functools.wraps(make)
        def made(*args: Any, **kwargs: Any) -> Any:
            session = make(*args, **kwargs)
            if furnishes:
                self._furnish(session)
            else:
                self._note(session)
            return session

        return made

    def _note(self, session: Any) -> None:
        self._notes.mkdir(mode=0o700, exist_ok=True)
        (self._notes / session.session_id).touch(mode=0o600)
        self._sessions.append(session)

    def _furnish(self, session: Any) -> None:
        """Give a new session the run's settings and code, and to what it starts the mark of the step that it is in."""
        self._server.reach()
        self._note(session)
        try:
            with patience(session.client, HURRY, then=self._launch.patience):
                if remark := differs(session.version):
                    self._tell(remark)
                for name, value in self._launch.conf.items():
                    self._set(session, name, value)
                self._send(session)
        except BaseException as error:
            release(session)
            if isinstance(error, WheelrunError) or not isinstance(error, Exception):
                raise
            raise self._server.refusal(error) from None
        if (step := ACTIVE.get()) is not None:
            session.addTag(group_of(step.run_id, step.step, step.attempt))

    def _set(self, session: Any, name: str, value: str) -> None:
        try:
            session.conf.set(name, value)
        except Exception as error:
            if "CANNOT_MODIFY" not in str(error):
                raise
            raise ConfigurationError(
                f"{name} cannot be set in a session of the Connect server at {self._server.remote.place}",
                hint="set it where the server is started",
            ) from None

    def _send(self, session: Any) -> None:
        """Send the code. pyspark puts it on this process's path too, where it is unpacked already."""
        if not self._archives:
            return
        for archive in self._archives:
            close(archive)
        try:
            session.addArtifacts(*self._archives, pyfile=True)
            if self._launch.bundle:
                session.addArtifacts(f"{self._launch.bundle}#{_DEPENDENCIES}", archive=True)
        finally:
            sys.path[:] = [entry for entry in sys.path if entry not in self._archives]


def notes(scratch: Path) -> Path:
    """Return the folder in which a run's workers note their sessions."""
    return scratch / "sessions"


def release_left(
    scratch: Path, environ: Mapping[str, str], *, python: str | None = None, seconds: float = 2 * HURRY
) -> None:
    """Release the sessions that a worker has left on the server, in another process, and wait for it so long.

    Args:
        scratch: The run's folder for temporary files.
        environ: The environment, in which the server's address and token are.
        python: The Python that has the client; by default this process's.
        seconds: How long.
    """
    folder = notes(scratch)
    if not is_scratch(scratch) or not folder.is_dir() or not any(folder.iterdir()):
        return
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # the server gives them up by itself, later
        subprocess.run(
            python_command("wheelrun.runtime.connect", str(folder), python=python),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            check=False,
        )


def main() -> int:
    """Release the sessions whose ids are the names in a folder. Arguments: the folder."""
    server = Server(os.environ)
    server.reach()
    make_importable()
    from pyspark.sql.connect.session import SparkSession

    for note in Path(sys.argv[1]).iterdir():
        address = with_parameters(os.environ[REMOTE], {"session_id": note.name})
        release(SparkSession.builder.remote(address).create())
        note.unlink()
    return 0


def _as_zip(archives: Sequence[str], scratch: Path) -> tuple[str, ...]:
    """Return wheels under names that Spark takes for archives of Python code."""
    named = []
    for archive in map(Path, archives):
        link = scratch / f"{archive.stem}.zip"
        link.symlink_to(archive.absolute())
        named.append(str(link))
    return tuple(named)
