"""A look at a target from inside: what its driver and each of its executors have. It is run there as a step.

Standard library only; pyspark where there is one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

_TASKS = 16
"""Tasks by which executors are found: each executor that is free takes some of them."""


def survey(distributions: list[str], executors: bool = True) -> dict[str, Any]:
    """Return what the driver has, and what each executor has.

    Args:
        distributions: Names of distributions whose versions are asked for.
        executors: Whether to start Spark and ask the executors too.

    Returns:
        `{"driver": facts, "executors": [facts, …]}`; facts are host, process, python, pyspark, and versions (name ->
        version, or None for one that is not there).
    """
    look = _looker(distributions)
    found: dict[str, dict[str, Any]] = {}
    if executors:
        from pyspark.sql import SparkSession
        from pyspark.sql.functions import udf

        session = SparkSession.builder.getOrCreate()
        ask = udf(look)
        rows = session.range(0, _TASKS, 1, _TASKS).select(ask("id").alias("facts")).collect()
        for row in rows:
            facts = json.loads(row["facts"])
            found.setdefault(facts["process"], facts)
    return {"driver": json.loads(look(0)), "executors": [found[name] for name in sorted(found)]}


def _looker(distributions: list[str]) -> Callable[[int], str]:
    """Return a function that travels by value, so that it runs where wheelrun is not."""

    def look(_: int) -> str:
        import importlib.metadata
        import os
        import platform
        import socket
        import time

        def version(name: str) -> str | None:
            try:
                return importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                return None

        time.sleep(0.05)  # so that one executor does not take every task before another has its first
        return json.dumps(
            {
                "host": socket.gethostname(),
                "process": f"{socket.gethostname()}:{os.getcwd()}",  # noqa: PTH109 - an executor has a folder of its own
                "python": platform.python_version(),
                "pyspark": version("pyspark") or _module_version(),
                "versions": {name: version(name) for name in distributions},
            }
        )

    def _module_version() -> str | None:
        try:
            import pyspark
        except ImportError:
            return None
        return str(pyspark.__version__)

    return look
