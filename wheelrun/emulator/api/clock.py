"""The emulator's clock, which tests can move: no part of the real service."""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.service import Emulator, endpoint

PATH = "/emulator/clock"


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes: GET tells the time, POST sets the clock forward."""
    clock = emulator.engine.clock

    def move(fields: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"now": clock.move(fields["seconds"])}
        except ValueError as error:
            raise ApiError("INVALID_PARAMETER_VALUE", str(error)) from error

    return [
        endpoint("GET", PATH, _asked, lambda _: {"now": clock.now()}),
        endpoint("POST", PATH, _moved, move),
    ]


def _asked() -> None:
    """Say what can be sent to be told the time."""


def _moved(*, seconds: float) -> None:
    """Say what can be sent to set the clock forward: by how many seconds."""
    del seconds
