"""Bring the cluster up, mend it, look at it, end it."""

from __future__ import annotations

import contextlib
import platform
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from wheelrun.cluster import conf, processes
from wheelrun.cluster.folder import CONNECT, MASTER, Cluster, Folder, State, folder_of
from wheelrun.cluster.readiness import is_ready
from wheelrun.cluster.sizes import Size, size_of, this_machine
from wheelrun.config import cache_dir, data_dir, data_path, parse_size
from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.runtime.java import Spark, find_java, find_spark, java_environment
from wheelrun.runtime.jws import new_key
from wheelrun.runtime.layout import write_atomically
from wheelrun.runtime.session import write_conf_dir
from wheelrun.runtime.standing import last_lines

TIMEOUT = 180.0
"""Seconds that a part may take until it does its work."""


def up(
    environ: Mapping[str, str],
    *,
    workers: int | None = None,
    cores: int | None = None,
    memory: str | int | None = None,
    connect: bool | None = None,
    timeout: float = TIMEOUT,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Cluster:
    """Bring the cluster up, or mend what has crashed of it, and return when it does its work.

    One that is up stays as it is. A mended part has the addresses that it had: workers find a new Master again, and it
    takes up the work of the one that died. If this fails or is interrupted, what it started is ended.

    Args:
        environ: The environment: where data are kept, which Java and Spark are taken, and what the jobs inherit.
        workers: How many workers; 2 if there is no cluster yet.
        cores: Cores of each worker; by default enough for the machine's cores, a driver and the Connect server.
        memory: Memory of each worker (`1g`, or bytes); by default a share of half the machine's, at least 2 GiB.
        connect: Whether a Connect server runs on it; yes if there is no cluster yet.
        timeout: Seconds that a part may take until it does its work.
        on_stage: Called with what is done next.

    Raises:
        ConfigurationError: There is no Spark or no Java; the size is none on which a job can run, or is not that of the
            cluster which is up.
        ClusterError: A part ended or did not do its work in time; `detail` is the end of its log.
    """
    spark = find_spark(environ)
    java = java_environment(find_java(environ, cache=cache_dir(environ), spark=spark))
    folder = folder_of(data_dir(environ))
    mebibytes = None if memory is None else parse_size(memory) // 2**20
    with folder.operation(lambda: on_stage("waiting for another wheelrun that starts or ends the cluster")):
        state = _living(folder)
        fresh = state is None
        if state is None:
            processes.end(folder)  # what a cluster left behind whose state is lost
            folder.clear()
            size = size_of(
                this_machine(),
                workers=2 if workers is None else workers,
                cores=cores,
                memory=mebibytes,
                connect=connect is not False,
            )
            state = _prepare(folder, size, spark)
        else:
            _refuse_other_size(state.size, workers=workers, cores=cores, memory=mebibytes, connect=connect)
        environments = {
            name: conf.environment(name, folder, environ, spark_home=str(spark.home), java=java) for name in state.names
        }
        with _undone(folder, fresh=fresh) as started:
            state = _start(folder, state, spark, environments, started, timeout, on_stage)
        return folder.cluster(state)


def status(environ: Mapping[str, str]) -> Cluster | None:
    """Return the cluster as it is now, from its files alone; None if there is none.

    One whose parts have all ended without `down`, as when the machine was switched off, is there and not healthy.
    """
    folder = folder_of(data_path(environ))
    state = folder.read()
    return None if state is None else folder.cluster(state)


def down(environ: Mapping[str, str]) -> int:
    """End the cluster, with all drivers and executors on it, and return how many processes were ended.

    Raises:
        ClusterError: A process cannot be ended.
    """
    folder = folder_of(data_path(environ))
    if not folder.path.is_dir():
        return 0
    with folder.operation(lambda: None):
        # the Master first: it would start executors again that end before their application does
        ended = processes.end(folder, [MASTER]) + processes.end(folder)
        folder.clear()
        return ended


def _living(folder: Folder) -> State | None:
    """Return the state of the cluster if any part of it is alive."""
    state = folder.read()
    return state if state is not None and any(folder.is_alive(name) for name in state.names) else None


def _refuse_other_size(size: Size, **asked: int | None) -> None:
    for name, wanted in asked.items():
        there = getattr(size, name)
        if wanted is not None and wanted != there:
            what = {"connect": "a Connect server" if there else "no Connect server", "memory": f"memory {there} MiB"}
            raise ConfigurationError(
                f"the cluster is up with {what.get(name, f'{name} {there}')}, not as asked for",
                hint="`wheelrun cluster down` first; jobs on it end",
            )


def _prepare(folder: Folder, size: Size, spark: Spark) -> State:
    """Write everything that the parts read, and the state."""
    jars = spark.home / "jars"
    if size.connect and not spark.brings_connect:
        raise ConfigurationError(
            f"Spark {spark.version} in {spark.home} brings no Connect server",
            hint="`wheelrun cluster up --no-connect`, or pyspark 4 or newer",
        )
    knows_tokens = spark.release >= (4, 0)
    names = ["master", "rest", "web", *(f"worker-{number}" for number in range(1, size.workers + 1))]
    ports = _free_ports([*names, *(["connect", "connect-web"] if size.connect else [])])
    key = _secret(folder.rest_key, new_key()) if knows_tokens and any(jars.glob("jjwt-impl-*.jar")) else None
    token = _secret(folder.connect_token, secrets.token_urlsafe(32)) if knows_tokens and size.connect else None
    state = State(
        spark=spark.version,
        size=size,
        ports=ports,
        rest_key=key is not None,
        connect_token=token is not None,
        python=platform.python_version(),
    )
    _write_conf(folder.conf(MASTER), conf.master_conf(state, folder, key))
    _write_conf(folder.conf("worker"), conf.driver_conf(state))
    daemon = "".join(f"{name} {value}\n" for name, value in conf.worker_conf().items())
    write_atomically(folder.conf("worker") / "daemon.conf", daemon.encode())
    if size.connect:
        _write_conf(folder.conf(CONNECT), conf.connect_conf(state, token))
    for path in (folder.tmp, folder.recovery):
        path.mkdir(mode=0o700)
    for path in folder.log("any").parent.glob("*.log"):
        path.unlink(missing_ok=True)
    folder.write(state)
    return state


def _secret(path: Path, value: str) -> str:
    write_atomically(path, value.encode())
    return value


def _write_conf(path: Path, settings: Mapping[str, str]) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_conf_dir(path, settings, inherited=path / "none")
    for file in path.iterdir():
        file.chmod(0o600)


def _free_ports(names: list[str]) -> dict[str, int]:
    """Return a port for each name on which nobody listens on loopback."""
    with contextlib.ExitStack() as held:
        ports = {}
        for name in names:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports[name] = probe.getsockname()[1]
        return ports


@contextlib.contextmanager
def _undone(folder: Folder, *, fresh: bool) -> Iterator[list[str]]:
    """End what the block started if it does not come to its end; it notes the names of parts before it starts them."""
    started: list[str] = []
    try:
        yield started
    except BaseException:
        processes.end(folder, None if fresh else started)
        if fresh:
            folder.clear()
        raise


def _start(
    folder: Folder,
    state: State,
    spark: Spark,
    environments: Mapping[str, Mapping[str, str]],
    started: list[str],
    timeout: float,
    on_stage: Callable[[str], None],
) -> State:
    """Start the parts that are not alive, the Master first, and wait until all do their work."""
    for names in ((MASTER,), state.names[1:]):
        missing = [name for name in names if not folder.is_alive(name)]
        if missing:
            on_stage(f"starting {_listed(missing)}")
        for name in missing:
            started.append(name)
            processes.end(folder, [name])  # what it left behind when it died
            command = [str(spark.home / "bin" / "spark-class"), *conf.command(name, state, folder)]
            state = state.with_pid(name, processes.start(name, folder, command, environments[name]))
            folder.write(state)
        _wait(folder, state, names, timeout)
    if not state.ready:
        state = replace(state, ready=True)
        folder.write(state)
    return state


def _wait(folder: Folder, state: State, names: tuple[str, ...], timeout: float) -> None:
    """Wait until parts do their work."""
    limit = time.monotonic() + timeout
    waiting = list(names)
    while waiting := [name for name in waiting if not is_ready(name, state, folder)]:
        ended = [name for name in (MASTER, *names) if not folder.is_alive(name)]
        if ended or time.monotonic() > limit:
            name = (ended or waiting)[0]
            raise ClusterError(
                f"the {name} ended before it did its work" if ended else f"the {name} was not there in {timeout:g} s",
                hint=f"`wheelrun cluster up` tries again; the whole log is {folder.log(name)}",
                detail=last_lines(folder.log(name)),
            )
        time.sleep(0.05)


def _listed(names: list[str]) -> str:
    return f"the {names[0]}" if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


__all__ = ["TIMEOUT", "down", "status", "up"]
