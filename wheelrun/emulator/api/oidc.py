"""OAuth for the service principal, and what the official client asks a host first."""

from __future__ import annotations

import base64
import binascii

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from wheelrun.emulator.identities import OAUTH_LIFETIME, access_token, service_principal
from wheelrun.emulator.service import Emulator
from wheelrun.emulator.state import WORKSPACE_ID


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    state = emulator.state
    service_principal(state)

    async def host(_: Request) -> Response:
        return JSONResponse({"oidc_endpoint": f"{state.host}/oidc", "workspace_id": WORKSPACE_ID})

    async def endpoints(_: Request) -> Response:
        return JSONResponse(
            {
                "issuer": f"{state.host}/oidc",
                "authorization_endpoint": f"{state.host}/oidc/v1/authorize",
                "token_endpoint": f"{state.host}/oidc/v1/token",
                "grant_types_supported": ["client_credentials"],
            }
        )

    async def token(request: Request) -> Response:
        async with request.form() as form:
            fields = {name: value for name, value in form.items() if isinstance(value, str)}
        if fields.get("grant_type") != "client_credentials":
            return _refused("unsupported_grant_type", "Only client_credentials is supported", 400)
        client = _basic(request.headers.get("authorization", ""))
        given = access_token(state, *(client or (fields.get("client_id", ""), fields.get("client_secret", ""))))
        if given is None:
            return _refused("invalid_client", "Client authentication failed", 401)
        return JSONResponse(
            {
                "access_token": given,
                "token_type": "Bearer",
                "expires_in": OAUTH_LIFETIME,
                "scope": fields.get("scope", "all-apis"),
            },
            headers={"cache-control": "no-store"},
        )

    return [
        Route("/.well-known/databricks-config", host, methods=["GET"]),
        Route("/oidc/.well-known/oauth-authorization-server", endpoints, methods=["GET"]),
        Route("/oidc/v1/token", token, methods=["POST"]),
    ]


def _basic(header: str) -> tuple[str, str] | None:
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, client_secret = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return client_id, client_secret


def _refused(error: str, description: str, status: int) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status_code=status)
