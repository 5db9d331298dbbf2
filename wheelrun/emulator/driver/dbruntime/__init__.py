"""What a cluster gives a task besides its libraries: `databricks.sdk.runtime` looks for it under this name.

Standard library only, since it runs in the cluster's Python.
"""

from __future__ import annotations

from typing import Any

_UNTIL_USED = ("spark", "sc")


class UserNamespaceInitializer:
    """Where `databricks.sdk.runtime` gets its names from."""

    @staticmethod
    def getOrCreate() -> UserNamespaceInitializer:  # noqa: N802 - the name that is looked for
        """Return one."""
        return UserNamespaceInitializer()

    def get_namespace_globals(self) -> dict[str, Any]:
        """Return the names: `dbutils`, and a session that starts when it is used."""
        from .dbutils import DBUtils

        return {"dbutils": DBUtils(), **{name: _Spark(name) for name in _UNTIL_USED}}


class _Spark:
    """The session, or its context, from its first use on."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        from pyspark.sql import SparkSession

        session = SparkSession.builder.getOrCreate()
        return getattr(session if self._name == "spark" else session.sparkContext, name)
