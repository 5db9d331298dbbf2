"""`LocalDockerOrchestrator`: each step in a container of its own, on the Docker engine of this machine."""

from __future__ import annotations

import contextlib
import functools
import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelrun.config import Stack, cache_dir, data_dir
from wheelrun.deployment import Deployment, StepSpec
from wheelrun.errors import WheelrunError
from wheelrun.orchestrators.base import flavor_of
from wheelrun.orchestrators.containerized import ContainerizedOrchestrator, DockerBuild
from wheelrun.orchestrators.contract import Capabilities, Request, RunHandle, local_path
from wheelrun.orchestrators.docker.config import ContainerSettings, DockerConfig
from wheelrun.orchestrators.docker.containers import labels_of, remove_abandoned, remove_containers
from wheelrun.orchestrators.docker.engine import Engine, find_engine
from wheelrun.orchestrators.docker.images import Images, default_image, packages_of
from wheelrun.orchestrators.docker.keeping import alone, keeper_of, prune
from wheelrun.orchestrators.docker.recipes import CODE, WORK, Code, folders_of_code
from wheelrun.orchestrators.docker.specs import (
    check_run_args,
    container_spec,
    default_user,
    driver_conf,
    refuse_user,
)
from wheelrun.orchestrators.docker.supervise import MODULE, ContainerLaunch
from wheelrun.orchestrators.local import DEFAULT_CONF
from wheelrun.orchestrators.process import ProcessOrchestrator
from wheelrun.orchestrators.roots import Root
from wheelrun.orchestrators.shipment import bundle_name
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.own import own_wheel
from wheelrun.packaging.platforms import Platform
from wheelrun.runtime.bootstrap import python_command
from wheelrun.runtime.container import ContainerEntrypointConfiguration
from wheelrun.runtime.entrypoint import RUN_ID_VARIABLE
from wheelrun.runtime.launch import Launch, lock_path
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.ticket import CODE_VARIABLE, SECRET_CONF_VARIABLE

if TYPE_CHECKING:
    import docker

    from wheelrun.orchestrators.collect import Item

IMAGES = "images"
"""What the images of a run are called by in its record."""


