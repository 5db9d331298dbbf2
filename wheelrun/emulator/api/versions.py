"""The versions of the Jobs interface, which clients use side by side."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.routing import BaseRoute

from wheelrun.emulator.service import endpoint

VERSIONS = ("2.2", "2.1", "2.0")
PAGED = frozenset({"2.2"})
"""Those that answer with a page of a long list of tasks."""


def versioned(
    method: str,
    path: str,
    like: Callable[..., Any],
    handler: Callable[[str, dict[str, Any]], Mapping[str, Any]],
    *,
    versions: Sequence[str] = VERSIONS,
) -> list[BaseRoute]:
    """Return the routes of a call, one for each version.

    Args:
        method: The HTTP method.
        path: What comes after "/api/2.2/jobs/".
        like: The client's method.
        handler: Takes the version and the fields.
        versions: The versions that have it.
    """
    return [
        endpoint(method, f"/api/{version}/jobs/{path}", like, functools.partial(handler, version))
        for version in versions
    ]
