"""What a cluster's specification has to be, in the words of the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wheelrun.emulator.state import State


def resolved_spec(state: State, spec: Mapping[str, Any], *, job: bool = False) -> dict[str, Any]:
    """Return a cluster's specification as it is honoured.

    Raises:
        ApiError: it cannot be.
    """
    del state, job
    return dict(spec)
