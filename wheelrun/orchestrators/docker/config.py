"""The settings of a Docker target."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from wheelrun.orchestrators.containerized import ContainerizedConfig

OWN_KEYS = {
    "environment": "the target's environment",
    "volumes": "the target's volumes",
    "cpu_count": "the step's resources",
    "mem_limit": "the step's resources",
    "memswap_limit": "the step's resources",
    "nano_cpus": "the step's resources",
    "network": "the target's network",
    "network_mode": "the target's network",
    "user": "the target's user",
    "working_dir": "the target's working_directory",
}
"""Arguments of the SDK that something else is set by."""

REFUSED = frozenset(
    {"auto_remove", "command", "detach", "entrypoint", "image", "name", "remove", "restart_policy", "stderr", "stdout"}
)
"""Arguments of the SDK that are wheelrun's business."""


class ContainerSettings(BaseModel):
    """How containers are started."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    volumes: tuple[str, ...] = Field(default=(), description="Mounts beside the artifact root: /here:/there or :ro")
    network: str | None = Field(default=None, description="The network of containers and builds: host, none, a name")
    user: str | None = Field(
        default=None, description="The user of the steps: uid, uid:gid or a name; by default the one who submits"
    )
    init: bool = Field(default=True, description="Whether an init process of the engine stands above each step")
    run_args: dict[str, Any] = Field(
        default_factory=dict, description="Further arguments of docker-py's containers.run: shm_size, ulimits, devices"
    )

    @field_validator("volumes")
    @classmethod
    def _have_two_sides(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for volume in value:
            parts = volume.split(":")
            if len(parts) not in (2, 3) or not all(parts) or not parts[1].startswith("/"):
                raise ValueError(f"{volume!r} is not /here:/there, with :ro behind it to only read")
        return value

    @field_validator("run_args")
    @classmethod
    def _not_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name in OWN_KEYS:
                raise ValueError(f"{name} is set by {OWN_KEYS[name]}")
            if name in REFUSED:
                raise ValueError(f"{name} is wheelrun's own to set")
        if not isinstance(value.get("labels", {}), dict):
            raise ValueError("labels are a table")  # noqa: TRY004 - pydantic takes this one
        return value


class DockerConfig(ContainerizedConfig, ContainerSettings):
    """The settings of a target that is the Docker engine of this machine."""

    working_directory: str | None = Field(
        default=None, description="Where the steps run, in the container; by default a folder that is empty"
    )
