"""The process that serves the emulator that stands on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from wheelrun.emulator.folder import Folder, Order, Standing
from wheelrun.emulator.server import running
from wheelrun.emulator.state import State
from wheelrun.errors import ClusterError, WheelrunError
from wheelrun.runtime.processes import adopt_orphans, end_session


def main() -> int:
    """Serve until SIGTERM: `FOLDER ORDER`, the order as JSON."""
    try:
        serve(Folder(Path(sys.argv[1])), Order(**json.loads(sys.argv[2])), on_ready=lambda _: None)
    except WheelrunError as error:
        print("\n".join(filter(None, [error.message, error.hint])), file=sys.stderr)  # noqa: T201 - it is its log
        return error.exit_code
    return 0


def serve(folder: Folder, order: Order, *, on_ready: Callable[[Standing], None]) -> None:
    """Serve until SIGTERM or SIGINT; nothing that was started is left then. For the main thread.

    Args:
        folder: The emulator's folder.
        order: How to serve.
        on_ready: Called when it serves.

    Raises:
        ClusterError: the port is taken.
    """
    done = threading.Event()
    before = {number: signal.signal(number, lambda *_: done.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    adopt_orphans()
    try:
        with _served(folder, order) as state:
            standing = Standing(
                host=state.host,
                token=state.token,
                pid=os.getpid(),
                address=order.address,
                port=urlsplit(state.host).port or 0,
                spark_master=order.spark_master,
            )
            folder.write(standing)
            on_ready(standing)
            done.wait()
    finally:
        end_session(os.getpid(), without=[os.getpid()])
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _served(folder: Folder, order: Order) -> Iterator[State]:
    """Serve with the token that it had, and on its port if that is free and no other is asked for."""
    last = folder.read()
    token = None if last is None else last.token
    ports = [order.port] if order.port is not None else [*([last.port] if last is not None else []), 0]
    with contextlib.ExitStack() as stack:
        for port in ports:
            with contextlib.suppress(*([ClusterError] if port != ports[-1] else [])):
                state = stack.enter_context(
                    running(
                        folder.state, port=port, token=token, address=order.address, spark_master=order.spark_master
                    )
                )
                break
        yield state
