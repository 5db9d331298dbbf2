"""A task's process, by way of its supervisor: started, waited for, and ended for certain."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from wheelrun.emulator.launch.supervisor import Order
from wheelrun.errors import ClusterError
from wheelrun.runtime.bootstrap import python_command

_LOOK = 0.1  # seconds between two looks at whether it is to stop
_PATIENCE = 1.5  # seconds on top of the order's grace in which a supervisor has to be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Its exit status, or the negative number of the signal that ended it.
        report: What it wrote to the descriptor that is its last argument.
        stopped: Whether it was stopped from here.
    """

    code: int
    report: str = ""
    stopped: bool = False


def run(order: Order, stop: Callable[[], bool], channel: socket.socket | None = None) -> Ended:
    """Run a process until it ends; nothing that it started is left.

    Args:
        order: What to run.
        stop: Whether it is to be ended; it is asked ten times a second.
        channel: A socket for the process, which is closed here.

    Raises:
        ClusterError: it could not be started, or its supervisor died.
    """
    number = None if channel is None else channel.fileno()
    process = subprocess.Popen(
        python_command("wheelrun.emulator.launch.supervisor"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
        pass_fds=() if number is None else (number,),
    )
    if channel is not None:
        channel.close()
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(asdict(order) | {"channel": number}).encode() + b"\n")
            process.stdin.flush()
        answer, stopped = _answer(process, order.grace, stop)
    if "code" not in answer:
        raise ClusterError(f"the task's process could not be run: {answer.get('problem', 'its supervisor died')}")
    return Ended(code=answer["code"], report=answer["report"], stopped=stopped)


def _answer(process: subprocess.Popen[bytes], grace: float, stop: Callable[[], bool]) -> tuple[dict[str, Any], bool]:
    assert process.stdin is not None
    assert process.stdout is not None
    limit = None
    received = b""
    while True:
        ready, _, _ = select.select([process.stdout], [], [], _LOOK)
        if ready:
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece:
                break
            received += piece
        if limit is None and stop():
            limit = time.monotonic() + grace + _PATIENCE
            with suppress(BrokenPipeError):
                process.stdin.close()
        if limit is not None and time.monotonic() > limit:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    errors = process.stderr.read().decode("utf-8", "replace") if process.stderr else ""
    with suppress(ValueError):
        return json.loads(received), limit is not None
    return {"problem": errors.strip() or "its supervisor died"}, limit is not None
