"""The emulator's own calls: is it there, what was called, and what is to go wrong."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from wheelrun.emulator.faults import FaultSpec
from wheelrun.emulator.service import Emulator, given


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    faults = emulator.faults

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def add(request: Request) -> Response:
        return JSONResponse(faults.add(FaultSpec.of(await given(request))))

    async def ordered(_: Request) -> Response:
        return JSONResponse({"faults": faults.tables()})

    async def clear(_: Request) -> Response:
        faults.clear()
        return JSONResponse({})

    async def called(_: Request) -> Response:
        return JSONResponse({"requests": list(faults.requests)})

    async def forget(_: Request) -> Response:
        faults.requests.clear()
        return JSONResponse({})

    return [
        Route("/health", health, methods=["GET"]),
        Route("/emulator/faults", add, methods=["POST"]),
        Route("/emulator/faults", ordered, methods=["GET"]),
        Route("/emulator/faults", clear, methods=["DELETE"]),
        Route("/emulator/requests", called, methods=["GET"]),
        Route("/emulator/requests", forget, methods=["DELETE"]),
    ]
