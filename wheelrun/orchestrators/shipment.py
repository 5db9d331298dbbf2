"""What travels to a cluster for a run, and where it lies below the artifact root: code, first file, log settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from wheelrun.config import Stack
from wheelrun.deployment import Deployment, WheelRef
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.base import BaseOrchestratorConfig
from wheelrun.orchestrators.roots import NAMES, Root
from wheelrun.orchestrators.wheeled import reference
from wheelrun.packaging.platforms import Platform
from wheelrun.packaging.wheel import Wheel
from wheelrun.runtime import driver
from wheelrun.runtime.masking import public
from wheelrun.runtime.session import LOGGING
from wheelrun.runtime.ticket import Ticket

if TYPE_CHECKING:
    from wheelrun.packaging.bundle import Bundle

_CLUSTER_SCHEMES = {"s3": "s3a", "gcs": "gs", "adl": "abfs", "az": "abfs"}
"""What Hadoop calls the file systems that fsspec calls otherwise."""


PLATFORM: Any = Field(
    default="x86_64-manylinux_2_28", description="The cluster's system, in the words of uv's --python-platform"
)
"""The setting of what a bundle is made for."""


class ShipmentConfig(BaseOrchestratorConfig):
    """The settings of a target to which code and dependencies have to travel."""

    cluster_root: str | None = Field(
        default=None, description="What the cluster calls the artifact root, if not what it is called here"
    )
    dependencies: Literal["bundle", "cluster", "none"] = Field(
        default="bundle",
        description="Whether the project's dependencies travel with it, are on the cluster, or are not wanted there",
    )
    platform: str = PLATFORM
    python: str | None = Field(default=None, description="The Python of driver and executors, on the cluster")
    python_version: str | None = Field(
        default=None, description="The version of that Python; by default the cluster is asked for it once"
    )
    isolation: Literal["pipeline", "step"] = Field(
        default="pipeline", description="Whether the steps share one Spark application or have one each"
    )
    max_parallel_steps: int = Field(default=1, ge=1, description="How many independent steps may run at once")

    def bundle_platform(self, python: str) -> Platform | None:
        """Return what a bundle is to be made for, None if there is to be none."""
        if self.dependencies != "bundle":
            return None
        return Platform(".".join((self.python_version or python).split(".")[:2]), self.platform)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """A deployment made ready to travel.

    Attributes:
        deployment: The deployment, with wheelrun's own wheel beside the project's and the run's public settings.
        own: wheelrun's own wheel.
        root: The artifact root as the cluster names it, without a slash at its end.
    """

    deployment: Deployment
    own: Wheel
    root: str

    @classmethod
    def of(
        cls, deployment: Deployment, stack: Stack, own: Wheel, *, cluster_root: str | None, max_parallel_steps: int
    ) -> Shipment:
        """Make a deployment ready.

        Args:
            deployment: What runs; its wheels are known.
            stack: The target.
            own: wheelrun's own wheel.
            cluster_root: The artifact root as the cluster names it, if not as it is named here.
            max_parallel_steps: How many independent steps may run at once.

        Raises:
            ConfigurationError: the cluster cannot read what lies under this artifact root.
        """
        ready = deployment.with_settings(
            also=(*deployment.also, reference(own)),
            conf=public(stack.conf),
            environment=public(stack.environment),
            max_parallel_steps=max_parallel_steps,
        )
        return cls(deployment=ready, own=own, root=(cluster_root or _on_cluster(stack.artifact_root)).rstrip("/"))

    @property
    def code(self) -> tuple[str, ...]:
        """Names of the code's archives below the root, in the order of the path."""
        wheels = (*((self.deployment.wheel,) if self.deployment.wheel else ()), *self.deployment.also)
        bundle = (bundle_name(self.deployment.bundle),) if self.deployment.bundle else ()
        return (*(archive_name(wheel) for wheel in wheels), *bundle)

    @property
    def places(self) -> tuple[str, ...]:
        """Where the code's archives lie, as the cluster names it."""
        return tuple(f"{self.root}/{name}" for name in self.code)

    @property
    def entry(self) -> str:
        """Where the driver's first file lies, as the cluster names it."""
        return f"{self.root}/{self.entry_name}"

    @property
    def entry_name(self) -> str:
        """The name of the driver's first file below the root."""
        return self._beside("wheelrun_driver.py")

    @property
    def log_settings(self) -> str:
        """Where log4j's settings lie, as the cluster names it."""
        return f"{self.root}/{self._beside('log4j2.properties')}"

    def ticket(
        self,
        run_id: str,
        start: int,
        *,
        conf: Mapping[str, str] | None = None,
        step_conf: Mapping[str, Mapping[str, str]] | None = None,
    ) -> Ticket:
        """Return what the driver of a start of the run is told.

        Args:
            run_id: The run's id.
            start: Which start this is, from 1.
            conf: Where each step has an application: the Spark settings of all of them. No secrets.
            step_conf: What single steps have besides.
        """
        return Ticket(
            root=self.root,
            run_id=run_id,
            deployment_id=self.deployment.digest,
            start=start,
            code=self.code,
            isolation="pipeline" if conf is None else "step",
            conf=conf or {},
            step_conf=step_conf or {},
        )

    def send(self, root: Root, wheels: Sequence[Wheel], bundle: Bundle | None, run_id: str) -> int:
        """Put everything under the artifact root that is not there; return the bytes of code that were sent.

        Raises:
            UploadError: it cannot be written.
        """
        sent = sum(root.put(wheel.path, archive_name(reference(wheel))) for wheel in (*wheels, self.own))
        if bundle is not None:
            sent += root.put(bundle.path, bundle_name(bundle_reference(bundle)))
        sent += root.put(Path(driver.__file__), self.entry_name)
        if not root.exists(self._beside("log4j2.properties")):
            root.write(self._beside("log4j2.properties"), LOGGING.encode())
        root.write(NAMES.run(run_id).deployment.as_posix(), self.deployment.to_json().encode())
        return sent

    def quiet(self, conf: Mapping[str, str]) -> dict[str, str]:
        """Return a Spark configuration whose driver writes warnings and worse, unless it says itself how to log."""
        options = "spark.driver.extraJavaOptions"
        given = conf.get(options, "")
        if "log4j" in given or "spark.log.level" in conf:
            return dict(conf)
        if "://" in self.root:  # log4j reads its settings before there is a file system
            return {**conf, "spark.log.level": "WARN"}
        return {**conf, options: f"-Dlog4j2.configurationFile={self.log_settings} {given}".strip()}

    def _beside(self, name: str) -> str:
        return NAMES.wheel(self.own.name, self.own.digest, name).as_posix()


