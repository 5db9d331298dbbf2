"""Instance pools: where a cluster takes its nodes from. Nothing is kept idle here; a pool says which nodes they are."""

from __future__ import annotations

from typing import Any

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import State

KIND = "instance_pool"


def get(state: State, instance_pool_id: str) -> dict[str, Any]:
    """Return a pool.

    Raises:
        ApiError: there is none.
    """
    document = state.get(KIND, instance_pool_id)
    if document is None:
        raise ApiError("RESOURCE_DOES_NOT_EXIST", f"Can't find an instance pool with id: {instance_pool_id}.")
    return document
