"""The emulator as a server of this machine."""

from __future__ import annotations

import contextlib
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


@contextlib.contextmanager
def running(
    folder: Path,
    *,
    port: int = 0,
    token: str | None = None,
    spark_master: str | None = None,
    compute_class: type[Compute] = Compute,
) -> Iterator[State]:
    """Serve while the block runs.

    Args:
        folder: Where the state lies; what is there goes on.
        port: The port on the loopback address; 0 for any that is free.
        token: What clients have to show; by default a new one.
        spark_master: The master of a standalone cluster that tasks use; by default each has Spark in its own process.
        compute_class: What runs tasks.

    Yields:
        The state: its `host` and `token` are what a client needs. It is ready to serve.

    Raises:
        ClusterError: the port is taken.
    """
    listener = _listener(port)
    state = State(
        folder=folder,
        host=f"http://{LOOPBACK}:{listener.getsockname()[1]}",
        token=token or f"dapi{secrets.token_hex(16)}",
    )
    compute = compute_class(state, spark_master=spark_master)
    engine = Engine(state, compute)
    app = create_app(Emulator(state=state, compute=compute, engine=engine))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
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


def _listener(port: int) -> socket.socket:
    # asyncio sends at once, without waiting for more, only where a socket is said to be TCP's
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ClusterError(
            f"port {port} of {LOOPBACK} cannot be served: {error.strerror}", hint="name another port, or none"
        ) from error
    return listener
