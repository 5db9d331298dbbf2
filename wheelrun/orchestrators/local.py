"""`LocalOrchestrator`: runs on this machine, from the built wheel, on a Spark of its own."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from wheelrun.config import Stack
from wheelrun.deployment import Deployment
from wheelrun.orchestrators.base import flavor_of
from wheelrun.orchestrators.contract import Capabilities
from wheelrun.orchestrators.process import ProcessConfig, ProcessOrchestrator

DEFAULT_CONF: Mapping[str, str] = {
    "spark.master": "local[*]",
    "spark.ui.enabled": "false",  # its port is open to the network and takes a second to start
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
"""Spark configuration of local runs, below the target's and the submission's."""


class LocalOrchestratorConfig(ProcessConfig):
    """The settings of a local target."""

    master: str = Field(default="local[*]", description="Spark's master: local, local[N] or local[*]")


class LocalOrchestrator(ProcessOrchestrator):
    """Runs a deployment on this machine, with one Spark session in local mode for all its steps."""

    capabilities = Capabilities(
        parallel_steps=True,
        strict_resources=False,
        live_logs=True,
        cancel=True,
        resume=True,
        survives_client=True,
    )
    flavor = "local"

    @property
    def config(self) -> LocalOrchestratorConfig:
        """The typed settings."""
        assert isinstance(self._config, LocalOrchestratorConfig)
        return self._config

    def spark_conf(self, deployment: Deployment, stack: Stack) -> dict[str, str]:
        """Return the run's Spark configuration: the defaults of local runs below the target's."""
        own = {"spark.master": self.config.master, "spark.app.name": deployment.name}
        return {**DEFAULT_CONF, **own, **stack.conf}


LocalOrchestratorFlavor = flavor_of(LocalOrchestrator, LocalOrchestratorConfig)
"""The registry entry of `LocalOrchestrator`."""