def bundle_reference(bundle: Bundle) -> WheelRef:
    """Return what a deployment says of a bundle."""
    return WheelRef(file=bundle.path.name, name="bundle", version="", digest=bundle.digest)


def bundle_name(bundle: WheelRef) -> str:
    """Return a bundle's name below the artifact root."""
    return NAMES.bundle(bundle.digest, bundle.file).as_posix()


def refuse_compiled(bundle: Bundle | None, *, target: str, master: str) -> None:
    """Refuse a bundle with compiled code where it stays packed.

    Args:
        bundle: The bundle, if there is one.
        target: The target's name, for the message.
        master: The master, whose executors get it packed.

    Raises:
        ConfigurationError: there is compiled code in it.
    """
    if bundle is not None and bundle.compiled:
        raise ConfigurationError(
            f"target {target!r}: the bundle of dependencies holds compiled code, which loads only unpacked, and"
            f" executors of master {master} get archives packed",
            hint='install them there, and set dependencies = "cluster"',
        )


def has_code(root: Root, deployment: Deployment) -> bool:
    """Whether all archives of a deployment are below the root; those that are stay for the next hour."""
    wheels = (deployment.wheel, *deployment.also)
    if not all(wheel and root.keep(archive_name(wheel)) for wheel in wheels):
        return False
    return deployment.bundle is None or root.keep(bundle_name(deployment.bundle))


def archive_name(wheel: WheelRef) -> str:
    """Return a wheel's name below the artifact root: Spark knows the same bytes as an archive by `.zip`."""
    return NAMES.wheel(wheel.name, wheel.digest, f"{wheel.file.removesuffix('.whl')}.zip").as_posix()


def _on_cluster(artifact_root: str) -> str:
    root = Root.open(artifact_root)
    if root.is_local:
        return str(root.local)
    scheme, _, rest = root.url.partition("://")
    if scheme == "memory":
        raise ConfigurationError("a cluster cannot read an artifact root in memory", hint="set artifact_root")
    return f"{_CLUSTER_SCHEMES.get(scheme, scheme)}://{rest}"
