"""`ClusterOrchestrator`: what orchestrators have in common whose code has to travel to where the driver runs."""

from __future__ import annotations

import functools
from abc import ABC
from typing import Any

from wheelrun.config import Stack, cache_dir
from wheelrun.deployment import Deployment, WheelRef
from wheelrun.orchestrators.contract import RunHandle
from wheelrun.orchestrators.remote_run import RemoteRun
from wheelrun.orchestrators.roots import Root
from wheelrun.orchestrators.shipment import Shipment, ShipmentConfig, archive_name, has_code
from wheelrun.orchestrators.wheeled import WheeledOrchestrator
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.own import own_wheel
from wheelrun.packaging.platforms import Platform
from wheelrun.packaging.wheel import Wheel


class ClusterOrchestrator(WheeledOrchestrator, ABC):
    """Base class of orchestrators that ship a run's code and follow its driver by the artifact root."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._followed: dict[str, RemoteRun] = {}

    @property
    def config(self) -> ShipmentConfig:
        """The typed settings."""
        assert isinstance(self._config, ShipmentConfig)
        return self._config

    def shipped_name(self, wheel: WheelRef) -> str:
        """Return a wheel's name below the artifact root, as an archive."""
        return archive_name(wheel)

    def has_code(self, deployment: Deployment, stack: Stack) -> bool:
        """Whether everything that a deployment runs lies under the artifact root."""
        return has_code(Root.open(stack.artifact_root), deployment)

    def bundle_platform(self, python: str) -> Platform | None:
        """Return what a bundle of the dependencies is to be made for, None if none is wanted."""
        return self.config.bundle_platform(python)

    def shipment(self, deployment: Deployment, stack: Stack) -> Shipment:
        """Return a deployment made ready to travel.

        Raises:
            ConfigurationError: the cluster cannot read what lies under the artifact root.
        """
        return Shipment.of(
            deployment,
            stack,
            self._own,
            cluster_root=self.config.cluster_root,
            max_parallel_steps=self.config.max_parallel_steps,
        )

    def remote(self, run: RunHandle) -> RemoteRun:
        """Return a run's folder below the artifact root; what was read of it once is not read again."""
        if run.id not in self._followed:
            self._followed[run.id] = RemoteRun(Root.open(run.artifact_root), run.id)
        return self._followed[run.id]

    @functools.cached_property
    def _own(self) -> Wheel:
        """The wheel of wheelrun itself, which travels beside the project's."""
        return own_wheel(WheelCache(cache_dir(self.environ)))


def start_of(run: RunHandle) -> int:
    """Return which start of a run is the last one, from 1."""
    return int(run.metadata.get("start", 1))
