"""What a task of a job service finds around it, and what is set there for the run."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wheelrun.deployment import OWN_DISTRIBUTION, Deployment
from wheelrun.errors import ConfigurationError
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.masking import REFERENCE
from wheelrun.signatures import spark_session

CODE_VARIABLE = "WHEELRUN_CODE"
"""What names a run's code to the Python processes of executors."""


def set_environment(variables: Mapping[str, str]) -> None:
    """Set the run's variables; a reference to a secret is looked up, unless the cluster has set the variable already.

    Raises:
        ConfigurationError: a secret cannot be read.
    """
    for name, value in variables.items():
        found = REFERENCE.fullmatch(value)
        if found is None:
            os.environ[name] = value
        elif os.environ.get(name, value) == value:
            os.environ[name] = _secret(found[1], found[2])


@dataclass(frozen=True, slots=True)
class Code:
    """The project's code as this process imports it.

    A cluster that is there already has one version of a project installed, and it may be that of another run by now.

    Attributes:
        folders: Where it is imported from.
        archives: What executors need, where it is not what is installed.
        version: What tells it from other code.
    """

    folders: tuple[Path, ...]
    archives: tuple[Path, ...] = ()
    version: str = ""

    @classmethod
    def of(cls, deployment: Deployment, place: ArtifactRoot, folder: Path) -> Code:
        """Return the code of a deployment; what is not installed in its version is unpacked, and comes first.

        Args:
            deployment: The deployment.
            place: The artifact root.
            folder: Where it may be unpacked.
        """
        folders, archives = [], []
        wheels = [each for each in (deployment.wheel, *deployment.also) if each and each.name != OWN_DISTRIBUTION]
        for wheel in wheels:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                installed = importlib.metadata.distribution(wheel.name)
                if installed.version.lower() == wheel.version.lower():
                    folders.append(Path(str(installed.locate_file(""))))
                    continue
            archive = _kept(place.wheel(wheel.name, wheel.digest, wheel.file), wheel.digest)
            unpacked = folder / archive.stem
            with zipfile.ZipFile(archive) as content:
                content.extractall(unpacked)
            sys.path.insert(0, str(unpacked))
            folders.append(unpacked)
            archives.append(archive)
        importlib.invalidate_caches()
        return cls(tuple(folders), tuple(archives), "-".join(each.digest for each in wheels))


def _kept(wheel: Path, digest: str) -> Path:
    """Return a copy of a wheel as Spark takes it, on the driver's disk.

    It stays when the task ends: all jobs on the cluster fail if a file is gone that its context was once given.
    """
    folder = Path(tempfile.gettempdir(), f"wheelrun-code-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        folder = Path(tempfile.mkdtemp(prefix="wheelrun-code-"))
    archive = folder / digest / f"{wheel.stem}.zip"
    if not archive.exists():
        archive.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=archive.parent, delete=False) as copy, wheel.open("rb") as source:
            shutil.copyfileobj(source, copy)
        Path(copy.name).replace(archive)
    return archive


def make_ready(conf: Mapping[str, str], code: Code) -> None:
    """Tell a session of a running cluster what it can still be told; a cluster that was made got it when it was.

    A cluster keeps the Python processes of its executors, with the modules that they have imported, for all who come
    with the same environment: that of this run names its code.
    """
    settings = {name: value for name, value in conf.items() if name.startswith("spark.sql.")}
    if not settings and "pyspark" not in sys.modules:  # code that has no session needs none
        return
    session = spark_session()
    connect = ".connect." in type(session).__module__
    if not connect:
        session.sparkContext.environment[CODE_VARIABLE] = code.version
    for name, value in settings.items():
        if session.conf.isModifiable(name):
            session.conf.set(name, value)
    for archive in code.archives:
        if connect:
            session.addArtifacts(str(archive), pyfile=True)
        else:
            session.sparkContext.addPyFile(str(archive))


def frames_of(root: Path) -> str:
    """Return an artifact root as Spark names it for every executor; empty where executors cannot write there."""
    text = root.as_posix()
    if text.startswith("/dbfs/"):
        return f"dbfs:{text.removeprefix('/dbfs')}"
    return text if text.startswith("/Volumes/") else ""


def _secret(scope: str, key: str) -> str:
    try:
        return str(_utilities().secrets.get(scope, key))
    except Exception as error:
        raise ConfigurationError(
            f"the secret {scope}/{key} cannot be read: {error}", hint="may the run's user read that scope?"
        ) from error


def _utilities() -> Any:
    """Return the service's utilities, without a Spark session where they need none."""
    with contextlib.suppress(ImportError):  # the runtime's own, where it has them so
        return importlib.import_module("databricks.sdk.runtime").dbutils
    from pyspark.dbutils import DBUtils

    return DBUtils(spark_session())
