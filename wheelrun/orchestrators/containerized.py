"""`ContainerizedOrchestrator`: an orchestrator whose steps run from container images."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from wheelrun.deployment import Deployment
from wheelrun.orchestrators.process import ProcessConfig
from wheelrun.orchestrators.wheeled import WheeledOrchestrator
from wheelrun.runtime.masking import is_secret

SHARED = ""
"""What the image is called by that all steps share which have none of their own."""


class ImageSettings(BaseModel):
    """What decides an image, beside the code that goes into it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]*$",
        description="The image to start from; by default a public one of this Python, with Java and Spark",
    )
    dockerfile: Path | None = Field(
        default=None, description="A Dockerfile to start from, relative to the project; its folder is the context"
    )
    packages: tuple[str, ...] | None = Field(
        default=None,
        description="What pip installs first; by default pyspark and a Java, if neither image nor dockerfile",
    )
    build_args: dict[str, str] = Field(default_factory=dict, description="Build arguments; they show in the image")
    platform: str | None = Field(default=None, description="The platform of the image: linux/amd64, linux/arm64")
    pull: Literal["missing", "always", "never"] = Field(default="missing", description="When the image is pulled")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels of the image")

    @field_validator("build_args")
    @classmethod
    def _no_secrets(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if is_secret(name):
                raise ValueError(
                    f"the value of {name} would be readable in the image: give it to the run, in the environment"
                )
        return value

    @model_validator(mode="after")
    def _one_origin(self) -> ImageSettings:
        if self.image is not None and self.dockerfile is not None:
            raise ValueError("image and dockerfile exclude each other")
        return self


class ContainerizedConfig(ProcessConfig, ImageSettings):
    """The settings of a target whose steps run from images."""

    python: str = Field(default="python3", description="The Python in the image")
    python_version: str | None = Field(
        default=None, description="Its version, for which the dependencies are resolved; by default this one's"
    )
    dependencies: Literal["bundle", "image", "none"] = Field(
        default="bundle",
        description="Whether the project's dependencies go into the image, are in it, or are not wanted there",
    )
    steps: dict[str, ImageSettings] = Field(
        default_factory=dict, description="Steps with an image of their own: what differs from the target's"
    )

    def image_settings(self, step_name: str | None = None) -> ImageSettings:
        """Return the settings of a step's image, or those that all steps share."""
        own = self.steps.get(step_name or "", ImageSettings())
        given: dict[str, Any] = {name: getattr(self, name) for name in ImageSettings.model_fields}
        changed = {name: getattr(own, name) for name in own.model_fields_set}
        for this, other in (("image", "dockerfile"), ("dockerfile", "image")):
            if changed.get(this) is not None:
                given[other] = None
        return ImageSettings(**{**given, **changed})


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerBuild:
    """An image that a deployment needs.

    Attributes:
        settings: What it is made of, beside the code.
        step_name: The step that it is for; None for all that have none of their own.
    """

    settings: ImageSettings
    step_name: str | None = None

    @property
    def key(self) -> str:
        """What the image is called by in a run's record."""
        return self.step_name or SHARED


class ContainerizedOrchestrator(WheeledOrchestrator, ABC):
    """Base class of orchestrators that run each step from an image, into which the wheels went."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.images: Mapping[str, str] = {}
        """The images that were built for the active run, or that it is pinned to: a build's key -> the image's id."""

    @property
    def config(self) -> ContainerizedConfig:
        """The typed settings."""
        assert isinstance(self._config, ContainerizedConfig)
        return self._config

    def get_docker_builds(self, deployment: Deployment) -> tuple[DockerBuild, ...]:
        """Return the builds that a deployment needs: one for each step whose settings differ, one for the rest.

        Args:
            deployment: What is to run.
        """
        shared = self.config.image_settings()
        own = [
            DockerBuild(settings=settings, step_name=spec.name)
            for spec in deployment.steps
            if (settings := self.config.image_settings(spec.name)) != shared
        ]
        rest = [DockerBuild(settings=shared)] if len(own) < len(deployment.steps) else []
        return (*rest, *own)

    def get_image(self, deployment: Deployment, step_name: str | None = None) -> str:
        """Return the id of the image that a step runs from, or that steps share.

        Args:
            deployment: What runs.
            step_name: The step; None for the shared image.

        Raises:
            RuntimeError: none was built for it.
        """
        own = any(build.step_name == step_name for build in self.get_docker_builds(deployment))
        key = (step_name or SHARED) if own else SHARED
        if key not in self.images:
            what = f"step {step_name!r}" if step_name else "the steps"
            raise RuntimeError(f"no image was built for {what} of deployment {deployment.name!r}")
        return self.images[key]
