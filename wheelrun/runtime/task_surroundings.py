"""What a task of a job service finds around it, and what is set there for the run."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import shutil
import sys
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
    """

    folders: tuple[Path, ...]
    archives: tuple[Path, ...] = ()

    @classmethod
    def of(cls, deployment: Deployment, place: ArtifactRoot, folder: Path) -> Code:
        """Return the code of a deployment; what is not installed in its version is unpacked, and comes first.

        Args:
            deployment: The deployment.
            place: The artifact root.
            folder: Where it may be unpacked.
        """
        folders, archives = [], []
        for wheel in (deployment.wheel, *deployment.also):
            if wheel is None or wheel.name == OWN_DISTRIBUTION:
                continue
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                installed = importlib.metadata.distribution(wheel.name)
                if installed.version.lower() == wheel.version.lower():
                    folders.append(Path(str(installed.locate_file(""))))
                    continue
            archive = folder / f"{Path(wheel.file).stem}.zip"
            archive.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(place.wheel(wheel.name, wheel.digest, wheel.file), archive)
            unpacked = folder / archive.stem
            with zipfile.ZipFile(archive) as content:
                content.extractall(unpacked)
            sys.path.insert(0, str(unpacked))
            folders.append(unpacked)
            archives.append(archive)
        importlib.invalidate_caches()
        return cls(tuple(folders), tuple(archives))


def make_ready(conf: Mapping[str, str], code: Code) -> None:
    """Tell a session of a running cluster what it can still be told; a cluster that was made got it when it was."""
    settings = {name: value for name, value in conf.items() if name.startswith("spark.sql.")}
    if not (settings or (code.archives and "pyspark" in sys.modules)):  # code that has no session needs none
        return
    session = spark_session()
    for name, value in settings.items():
        if session.conf.isModifiable(name):
            session.conf.set(name, value)
    for archive in code.archives:
        if ".connect." in type(session).__module__:
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
