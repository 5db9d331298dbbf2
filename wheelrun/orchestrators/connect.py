"""`ConnectOrchestrator`: the steps run on this machine, and their Spark is a Connect server."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from wheelrun.config import Stack, cache_dir
from wheelrun.deployment import Deployment
from wheelrun.errors import ClusterError, ConfigurationError, WheelrunError
from wheelrun.orchestrators.base import flavor_of
from wheelrun.orchestrators.classic_spark import remarks
from wheelrun.orchestrators.contract import Capabilities, Request, RunHandle
from wheelrun.orchestrators.process import ProcessConfig, ProcessOrchestrator
from wheelrun.orchestrators.session_conf import session_conf
from wheelrun.orchestrators.shipment import PLATFORM, bundle_name
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.own import own_wheel
from wheelrun.packaging.platforms import Platform
from wheelrun.runtime.bootstrap import python_command
from wheelrun.runtime.connect import release_left
from wheelrun.runtime.connect_server import INSTALL, is_proxied, missing, reach
from wheelrun.runtime.launch import Launch
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.remote import REMOTE, TOKEN, Remote

_ANSWER_TIMEOUT = 60.0
"""Seconds for another Python, or for the server, to say what it is."""


class ConnectConfig(ProcessConfig):
    """The settings of a target that is a Connect server."""

    remote: str | None = Field(
        default=None, description="The server: sc://host:port, sc://host:port/;use_ssl=true; by default $SPARK_REMOTE"
    )
    token_file: Path | None = Field(
        default=None, description="A file with the token, which only its owner may read; relative to the project"
    )
    cluster_root: str | None = Field(
        default=None, description="What the server calls the artifact root, if not what it is called here"
    )
    dependencies: Literal["bundle", "cluster"] = Field(
        default="cluster",
        description="Whether the project's dependencies are there where the server runs, or travel with every session",
    )
    platform: str = PLATFORM
    patience: float = Field(
        default=60.0, gt=0, description="Seconds that a step waits for a server that has gone away before it fails"
    )


class ConnectOrchestrator(ProcessOrchestrator):
    """Runs a deployment's steps on this machine, with sessions of a Connect server."""

    capabilities = Capabilities(
        parallel_steps=True,
        live_logs=True,
        cancel=True,
        resume=True,
        survives_client=True,
    )
    flavor = "spark-connect"
    session = "remote"

    @property
    def config(self) -> ConnectConfig:
        """The typed settings."""
        assert isinstance(self._config, ConnectConfig)
        return self._config

    @property
    def remote(self) -> Remote:
        """The server's address.

        Raises:
            ConfigurationError: there is none.
        """
        if not self.config.remote:
            raise ConfigurationError(
                f"target {self.name!r} names no Connect server",
                hint="give --remote sc://host:port, set the target's remote, or set SPARK_REMOTE",
            )
        return Remote.parse(self.config.remote)

    def check(self, deployment: Deployment) -> None:
        """Refuse, or warn about, what cannot be honoured here; and warn of code that Spark Connect cannot run."""
        super().check(deployment)
        root = self.source_root
        if deployment.uses_spark and root is not None:
            found = remarks(deployment.steps, (root, root / "src"))
            self.warnings.extend(remark for remark in found if remark not in self.warnings)

    def check_machine(self, deployment: Deployment, stack: Stack) -> None:
        """Refuse a run whose Python has no client of Spark Connect."""
        del stack
        if deployment.uses_spark and (lacking := self._lacking()):
            python = self.config.python or sys.executable
            raise ConfigurationError(f"{python} has no {', '.join(lacking)}", hint=INSTALL)

    def spark_conf(self, deployment: Deployment, stack: Stack) -> dict[str, str]:
        """Return the settings of the run's sessions."""
        del deployment
        return session_conf(stack.conf, self.name)

    def spark_environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the run's variables with the server's address, and its token if there is one."""
        remote = self.remote
        environment = {**environment, REMOTE: remote.public, **remote.environment}
        if self.config.token_file is not None and TOKEN not in environment:
            environment[TOKEN] = read_token(self._of_project(self.config.token_file))
        return environment

    def prepare(self, deployment: Deployment, stack: Stack, run_id: str) -> Request:
        """Return what the supervisor will be given."""
        request = super().prepare(deployment, stack, run_id)
        return replace(request, content={**request.content, "remote": self.remote.place})

    def prepare_or_run_pipeline(
        self, deployment: Deployment, stack: Stack, environment: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        """Make sure that there is a server, and start the supervisor."""
        self.spark_conf(deployment, stack)  # what is wrong here goes before what is wrong there
        if deployment.uses_spark and not is_proxied(self.environ):
            reach(self.remote)
        yield from super().prepare_or_run_pipeline(deployment, stack, environment)

    def launch(self, plain: Launch, deployment: Deployment, request: Request) -> Launch:
        """Return the launch with what the session gets: all wheels, wheelrun's own too, for modules on the server."""
        del request
        root = ArtifactRoot(Path(plain.artifact_root))
        wheels = (*((deployment.wheel,) if deployment.wheel else ()), *deployment.also)
        own = own_wheel(WheelCache(cache_dir(self.environ)))
        return replace(
            plain,
            archives=(*(str(root.path / self.shipped_name(wheel)) for wheel in wheels), str(own.path)),
            bundle=str(root.path / bundle_name(deployment.bundle)) if deployment.bundle else "",
            patience=self.config.patience,
            frames=(self.config.cluster_root or "").rstrip("/"),
        )

    def bundle_platform(self, python: str) -> Platform | None:
        """Return what a bundle is to be made for: the steps' Python, since functions travel pickled, there."""
        if self.config.dependencies != "bundle":
            return None
        return Platform(".".join(python.split(".")[:2]), self.config.platform)

    def tidy(self, run: RunHandle) -> None:
        """Remove what is left of a run whose processes are gone, its sessions on the server too."""
        with contextlib.suppress(WheelrunError):  # the server gives them up by itself, later
            environment = {**self.environ, **self.spark_environment({})}
            release_left(Path(str(run.metadata.get("scratch", ""))), environment, python=self.config.python)
        super().tidy(run)

    def preflight(self, stack: Stack) -> Sequence[tuple[str, str | None, str | None]]:
        """Check the artifact root, the client, and that the server gives a session; it says its version."""
        checks = list(super().preflight(stack))
        try:
            if lacking := self._lacking():
                raise ConfigurationError(f"no {', '.join(lacking)}", hint=INSTALL)
            answer = self._ask("probe", {**self.environ, **self.spark_environment(stack.environment)})
            checks.append((f"Connect server at {self.remote.place} (Spark {answer['version']})", None, None))
            if answer["differs"]:
                checks.append(("versions", answer["differs"], "use the pyspark of the server's version"))
        except WheelrunError as error:
            checks.append(("Connect server", error.message, error.hint))
        return checks

    def _lacking(self) -> list[str]:
        if self.config.python is None:
            return missing()
        answer: list[str] = self._ask("missing", self.environ)["missing"]
        return answer

    def _ask(self, question: str, environ: Mapping[str, str]) -> dict[str, Any]:
        """Ask the Python that runs the steps; it answers for the server too."""
        command = python_command("wheelrun.runtime.connect_probe", question, python=self.config.python)
        try:
            done = subprocess.run(
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_ANSWER_TIMEOUT,
                check=False,
            )
            answer: dict[str, Any] = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{self.remote.place} did not answer within {_ANSWER_TIMEOUT:g} s") from None
        except OSError as error:
            raise ConfigurationError(
                f"{command[0]} cannot be started: {error.strerror}", hint="set the target's python"
            ) from None
        except ValueError:
            raise ConfigurationError(f"{command[0]} does not run wheelrun", hint="set the target's python") from None
        if "error" in answer:
            raise ClusterError(answer["error"], hint=answer["hint"])
        return answer

    def _of_project(self, path: Path) -> Path:
        return (self.source_root or Path.cwd()) / path.expanduser()


def read_token(path: Path) -> str:
    """Return the token that a file holds.

    Raises:
        ConfigurationError: it cannot be read, holds no token, or others may read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigurationError(f"{path} holds a token, and others may read it", hint=f"chmod 600 {path}")
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigurationError(
            f"the token file {path} cannot be read: {error.strerror or error}", hint="set the target's token_file"
        ) from None
    except UnicodeDecodeError:
        token = ""
    if not token.isprintable() or not token:
        raise ConfigurationError(f"{path} holds no token", hint="its content is the token and nothing else")
    return token


ConnectFlavor = flavor_of(ConnectOrchestrator, ConnectConfig)
"""The registry entry of `ConnectOrchestrator`."""


__all__ = ["ConnectConfig", "ConnectFlavor", "ConnectOrchestrator"]
