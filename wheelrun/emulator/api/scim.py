"""Who the caller is."""

from __future__ import annotations

from typing import Any

from databricks.sdk.service.iam import CurrentUserAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.identities import CALLER
from wheelrun.emulator.service import Emulator, endpoint


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    del emulator
    return [endpoint("GET", "/api/2.0/preview/scim/v2/Me", CurrentUserAPI.me, lambda _: me())]


def me() -> dict[str, Any]:
    """Return what the service says of the caller."""
    caller = CALLER.get()
    about = {"userName": caller.name, "displayName": caller.display_name, "active": True}
    if caller.is_service_principal:
        return {"id": "2", **about, "groups": [{"display": "users", "value": "2"}]}
    return {
        "id": "1",
        **about,
        "emails": [{"type": "work", "value": caller.name, "primary": True}],
        "groups": [{"display": "admins", "value": "1"}, {"display": "users", "value": "2"}],
    }
