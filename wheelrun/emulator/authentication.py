"""Who is let in: a middleware."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from wheelrun.emulator.errors import ApiError, answer
from wheelrun.emulator.identities import CALLER, HOLDER, identified
from wheelrun.emulator.state import State

_OPEN = ("/oidc/", "/.well-known/", "/health", "/storage/", "/login")
"""What can be called without a token, and looks at credentials itself."""
_WITH_TOKEN = ("/api/", "/emulator/")
"""What has to be called with a token. All else are pages: a cookie, which is good for nothing more, opens them too."""


class Authenticated:
    """Lets those through who show a token, and says who calls; sends browsers to `/login`.

    Args:
        app: The application.
        state: Who may call.
    """

    def __init__(self, app: ASGIApp, *, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        if scope["type"] != "http" or scope["path"].startswith(_OPEN):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            try:
                CALLER.set(identified(self._state, token.strip()))
            except ApiError as error:
                await answer(error)(scope, receive, send)
                return
        elif scope["path"].startswith(_WITH_TOKEN):
            refusal = ApiError("UNAUTHENTICATED", "Credential was not sent or was of an unsupported type for this API.")
            await answer(refusal)(scope, receive, send)
            return
        elif not _knows(self._state, headers):
            await RedirectResponse(f"/login?next={quote(scope['path'])}", 303)(scope, receive, send)
            return
        else:
            CALLER.set(HOLDER)
        await self._app(scope, receive, send)


def cookie_name(state: State) -> str:
    """Return the cookie's name; browsers keep one jar for all ports of a host."""
    return f"wheelrun-emulator-{urlsplit(state.host).port}"


def cookie(state: State) -> str:
    """Return what the cookie of a browser says that has shown the token."""
    return hmac.new(state.token.encode(), b"pages", hashlib.sha256).hexdigest()


def _knows(state: State, headers: Headers) -> bool:
    given = cookie_parser(headers.get("cookie", "")).get(cookie_name(state), "")
    return hmac.compare_digest(given.encode(), cookie(state).encode())
