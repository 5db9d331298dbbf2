"""What a task of a job service finds around it, and what is set there for the run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wheelrun.errors import ConfigurationError
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


def apply_conf(conf: Mapping[str, str]) -> None:
    """Set what a session of a running cluster can still be told; the cluster got the rest when it was made."""
    if not any(name.startswith("spark.sql.") for name in conf):
        return
    session = spark_session()
    for name, value in conf.items():
        if name.startswith("spark.sql.") and session.conf.isModifiable(name):
            session.conf.set(name, value)


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
    from pyspark.dbutils import DBUtils

    return DBUtils(spark_session())