class LocalDockerOrchestrator(ContainerizedOrchestrator, ProcessOrchestrator):
    """Runs each step of a deployment in a container of its own, below a supervisor on this machine.

    The artifact root is mounted at the same path, so that events, outputs and logs lie where those of a local run do.
    """

    capabilities = Capabilities(
        resources=True,
        parallel_steps=True,
        step_isolation=True,
        live_logs=True,
        cancel=True,
        resume=True,
        survives_client=True,
    )
    flavor = "docker"
    supervisor = MODULE
    _rootless = False

    @property
    def config(self) -> DockerConfig:
        """The typed settings."""
        assert isinstance(self._config, DockerConfig)
        return self._config

    @property
    def settings_class(self) -> type[ContainerSettings]:
        """The settings of how containers are started."""
        return ContainerSettings

    @property
    def validator(self) -> Callable[[], None]:
        """What refuses the target while there is no engine that can run its steps, with the remedy."""
        return self._check_engine

    @functools.cached_property
    def engine(self) -> Engine:
        """The engine: that of DOCKER_HOST, of the context, or of the usual places."""
        return find_engine(self.environ)

    @property
    def supervisor_python(self) -> str:
        """The Python of the supervisor: this one."""
        return sys.executable

    def check(self, deployment: Deployment) -> None:
        """Refuse what containers cannot honour, and a machine without an engine."""
        super().check(deployment)
        check_run_args(self.config.run_args)
        for spec in deployment.steps:
            self._spec(spec, Path("/"), "")
        self.validator()

    def spark_conf(self, deployment: Deployment, stack: Stack) -> dict[str, str]:
        """Return the run's Spark configuration: that of local runs, each in its container."""
        return {**DEFAULT_CONF, "spark.app.name": deployment.name, **stack.conf}

    def bundle_platform(self, python: str) -> Platform | None:
        """Return what a bundle is made for: the image's Python, on the image's platform."""
        if self.config.dependencies != "bundle":
            return None
        return Platform(self._python_version(python), _bundle_tag(self.config.platform))

    def code(self, deployment: Deployment, root: ArtifactRoot) -> tuple[str, ...]:
        """Return no folders: the code is in the images."""
        del deployment, root
        return ()

    def prepare(self, deployment: Deployment, stack: Stack, run_id: str) -> Request:
        """Return what the containers will be started with; the images that they want are not made here."""
        root = local_path(stack.artifact_root)
        builds = self.get_docker_builds(deployment)
        content = {
            "engine": self.engine.url,
            "artifact_root": str(root),
            "working_directory": self.config.working_directory or WORK,
            "max_parallel_steps": self.config.max_parallel_steps,
            "timeout": deployment.timeout,
            "wheels": [wheel.file for wheel in (deployment.wheel, *deployment.also) if wheel],
            "images": {build.key: _shown(build) for build in builds},
            "containers": {spec.name: self._spec(spec, root, run_id) for spec in deployment.steps},
        }
        return Request(
            orchestrator=self.flavor,
            run_id=run_id,
            content=content,
            environment=dict(stack.environment),
            conf=self.spark_conf(deployment, stack),
        )

    def prepare_or_run_pipeline(
        self, deployment: Deployment, stack: Stack, environment: Mapping[str, str]
    ) -> Iterator[Mapping[str, Any]]:
        """Make the images that are not there and start the supervisor; yields where it can be found."""
        self.validator()
        remove_abandoned(self.engine)
        root = Root.open(stack.artifact_root)
        self.ship(root)
        with alone(data_dir(self.environ)):  # until the record says which images the run needs
            self._make_images(deployment, ArtifactRoot(local_path(stack.artifact_root)))
            yield {IMAGES: dict(self.images), "engine": self.engine.url}
        yield from super().prepare_or_run_pipeline(deployment, stack, environment)

    def resume(self, run: RunHandle, deployment: Deployment, stack: Stack) -> Iterator[Mapping[str, Any]]:
        """Start another supervisor on the run; its images are those that it began with."""
        self.images = dict(run.metadata.get(IMAGES, {}))
        yield from super().resume(run, deployment, stack)

    def launch(self, plain: Launch, deployment: Deployment, request: Request) -> Launch:
        """Return the launch with a container for each step."""
        containers = {
            spec.name: self._container(spec, deployment, request, plain.artifact_root) for spec in deployment.steps
        }
        return ContainerLaunch(
            **{name: getattr(plain, name) for name in Launch.__dataclass_fields__},
            engine=self.engine.to_dict(),
            containers=containers,
        )

    def tidy(self, run: RunHandle) -> None:
        """Remove what is left of a run whose processes are gone, its containers too."""
        with contextlib.suppress(WheelrunError):  # without an engine there is nothing to remove them by
            remove_containers(self.engine, run.id)
        super().tidy(run)

    def prune(self, kept: Callable[[], Sequence[Mapping[str, Any]]], *, dry_run: bool) -> Sequence[Item]:
        """Remove the images that no recorded run refers to."""
        folder = data_dir(self.environ)
        with alone(folder), self.engine.connect() as client:
            ids = {image for metadata in kept() for image in dict(metadata.get(IMAGES, {})).values()}
            return prune(client, keeper_of(folder), ids, dry_run=dry_run)

    def preflight(self, stack: Stack) -> Sequence[tuple[str, str | None, str | None]]:
        """Check the artifact root, the engine, and the images that runs start from."""
        checks = list(super().preflight(stack))
        try:
            with self.engine.connect() as client:
                version = client.version()["Version"]
                checks.append((f"Docker engine {version} at {self.engine.url}", None, None))
                images = self._images(client)
                for settings in (self.config.image_settings(), *map(self.config.image_settings, self.config.steps)):
                    if problem := images.base_problem(settings):
                        checks.append(("base image", *problem))
        except WheelrunError as error:
            checks.append(("Docker engine", error.message, error.hint))
        return checks

    def _check_engine(self) -> None:
        with self.engine.connect() as client:
            self._rootless = any("rootless" in option for option in client.info().get("SecurityOptions") or ())
        refuse_user(self._user, default=default_user(rootless=self._rootless))

    @property
    def _user(self) -> str:
        return self.config.user or default_user(rootless=self._rootless)

    def _python_version(self, here: str) -> str:
        return ".".join((self.config.python_version or here).split(".")[:2])

    def _images(self, client: docker.DockerClient) -> Images:
        return Images(client, self.source_root or Path.cwd(), network=self.config.network)

    def _make_images(self, deployment: Deployment, root: ArtifactRoot) -> None:
        """Make the images for the active run; those that a run taken up began with stay, where they are still there."""
        builds = self.get_docker_builds(deployment)
        with self.engine.connect() as client:
            images = self._images(client)
            if all(build.key in self.images and images.has(self.images[build.key]) for build in builds):
                return
            if self.images:
                self.warnings.append("an image that the run began with is gone; it is made again from the same wheels")
            code = self._code(deployment, root)
            self.images = {build.key: images.make(build.settings, code) for build in builds}

    def _code(self, deployment: Deployment, root: ArtifactRoot) -> Code:
        wheels = [wheel for wheel in (deployment.wheel, *deployment.also) if wheel]
        own = own_wheel(WheelCache(cache_dir(self.environ)))
        bundle = deployment.bundle
        return Code(
            keeper=keeper_of(data_dir(self.environ)),
            project=self.strict_name(wheels[0].name),
            wheels=(*(root.path / self.shipped_name(wheel) for wheel in wheels), own.path),
            digests=(*(wheel.digest for wheel in wheels), own.digest),
            dependencies=root.path / bundle_name(bundle) if bundle else None,
            dependencies_digest=bundle.digest if bundle else "",
            python=self.config.python,
            python_version=self._python_version(platform.python_version()),
            user=self._user,
        )

    def _spec(self, step: StepSpec, root: Path, run_id: str) -> dict[str, Any]:
        lock = lock_path(ArtifactRoot(root).run(run_id).path)
        labels = labels_of(run_id, step.name, lock)
        return container_spec(self.config, step, root=root, user=self._user, labels=labels)

    def _container(self, step: StepSpec, deployment: Deployment, request: Request, root: str) -> dict[str, Any]:
        """Return all that a step's container is started with, secrets included."""
        wheels = [wheel for wheel in (deployment.wheel, *deployment.also) if wheel]
        arguments = ContainerEntrypointConfiguration.get_entrypoint_arguments(
            deployment_id=deployment.digest, run_id=request.run_id, artifact_root=root, step_name=step.name
        )
        program, *rest = python_command(
            "wheelrun.runtime.entrypoint", *arguments, python=self.config.python, folder=f"{CODE}/{len(wheels)}"
        )
        own = {
            RUN_ID_VARIABLE: request.run_id,
            CODE_VARIABLE: ":".join(folders_of_code(len(wheels) + 1, dependencies=deployment.bundle is not None)),
            SECRET_CONF_VARIABLE: json.dumps(driver_conf(request.conf, step)),
        }
        return {
            **request.content["containers"][step.name],
            "image": self.get_image(deployment, step.name),
            "entrypoint": [program],
            "command": rest,
            "environment": {**request.environment, **own},
        }


def _shown(build: DockerBuild) -> dict[str, Any]:
    """Return what a request says of an image that is not made yet."""
    settings = build.settings
    base = settings.dockerfile or settings.image or default_image()
    return {"base": str(base), "packages": list(packages_of(settings)), "pull": settings.pull}


def _bundle_tag(wanted: str | None) -> str:
    """Return the platform of a bundle for an image's, in uv's words."""
    machine = (wanted or f"linux/{platform.machine()}").split("/")[1]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine) + "-manylinux_2_28"


DockerFlavor = flavor_of(LocalDockerOrchestrator, DockerConfig)
"""The registry entry of `LocalDockerOrchestrator`."""
