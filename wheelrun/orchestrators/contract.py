"""The values that pass between a client and an orchestrator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from wheelrun.errors import ConfigurationError, WheelrunError
from wheelrun.runtime.masking import masked


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an orchestrator can do. A setting that it cannot honour is refused before anything is sent.

    Attributes:
        schedule: Runs on a schedule.
        resources: Honours a step's resources; otherwise they are warned about, or refused if `strict_resources`.
        strict_resources: Whether resources that cannot be honoured are an error.
        parallel_steps: Runs independent steps at the same time.
        step_isolation: Runs each step in an application of its own.
        live_logs: Gives the logs while the run is running.
        cancel: Can cancel a run.
        resume: Can take up a failed run where it stopped.
        survives_client: The run goes on when the submitting process ends.
    """

    schedule: bool = False
    resources: bool = False
    strict_resources: bool = True
    parallel_steps: bool = False
    step_isolation: bool = False
    live_logs: bool = False
    cancel: bool = False
    resume: bool = False
    survives_client: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line that a run wrote: which stream ("stdout", "stderr"), and the text without its line end."""

    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is about to be submitted: printable, with secrets masked when shown (`display`).

    Attributes:
        orchestrator: The orchestrator's name.
        run_id: The run's id.
        content: The request as plain JSON.
        environment: Environment variables for the run, secrets included: never printed or stored.
        conf: Spark configuration, secrets included: never printed or stored.
    """

    orchestrator: str
    run_id: str
    content: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    conf: Mapping[str, str] = field(default_factory=dict, repr=False)

    def display(self) -> dict[str, Any]:
        """Return it as JSON to show: secrets masked."""
        return {
            "orchestrator": self.orchestrator,
            "run_id": self.run_id,
            **self.content,
            "environment": masked(self.environment),
            "conf": masked(self.conf),
        }


class RunHandle(Protocol):
    """What an orchestrator needs of a recorded run to find it again."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def artifact_root(self) -> str:
        """Where its artifacts lie."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the orchestrator yielded when it was submitted."""


class PlaceholderRun(RunHandle, Protocol):
    """The record of a run, made before it is submitted."""

    def publish(self, metadata: Mapping[str, Any]) -> None:
        """Store metadata as soon as it is there."""

    def fail(self, error: WheelrunError) -> None:
        """Mark the run failed, so that it is not lost."""


def local_path(artifact_root: str) -> Path:
    """Return an artifact root on this machine as a path.

    Raises:
        ConfigurationError: it is a URL of another kind.
    """
    if "://" not in artifact_root:
        return Path(artifact_root).expanduser().absolute()
    parts = urlsplit(artifact_root)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ConfigurationError(
            f"artifact_root {artifact_root!r} is not a folder of this machine",
            hint="give a path or a file:// URL",
        )
    return Path(unquote(parts.path))
