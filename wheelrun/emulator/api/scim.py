"""Who the caller is."""

from __future__ import annotations

from databricks.sdk.service.iam import CurrentUserAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.service import Emulator, endpoint
from wheelrun.emulator.state import USER


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    del emulator
    return [endpoint("GET", "/api/2.0/preview/scim/v2/Me", CurrentUserAPI.me, lambda _: me())]


def me() -> dict[str, object]:
    """Return what the service says of the one user that there is."""
    return {
        "id": "1",
        "userName": USER,
        "displayName": "Emulator",
        "active": True,
        "emails": [{"type": "work", "value": USER, "primary": True}],
    }
