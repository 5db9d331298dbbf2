"""The emulator as a web application: which service answers, and what an error looks like."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from wheelrun.emulator.authentication import Authenticated
from wheelrun.emulator.errors import ApiError, answer
from wheelrun.emulator.faults import Faulty
from wheelrun.emulator.service import Emulator

SERVICES: Sequence[str] = (
    "emulator",
    "scim",
    "oidc",
    "tokens",
    "permissions",
    "workspace",
    "volumes",
    "files",
    "dbfs",
    "secrets",
    "jobs",
    "runs",
    "clock",
    "clusters",
    "libraries",
    "policies",
    "pools",
    "pages",
)
"""The modules of `wheelrun.emulator.api`, in the order in which their routes are tried."""


def create_app(emulator: Emulator) -> Starlette:
    """Return the application.

    Args:
        emulator: What its services share.
    """
    services = [importlib.import_module(f"wheelrun.emulator.api.{name}") for name in SERVICES]
    return Starlette(
        routes=[route for service in services for route in service.routes(emulator)],
        middleware=[
            Middleware(Faulty, faults=emulator.faults, connections=emulator.connections),
            Middleware(Authenticated, state=emulator.state),
        ],
        exception_handlers={ApiError: _refused, HTTPException: _not_found, Exception: _failed},
    )


async def _refused(request: Request, error: Exception) -> Response:
    del request
    assert isinstance(error, ApiError)
    return answer(error)


async def _failed(request: Request, error: Exception) -> Response:
    del request  # the server writes the trace into its log
    return answer(ApiError("INTERNAL_ERROR", f"The emulator failed: {type(error).__name__}: {error}"))


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"No API found for '{request.method} {request.url.path}'"
    return answer(ApiError("ENDPOINT_NOT_FOUND", message, status=error.status_code))
