"""Which Python the service's runtimes have."""

from __future__ import annotations

import re
from collections.abc import Mapping

RUNTIMES: Mapping[int, str] = {
    11: "3.9.5", 12: "3.9.5", 13: "3.10.12", 14: "3.10.12", 15: "3.11.11", 16: "3.12.3", 17: "3.12.3", 18: "3.12.3",
}  # fmt: skip
"""A runtime's first number -> its Python."""

ENVIRONMENTS: Mapping[str, str] = {"1": "3.10.12", "2": "3.11.10", "3": "3.12.3", "4": "3.12.3", "5": "3.12.3"}
"""A version of the serverless environment -> its Python."""


def python_of_runtime(spark_version: str) -> str | None:
    """Return the Python of a runtime, such as "3.11.11" for "15.4.x-scala2.12"; None for one that is not known."""
    found = re.match(r"(\d+)\.", spark_version)
    return RUNTIMES.get(int(found[1])) if found else None
