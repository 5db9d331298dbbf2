"""One container for one step: what it is started with, how it ends, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import secrets
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelrun.errors import ClusterError
from wheelrun.orchestrators.docker.engine import Engine, EngineLostError, owner
from wheelrun.runtime.alive import is_held
from wheelrun.runtime.layout import file_name
from wheelrun.states import ErrorInfo

if TYPE_CHECKING:
    import docker

OWNER = "io.wheelrun.owner"
"""The label with who started a container, since others may use the engine too."""

RUN = "io.wheelrun.run"
STEP = "io.wheelrun.step"
LOCK = "io.wheelrun.lock"
"""The label with the path of the lock that is held while somebody looks after the container."""

STOP = 4
"""Seconds that a container has between being asked to end and being killed."""

PATIENCE = 10.0
"""Seconds that an engine which went away has to come back."""

_LAST_WORDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a container ended.

    Attributes:
        code: The exit status of its program; 128 and a signal's number where that ended it.
        out_of_memory: Whether it was killed for taking more memory than it may.
        words: What it wrote last, where that did not go to the run's logs.
        memory: Its limit in bytes, None for none.
    """

    code: int
    out_of_memory: bool = False
    words: str = ""
    memory: int | None = None

    def error(self, step: str) -> ErrorInfo:
        """Return the error of a step whose container ended so without having told its end."""
        if self.out_of_memory:
            limit = f", which is limited to {self.memory / 2**20:,.0f} MiB" if self.memory else ""
            return ErrorInfo(
                category="user code",
                type="OutOfMemory",
                message=f"step {step!r} was killed for taking more memory than its container has{limit}",
                hint="give the step more: resources=Resources(memory=…)",
            )
        name = _signal_name(self.code)
        how = f"killed by {name}" if name else f"exit status {self.code}"
        said = f": {self.words}" if self.words else ""
        return ErrorInfo(
            category="user code",
            type="ProcessDied",
            message=f"the container ended while step {step!r} was running: {how}{said}",
            hint="out of memory? the system kills what takes too much" if name == "SIGKILL" else None,
        )


def labels_of(run_id: str, step: str, lock: Path) -> dict[str, str]:
    """Return the labels by which a step's container is found by any process."""
    return {RUN: run_id, STEP: step, LOCK: str(lock), OWNER: owner()}


def run_container(engine: Engine, spec: Mapping[str, Any], *, is_over: Callable[[], bool]) -> Ended | None:
    """Run a container to its end, and remove it.

    Args:
        engine: The engine.
        spec: The arguments for the SDK's `create`; its labels are among them.
        is_over: Asked several times a second: whether it is to be ended.

    Returns:
        How it ended, None if it was ended from here.

    Raises:
        ClusterError: the engine refuses it.
        EngineLostError: the engine went away and did not come back.
    """
    with engine.connect() as client:
        container = str(client.containers.create(name=_name(spec["labels"]), **spec).id)
    try:
        with engine.connect() as client:
            client.api.start(container)
        return _watch(engine, container, is_over)
    finally:
        with contextlib.suppress(ClusterError), engine.connect() as client:  # else the next command finds it
            _remove(client, container)


def remove_containers(engine: Engine, run_id: str, *, settle: float = 0.0) -> None:
    """End and remove all containers of a run.

    Args:
        engine: The engine.
        run_id: The run's id.
        settle: Seconds in which the engine may still be making one that somebody asked for who is gone.

    Raises:
        ClusterError: the engine does not answer, or refuses.
    """
    limit = time.monotonic() + settle
    with engine.connect(timeout=STOP * 3) as client:
        while True:
            found = client.api.containers(all=True, filters={"label": [f"{OWNER}={owner()}", f"{RUN}={run_id}"]})
            _end_all(client, [each["Id"] for each in found])
            if time.monotonic() >= limit:
                return
            time.sleep(0.05)


def remove_abandoned(engine: Engine) -> None:
    """Remove the containers of this user's runs that nobody looks after any more: their supervisors were killed.

    Raises:
        ClusterError: the engine does not answer, or refuses.
    """
    with engine.connect() as client:
        found = client.api.containers(all=True, filters={"label": [f"{OWNER}={owner()}", LOCK]})
        _end_all(client, [each["Id"] for each in found if _is_abandoned(Path(each["Labels"][LOCK]))])


def _is_abandoned(lock: Path) -> bool:
    try:
        return not is_held(lock)
    except OSError:  # it cannot be told
        return False


def _name(labels: Mapping[str, str]) -> str:
    """Return a name for a step's container that no other has."""
    return f"wheelrun-{labels[RUN]}-{file_name(labels[STEP])}-{secrets.token_hex(3)}"


def _end_all(client: docker.DockerClient, ids: list[str]) -> None:
    if not ids:
        return
    with ThreadPoolExecutor(min(len(ids), 8)) as pool:
        list(pool.map(lambda each: _stop(client, each), ids))
        list(pool.map(lambda each: _remove(client, each), ids))


def _stop(client: docker.DockerClient, container: str) -> None:
    import docker

    with contextlib.suppress(docker.errors.APIError):  # it is gone, or never ran
        client.api.stop(container, timeout=STOP)


def _remove(client: docker.DockerClient, container: str) -> None:
    import docker

    try:
        client.api.remove_container(container, v=True, force=True)
    except docker.errors.APIError as error:
        if error.status_code not in (404, 409):  # it is gone, or somebody else removes it
            raise


def _watch(engine: Engine, container: str, is_over: Callable[[], bool]) -> Ended | None:
    """Wait for a container's end, also over a restart of an engine that leaves its containers alive."""
    while True:
        with contextlib.suppress(EngineLostError):
            return _wait(engine, container, is_over)
        _wait_for(engine)


def _wait(engine: Engine, container: str, is_over: Callable[[], bool]) -> Ended | None:
    with engine.connect() as client:
        while True:
            ended = _ended(client, container)
            while not ended.wait(0.1):
                if is_over():
                    _stop(client, container)
                    return None
            if (how := _how(client, container)) is not None:
                return how


def _wait_for(engine: Engine) -> None:
    """Wait until an engine answers again; raises as `connect` does if it does not in time."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        with contextlib.suppress(EngineLostError), engine.connect(timeout=STOP):
            return
        time.sleep(0.2)
    with engine.connect(timeout=STOP):
        return


def _ended(client: docker.DockerClient, container: str) -> threading.Event:
    """Return an event that is set when a container has ended, or the engine."""
    ended = threading.Event()

    def wait() -> None:
        try:
            client.api.wait(container, timeout=None)
        except Exception:  # noqa: BLE001, S110 - who looks at the container next is told the same
            pass
        finally:
            ended.set()

    threading.Thread(target=wait, daemon=True).start()
    return ended


def _how(client: docker.DockerClient, container: str) -> Ended | None:
    """Return how a container ended; None if it runs: only the engine went away for a moment."""
    import docker

    facts = client.api.inspect_container(container)
    state = facts["State"]
    if state["Running"]:
        return None
    words = b""
    if state["ExitCode"]:
        with contextlib.suppress(docker.errors.APIError):  # some engines keep no logs
            words = client.api.logs(container, tail=_LAST_WORDS)
    return Ended(
        code=int(state["ExitCode"]),
        out_of_memory=bool(state.get("OOMKilled")),
        words=" ".join(words.decode("utf-8", "replace").split())[-500:],
        memory=facts["HostConfig"].get("Memory") or None,
    )


def _signal_name(code: int) -> str | None:
    with contextlib.suppress(ValueError):
        return signal.Signals(code - 128).name if code > 128 else None
    return None
