"""Compiling an entry in a process of its own, which starts while the client goes on."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wheelrun import errors
from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError, WheelrunError
from wheelrun.runtime.bootstrap import python_command


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
        self._process = subprocess.Popen(
            python_command("wheelrun.runtime.compile", python=python),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            cwd=cwd,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
        )

    def result(self, *, timeout: float = 300.0) -> Deployment:
        """Wait for the end and return the deployment.

        Raises:
            WheelrunError: the entry or its parameters do not fit.
        """
        try:
            answer, said = self._process.communicate(self._request, timeout)
        except subprocess.TimeoutExpired:
            self.abandon()
            raise ConfigurationError(
                f"importing {self._entry} took longer than {timeout:g} s",
                hint="does its module work on import?",
            ) from None
        except BaseException:
            self.abandon()
            raise
        try:
            table = json.loads(answer)
        except ValueError:
            raise ConfigurationError(
                f"{self._entry} could not be imported: its module ended the process "
                f"(exit status {self._process.returncode})",
                hint="a module must not exit on import",
                detail=said[-4000:],
            ) from None
        if "error" in table:
            raise _error(table["error"])
        return Deployment.from_dict(table["deployment"])

    def abandon(self) -> None:
        """End it; the result is not wanted any more."""
        self._process.kill()
        self._process.communicate()


def _error(table: Mapping[str, Any]) -> WheelrunError:
    kind = getattr(errors, table["type"], ConfigurationError)
    error: WheelrunError = kind(table["message"], hint=table["hint"], detail=table["detail"])
    return error
