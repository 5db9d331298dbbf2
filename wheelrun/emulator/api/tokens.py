"""Tokens of the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from databricks.sdk.service.settings import TokensAPI
from starlette.routing import BaseRoute

from wheelrun.emulator import identities
from wheelrun.emulator.service import Emulator, endpoint


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    state = emulator.state

    def create(fields: Mapping[str, Any]) -> dict[str, Any]:
        value, document = identities.create_token(
            state, comment=fields.get("comment"), lifetime=fields.get("lifetime_seconds")
        )
        return {"token_value": value, "token_info": document}

    def delete(fields: Mapping[str, Any]) -> dict[str, Any]:
        identities.delete_token(state, fields["token_id"])
        return {}

    return [
        endpoint("POST", "/api/2.0/token/create", TokensAPI.create, create),
        endpoint("GET", "/api/2.0/token/list", TokensAPI.list, lambda _: {"token_infos": identities.tokens(state)}),
        endpoint("POST", "/api/2.0/token/delete", TokensAPI.delete, delete),
    ]
