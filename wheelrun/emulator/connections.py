"""The connections of the server, so that one can be cut."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol


class Connections:
    """The open connections, by the client's address."""

    def __init__(self) -> None:
        self._transports: dict[tuple[str, int], asyncio.Transport] = {}

    def protocol(self) -> type[H11Protocol]:
        """Return the protocol with which a server keeps this up to date."""
        transports = self._transports

        class Known(H11Protocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                transports[_address(transport.get_extra_info("peername"))] = transport
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                transports.pop(_address(self.transport.get_extra_info("peername")), None)
                super().connection_lost(exc)

        return Known

    def cut(self, scope: Scope) -> None:
        """Cut the connection on which a request came, without an answer. To be called in the server's loop."""
        transport = self._transports.get(_address(scope["client"]))
        if transport is not None:
            transport.abort()


def _address(client: Any) -> tuple[str, int]:
    return str(client[0]), int(client[1])
