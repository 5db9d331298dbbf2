"""The cluster's folder, and what its files say.

<data>/cluster/                  0700
    cluster.json                 the state: what the cluster is, and each part's pid
    operation.lock               held by whoever starts or ends parts
    locks/<part>.lock            held by the part itself, through an inherited descriptor, as long as it lives
    conf/<kind>/                 Spark's configuration, with the secrets in it
    rest.key, connect.token      what a client needs to be let in
    logs/<part>.log              what the part writes; they stay when the cluster has ended
    work/<part>/                 its working directory; below a worker's lie the logs of its drivers and executors
    tmp/                         Spark's scratch space
    recovery/                    what a Master reads when it takes up the work of one that died
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from wheelrun.cluster.sizes import Size
from wheelrun.errors import ConfigurationError
from wheelrun.runtime.alive import exclusively, is_held
from wheelrun.runtime.layout import write_atomically

MASTER, CONNECT = "master", "connect"
_FORMAT = 1
_GOES_WITH_THE_CLUSTER = ("conf", "locks", "tmp", "recovery", "rest.key", "connect.token", "cluster.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of the cluster.

    Attributes:
        name: `master`, `connect`, or `worker-1`, `worker-2`, ….
        pid: Its process, which means something only while it is alive.
        alive: Whether it is alive.
        url: Its web page.
        log: What it writes.
    """

    name: str
    pid: int
    alive: bool
    url: str
    log: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster as it is now.

    Attributes:
        master: What an application's master is: `spark://127.0.0.1:P`.
        rest: The address of the Master's REST gateway: `http://127.0.0.1:P`.
        connect: What a Spark Connect client connects to: `sc://localhost:P`; empty if there is no Connect server.
            It is `localhost` since pyspark sends a token without TLS only to a host of this name.
        web: The Master's web page.
        workers: The workers' web pages.
        parts: Its processes.
    """

    master: str
    rest: str
    connect: str
    web: str
    workers: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def healthy(self) -> bool:
        """Whether every part is alive."""
        return all(part.alive for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What `cluster.json` says.

    Attributes:
        spark: The version of Spark.
        size: How large it is.
        ports: On which port each service listens: `master`, `rest`, and by the name of its part each web page (`web`
            for the Master's, `connect-web` for the Connect server's) and the Connect server.
        pids: The pid of each part that was started.
        rest_key: Whether the REST gateway asks for a signed token.
        connect_token: Whether the Connect server asks for a token.
        ready: Whether it was once up as a whole.
        python: The version of the Python that its jobs run on.
    """

    spark: str
    size: Size
    ports: Mapping[str, int]
    pids: Mapping[str, int] = field(default_factory=dict)
    rest_key: bool = False
    connect_token: bool = False
    ready: bool = False
    python: str = ""

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of the workers."""
        return tuple(f"worker-{number}" for number in range(1, self.size.workers + 1))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts, in the order in which they are started."""
        return (MASTER, *self.workers, *([CONNECT] if self.size.connect else []))

    @property
    def master(self) -> str:
        """The Master's address."""
        return f"spark://127.0.0.1:{self.ports['master']}"

    @property
    def rest(self) -> str:
        """The REST gateway's address."""
        return f"http://127.0.0.1:{self.ports['rest']}"

    @property
    def remote(self) -> str:
        """The Connect server's address; empty if there is none."""
        return f"sc://localhost:{self.ports['connect']}" if self.size.connect else ""

    def web(self, part: str) -> str:
        """Return the address of a part's web page."""
        port = self.ports[{MASTER: "web", CONNECT: "connect-web"}.get(part, part)]
        return f"http://127.0.0.1:{port}"

    def with_pid(self, part: str, pid: int) -> State:
        """Return the state in which a part has this pid."""
        return replace(self, pids={**self.pids, part: pid})

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2)

    @classmethod
    def from_json(cls, text: str) -> State:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        table: dict[str, Any] = json.loads(text)
        if not isinstance(table, dict) or table.pop("format", None) != _FORMAT:
            raise ValueError("not a state of this format")
        try:
            state = cls(**{**table, "size": Size(**table["size"])})
            for name in state.names:
                state.web(name)
            _ = state.master, state.rest, state.remote
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a state: {error}") from error
        return state


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder of a cluster.

    Attributes:
        path: Where it is.
    """

    path: Path

    @property
    def mark(self) -> str:
        """What the environment of every process of the cluster says: this folder, however its path was written."""
        return os.path.realpath(self.path)

    @property
    def rest_key(self) -> Path:
        """The key with which tokens for the REST gateway are signed."""
        return self.path / "rest.key"

    @property
    def connect_token(self) -> Path:
        """The token of the Connect server."""
        return self.path / "connect.token"

    @property
    def recovery(self) -> Path:
        """What a Master needs to take up another's work."""
        return self.path / "recovery"

    @property
    def tmp(self) -> Path:
        """Spark's scratch space."""
        return self.path / "tmp"

    def conf(self, kind: str) -> Path:
        """Return a folder with Spark's configuration: that of the Master, of the workers, of the Connect server."""
        return self.path / "conf" / kind

    def lock(self, part: str) -> Path:
        """Return the lock that a part holds as long as it lives."""
        return self.path / "locks" / f"{part}.lock"

    def log(self, part: str) -> Path:
        """Return the file that a part's output goes to."""
        return self.path / "logs" / f"{part}.log"

    def work(self, part: str) -> Path:
        """Return a part's working directory."""
        return self.path / "work" / part

    def is_alive(self, part: str) -> bool:
        """Whether a part is alive."""
        return is_held(self.lock(part))

    def read(self) -> State | None:
        """Return the state; None if there is none, or none that can be understood."""
        try:
            return State.from_json((self.path / "cluster.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def write(self, state: State) -> None:
        """Keep a state."""
        write_atomically(self.path / "cluster.json", state.to_json().encode())

    def cluster(self, state: State) -> Cluster:
        """Return the cluster of a state as it is now."""
        return Cluster(
            master=state.master,
            rest=state.rest,
            connect=state.remote,
            web=state.web(MASTER),
            workers=tuple(state.web(name) for name in state.workers),
            parts=tuple(
                Part(
                    name=name,
                    pid=state.pids.get(name, 0),
                    alive=self.is_alive(name),
                    url=state.web(name),
                    log=self.log(name),
                )
                for name in state.names
            ),
        )

    def clear(self) -> None:
        """Remove what means nothing without the cluster; logs stay."""
        for name in _GOES_WITH_THE_CLUSTER:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def operation(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Be the only process that starts or ends parts; another one that does is waited for.

        Args:
            on_wait: Called before waiting for another process.

        Raises:
            ConfigurationError: The folder cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise ConfigurationError(
                f"the cluster's folder {self.path} cannot be made: {error.strerror or error}",
                hint="set WHEELRUN_HOME to a folder that can be written",
            ) from error
        with exclusively(self.path / "operation.lock", on_wait):
            yield


def folder_of(data: Path) -> Folder:
    """Return the cluster's folder below the data folder."""
    return Folder(data / "cluster")
