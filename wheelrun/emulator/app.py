"""The emulator as a web application: who may call it, which service answers, and what an error looks like."""

from __future__ import annotations

import hmac
import importlib
from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.service import Emulator

SERVICES: Sequence[str] = (
    "scim",
    "jobs",
    "runs",
    "clock",
    "clusters",
    "libraries",
    "policies",
    "pools",
)
"""The modules of `wheelrun.emulator.api`, in the order in which their routes are tried."""

_OPEN = ("/oidc/", "/health")
"""What can be called without a token, and looks at credentials itself."""

Next = Callable[[Request], Awaitable[Response]]


def create_app(emulator: Emulator) -> Starlette:
    """Return the application.

    Args:
        emulator: What its services share.
    """
    services = [importlib.import_module(f"wheelrun.emulator.api.{name}") for name in SERVICES]

    token = emulator.state.token.encode()

    async def authenticated(request: Request, call_next: Next) -> Response:
        if not request.url.path.startswith(_OPEN):
            scheme, _, given = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), token):
                return answer(ApiError("UNAUTHENTICATED", "Credential was not sent or was of an unsupported type"))
        return await call_next(request)

    return Starlette(
        routes=[route for service in services for route in service.routes(emulator)],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=authenticated)],
        exception_handlers={ApiError: _refused, HTTPException: _not_found},
    )


def answer(error: ApiError) -> JSONResponse:
    """Return an error as the real service answers it."""
    return JSONResponse(error.table(), status_code=error.status)


async def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, ApiError)
    return answer(error)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"No API found for '{request.method} {request.url.path}'"
    return answer(ApiError("ENDPOINT_NOT_FOUND", message, status=error.status_code))
