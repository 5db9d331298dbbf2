"""What the images of a run are made of: Dockerfiles, contexts and the keys that images are found by. Nothing is built.

Three images stand on each other: the base, the environment (Java, Spark, the dependencies) and the code. Each is called
by a digest of all that went into it, so that one that is there need not be made.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.containerized import ImageSettings
from wheelrun.packaging.templates import read_template

HOME = "/opt/wheelrun"
"""Where wheelrun and the project lie in an image."""

DEPENDENCIES = f"{HOME}/dependencies"
CODE = f"{HOME}/code"
WORK = f"{HOME}/home"
"""The folder in which steps run, which any user may write, and the home of a user whom the base does not know."""

_REPOSITORY = "wheelrun"

# Java and Hadoop fail where the user has no name.
_PREPARE = """\
import os, pwd, sys
version, user, group, work = sys.argv[1:]
here = "%d.%d" % sys.version_info[:2]
if version not in ("", here):
    sys.exit(f"this image has Python {here}, and the dependencies are for {version}: set python_version = '{here}'")
os.makedirs(work, exist_ok=True)
os.chmod(work, 0o1777)
if user:
    try:
        pwd.getpwuid(int(user))
    except KeyError:
        with open("/etc/passwd", "a") as file:
            file.write(f"wheelrun:x:{user}:{group}::{work}:/bin/sh\\n")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What goes into a run's images.

    Attributes:
        keeper: Whose images they are: what is for the runs of one store is not shared with another's.
        project: The project's name, as one of an image.
        wheels: The wheels, in the order of the path, wheelrun's own last.
        digests: The digests of their content.
        dependencies: The bundle of dependencies, None for none.
        dependencies_digest: Its digest.
        python: The Python in the image.
        python_version: The version of Python that the bundle is for.
        user: "uid:gid" or a name: the user of the steps.
    """

    keeper: str
    project: str
    wheels: tuple[Path, ...]
    digests: tuple[str, ...]
    dependencies: Path | None
    dependencies_digest: str
    python: str
    python_version: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """An image to be made.

    Attributes:
        tag: Its name: a repository, and the digest of what went into it.
        dockerfile: The Dockerfile.
        content: Archives whose content goes into the context: a folder of the context -> a wheel or zip.
        labels: Its labels, beside wheelrun's own.
        build_args: Build arguments.
        platform: Its platform, None for the engine's.
    """

    tag: str
    dockerfile: str
    content: Mapping[str, Path] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    build_args: Mapping[str, str] = field(default_factory=dict)
    platform: str | None = None

    @contextmanager
    def context(self) -> Iterator[IO[bytes]]:
        """Give the build's context as a tar file for the length of a block; equal content gives equal bytes."""
        with TemporaryFile() as file:
            with tarfile.open(fileobj=file, mode="w") as archive:
                _add(archive, "Dockerfile", self.dockerfile.encode(), 0o644)
                for folder, path in self.content.items():
                    _add_folder(archive, folder)
                    _add_archive(archive, folder, path)
            file.seek(0)
            yield file


def environment_recipe(
    settings: ImageSettings, code: Code, *, base: str, base_id: str, packages: Sequence[str]
) -> Recipe:
    """Return the recipe of what all runs of a target have in common.

    Args:
        settings: The image's settings.
        code: What goes into the images; of the code, only the dependencies here.
        base: The base's name.
        base_id: The base's id, which changes with its content.
        packages: What pip installs.
    """
    uid, _, gid = code.user.partition(":")
    numbers = (uid, gid if gid.isdigit() else uid) if uid.isdigit() else ("", "")
    wanted = code.python_version if code.dependencies is not None else ""
    pip = [code.python, "-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check", *packages]
    dockerfile = _filled(
        "docker/environment.Dockerfile.in",
        BASE=base,
        ARGUMENTS="\n".join(f"ARG {_argument(name)}" for name in settings.build_args),
        PREPARE=json.dumps([code.python, "-c", _PREPARE, wanted, *numbers, WORK]),
        PACKAGES=f"RUN {json.dumps(pip)}" if packages else "",
        DEPENDENCIES=f"COPY dependencies {DEPENDENCIES}" if code.dependencies is not None else "",
    )
    facts = [code.keeper, dockerfile, base_id, code.dependencies_digest, dict(settings.build_args), settings.platform]
    return Recipe(
        tag=_tag("environment", facts),
        dockerfile=dockerfile,
        content={"dependencies": code.dependencies} if code.dependencies is not None else {},
        build_args=settings.build_args,
        platform=settings.platform,
    )


def code_recipe(settings: ImageSettings, code: Code, *, environment: str) -> Recipe:
    """Return the recipe of the image that a project's steps run from.

    Args:
        settings: The image's settings.
        code: What goes into it.
        environment: The name of the image below, which tells its content.
    """
    dockerfile = _filled("docker/code.Dockerfile.in", BASE=environment, CODE=CODE)
    facts = [dockerfile, list(code.digests), dict(settings.labels), settings.platform]
    return Recipe(
        tag=_tag(code.project, facts),
        dockerfile=dockerfile,
        content={f"code/{number}": path for number, path in enumerate(code.wheels)},
        labels=settings.labels,
        platform=settings.platform,
    )


def dockerfile_tag(settings: ImageSettings, keeper: str, root: Path, names: Iterable[str]) -> str:
    """Return the name of the image that a user's Dockerfile makes.

    Args:
        settings: The image's settings.
        keeper: Whose image it is.
        root: The folder of the Dockerfile, which is the context.
        names: The files of the context, below it.
    """
    assert settings.dockerfile is not None
    facts: list[object] = [keeper, settings.dockerfile.name, dict(settings.build_args), settings.platform]
    for name in sorted(names):
        path = root / name
        if path.is_symlink():
            facts.append([name, "link", str(path.readlink())])
        elif path.is_file():
            facts.append([name, path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest()])
    return _tag("base", facts)


def folders_of_code(wheels: int, *, dependencies: bool) -> list[str]:
    """Return the folders that stand first on the path in an image, in that order.

    Args:
        wheels: How many wheels went into the image.
        dependencies: Whether a bundle of dependencies did.
    """
    return [*(f"{CODE}/{number}" for number in range(wheels)), *([DEPENDENCIES] if dependencies else [])]


def _filled(template: str, **values: str) -> str:
    return re.sub("@([A-Z]+)@", lambda match: values[match[1]], read_template(template))


def _argument(name: str) -> str:
    if not name.isidentifier():
        raise ConfigurationError(f"{name!r} is not a name of a build argument", hint="letters, digits, underscores")
    return name


def _tag(name: str, facts: object) -> str:
    return f"{_REPOSITORY}/{name}:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]}"


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    archive.addfile(info, io.BytesIO(content))


def _add_folder(archive: tarfile.TarFile, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(info)


def _add_archive(archive: tarfile.TarFile, folder: str, path: Path) -> None:
    from wheelrun.packaging.archive import check_name

    with zipfile.ZipFile(path) as content:
        for info in content.infolist():
            if not info.is_dir():
                check_name(info.filename)
                mode = 0o755 if info.external_attr >> 16 & 0o100 else 0o644
                _add(archive, f"{folder}/{info.filename}", content.read(info), mode)
