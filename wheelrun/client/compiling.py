"""Compiling an entry in a process of its own, which starts while the client goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from wheelrun import errors
from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError, WheelrunError
from wheelrun.runtime.bootstrap import python_command

_PATIENCE = 2.0  # seconds for the last words of a process that has ended
_TAIL = 4000  # bytes of what the user's module printed that are kept


class Compilation:
    """A compilation that is under way.

    Args:
        entry: The entry, as given.
        parameters: Parameter -> text or JSON value.
        argv: What the code sees as `sys.argv[1:]`.
        roots: The folders that stand on the path locally.
        cwd: Where a relative path may start.
        name: Another name for the deployment.
        python: The Python that compiles.
        environ: Its environment.
        hidden: A working tree from which nothing may be imported.
    """

    def __init__(
        self,
        entry: str,
        parameters: Mapping[str, Any],
        *,
        argv: Sequence[str],
        roots: Sequence[Path],
        cwd: Path,
        name: str | None,
        python: str | None,
        environ: Mapping[str, str],
        hidden: Path | None = None,
    ) -> None:
        self._entry = entry
        request = {
            "entry": entry,
            "parameters": dict(parameters),
            "argv": list(argv),
            "roots": [str(root) for root in roots],
            "cwd": str(cwd),
            "name": name,
            "hidden": str(hidden) if hidden else None,
        }
        try:
            self._request = json.dumps(request)
        except TypeError as error:
            raise errors.UsageError(
                f"a parameter of {entry} is not plain JSON: {error}",
                hint="give text, numbers, lists or objects",
            ) from None
        try:
            self._process = subprocess.Popen(
                python_command("wheelrun.runtime.compile", python=python),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environ),
                cwd=cwd,
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigurationError(
                f"{error.filename or python} cannot be started: {error.strerror}",
                hint="set the target's python to one that is there" if python else None,
            ) from error
        self._answer, self._said = bytearray(), bytearray()
        # Read by threads, which need not come to an end: what the user's module started on import may hold the pipes.
        self._readers = [
            threading.Thread(target=_drain, args=(stream, content, most), daemon=True)
            for stream, content, most in (
                (self._process.stdout, self._answer, 0),
                (self._process.stderr, self._said, _TAIL),
            )
        ]
        for reader in self._readers:
            reader.start()

    def result(self, *, timeout: float = 300.0) -> Deployment:
        """Wait for the end and return the deployment.

        Raises:
            WheelrunError: the entry or its parameters do not fit.
        """
        try:
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError), self._process.stdin as stream:
                stream.write(self._request.encode())
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ConfigurationError(
                f"importing {self._entry} took longer than {timeout:g} s",
                hint="does its module work on import?",
            ) from None
        finally:
            self.abandon()
        try:
            table = json.loads(bytes(self._answer))
        except ValueError:
            raise ConfigurationError(
                f"{self._entry} could not be imported: its module ended the process "
                f"({_end_of(self._process.returncode)})",
                hint="a module must not exit on import",
                detail=bytes(self._said).decode("utf-8", "backslashreplace"),
            ) from None
        if "error" in table:
            raise _error(table["error"])
        return Deployment.from_dict(table["deployment"])

    def abandon(self) -> None:
        """End it, and what the user's module started; what it has answered until then stays."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS may not signal a group of zombies
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        for reader in self._readers:
            reader.join(_PATIENCE)


def _drain(stream: IO[bytes], content: bytearray, most: int) -> None:
    with stream:
        while piece := os.read(stream.fileno(), 1 << 16):
            content += piece
            if most:
                del content[:-most]


def _end_of(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


def _error(table: Mapping[str, Any]) -> WheelrunError:
    kind = getattr(errors, table["type"], ConfigurationError)
    error: WheelrunError = kind(table["message"], hint=table["hint"], detail=table["detail"])
    return error
