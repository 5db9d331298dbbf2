"""The emulator as a server of this machine."""

from __future__ import annotations

import contextlib
import errno
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from wheelrun.emulator.app import create_app
from wheelrun.emulator.compute import Compute
from wheelrun.emulator.engine import Engine
from wheelrun.emulator.service import Emulator
from wheelrun.emulator.state import State
from wheelrun.errors import ClusterError

LOOPBACK = "127.0.0.1"
_SHUTDOWN = 5  # seconds that answers under way have when it ends


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    port: int = 0,
    token: str | None = None,
    address: str = LOOPBACK,
    spark_master: str | None = None,
    compute_class: type[Compute] = Compute,
) -> Iterator[State]:
    """Serve while the block runs.

    Args:
        folder: Where the state lies; what is there goes on.
        port: The port; 0 for any that is free.
        token: What clients have to show; by default a new one.
        address: The address to listen on; by default this machine's own, which nobody else reaches.
        spark_master: The master of a standalone cluster that tasks use; by default each cluster has a JVM.
        compute_class: What runs tasks.

    Yields:
        The state: its `host` and `token` are what a client needs. It is ready to serve.

    Raises:
        ClusterError: the port is taken, or the state is broken.
    """
    listener = _listener(address, port)
    host = f"http://{_name(address)}:{listener.getsockname()[1]}"
    try:
        state = State(folder=folder, host=host, token=token or f"dapi{secrets.token_hex(16)}")
    except ClusterError:
        listener.close()
        raise
    compute = compute_class(state, spark_master=spark_master)
    engine = Engine(state, compute)
    emulator = Emulator(state=state, compute=compute, engine=engine)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(emulator),
            http=emulator.connections.protocol(),
            ws="none",
            lifespan="off",
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_SHUTDOWN,
        )
    )
    # until it accepts them, connections wait in the queue of the socket
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="emulator")
    thread.start()
    try:
        yield state
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        engine.close()
        compute.close()
        state.close()


def _listener(address: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server(
            (address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=128
        )
    except OSError as error:
        is_port = error.errno in (errno.EADDRINUSE, errno.EACCES)
        raise ClusterError(
            f"port {port} of {address} cannot be served: {error.strerror}",
            hint="name another port, or none" if is_port else "name an address of this machine",
        ) from error
    # what it accepts inherits this: answers are sent in two pieces, and the second would wait for 40 ms
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _name(address: str) -> str:
    """Return what clients call an address."""
    if address in {"0.0.0.0", "::"}:  # noqa: S104 - it was asked for
        return socket.gethostname()
    return f"[{address}]" if ":" in address else address
