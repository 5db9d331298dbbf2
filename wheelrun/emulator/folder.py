"""The folder of the emulator that stands on this machine.

<data>/emulator/           0700
    emulator.json          its address, its token, its pid
    databrickscfg          the same for the official clients, as a profile
    alive.lock             held by the server as long as it lives
    operation.lock         held by whoever starts or ends it
    emulator.log           what the server writes
    state/                 what it remembers
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from wheelrun.config import EMULATOR_PROFILE, emulator_profile
from wheelrun.runtime.alive import is_held
from wheelrun.runtime.layout import write_atomically

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How it is to be served.

    Attributes:
        address: The address to listen on.
        port: The port; None for the one it had, or any that is free.
        spark_master: The master of a standalone cluster that tasks use; None for a JVM of its own for each cluster.
    """

    address: str
    port: int | None = None
    spark_master: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An emulator that is up, or was.

    Attributes:
        host: The address for clients: "http://127.0.0.1:8090".
        token: The token.
        pid: The server's process, which means something only while it is up.
        address: The address that it listens on.
        port: The port.
        spark_master: The master of a standalone cluster that tasks use.
    """

    host: str
    token: str
    pid: int
    address: str
    port: int
    spark_master: str | None = None

    @property
    def web(self) -> str:
        """The pages, with what opens them."""
        return f"{self.host}/login?token={self.token}"


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder.

    Attributes:
        path: Where it is.
    """

    path: Path

    @property
    def operation(self) -> Path:
        """The lock of whoever starts or ends the server."""
        return self.path / "operation.lock"

    @property
    def alive(self) -> Path:
        """The lock of the server."""
        return self.path / "alive.lock"

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self.path / "emulator.log"

    @property
    def state(self) -> Path:
        """What the emulator remembers."""
        return self.path / "state"

    @property
    def profile(self) -> Path:
        """The official clients' configuration file."""
        return self.path / "databrickscfg"

    @property
    def is_alive(self) -> bool:
        """Whether the server is up."""
        return is_held(self.alive)

    def read(self) -> Standing | None:
        """Return the emulator that is up, or was the last; None if there is none, or it cannot be understood."""
        try:
            table = json.loads((self.path / "emulator.json").read_text(encoding="utf-8"))
            return Standing(**table) if table.pop("format", None) == _FORMAT else None
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, AttributeError):
            return None

    def write(self, standing: Standing) -> None:
        """Keep how it is reached."""
        profile = f"[{EMULATOR_PROFILE}]\nhost = {standing.host}\ntoken = {standing.token}\n"
        write_atomically(self.profile, profile.encode())
        write_atomically(self.path / "emulator.json", json.dumps({"format": _FORMAT, **asdict(standing)}).encode())

    def clear(self) -> None:
        """Forget the state, and the token."""
        for name in ("emulator.json", "databrickscfg", "emulator.log"):
            (self.path / name).unlink(missing_ok=True)
        if self.state.exists():
            shutil.rmtree(self.state)


def folder_of(environ: Mapping[str, str]) -> Folder:
    """Return the folder, which need not exist."""
    return Folder(emulator_profile(environ).parent)
