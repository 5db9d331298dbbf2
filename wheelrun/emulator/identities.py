"""Who may call: the holder of the token, of a token made from it, and the service principal with its OAuth tokens.

Of tokens that are made only digests are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import USER, State

OAUTH_LIFETIME = 3600
"""Seconds that an OAuth token is good for."""

_LONGEST_LIFETIME = 10 * 365 * 86400  # seconds
_TOKEN, _ACCESS, _PRINCIPAL = "token", "access-token", "service-principal"
_INVALID = "Invalid access token."


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls.

    Attributes:
        name: The user's name, or the service principal's application id.
        display_name: How it is shown.
        is_service_principal: Which of them it is.
    """

    name: str
    display_name: str
    is_service_principal: bool = False


HOLDER = Caller(name=USER, display_name="Emulator")
"""The user: the holder of the token."""

CALLER: ContextVar[Caller] = ContextVar("caller", default=HOLDER)
"""Who makes the call that is answered, in the handler's thread too."""


def identified(state: State, token: str) -> Caller:
    """Return whose token it is.

    Args:
        state: What the emulator remembers.
        token: The token.

    Raises:
        ApiError: it is nobody's, or has expired.
    """
    if hmac.compare_digest(token.encode(), state.token.encode()):
        return HOLDER
    digest = _digest(token)
    document = state.get(_TOKEN, digest)
    if document is not None:
        if 0 <= document["expiry_time"] <= time.time() * 1000:
            raise ApiError("PERMISSION_DENIED", f"{_INVALID} It has expired.")
        return HOLDER
    access = state.get(_ACCESS, digest)
    if access is not None:
        if access["expiry_time"] <= time.time() * 1000:
            raise ApiError("UNAUTHENTICATED", "The access token has expired.")
        return Caller(name=access["client_id"], display_name="Emulator job", is_service_principal=True)
    raise ApiError("PERMISSION_DENIED", _INVALID)


def service_principal(state: State) -> tuple[str, str]:
    """Return the client id and the client secret of the service principal."""
    with state.transaction():
        document = state.get(_PRINCIPAL, "1")
        if document is None:
            document = {"client_id": str(uuid.uuid4()), "client_secret": f"dose{secrets.token_hex(16)}"}
            state.put(_PRINCIPAL, "1", document)
    return document["client_id"], document["client_secret"]


def access_token(state: State, client_id: str, client_secret: str) -> str | None:
    """Return a new OAuth token of the service principal; None if these are not its credentials."""
    expected = service_principal(state)
    good = [
        hmac.compare_digest(a.encode(), b.encode()) for a, b in zip((client_id, client_secret), expected, strict=True)
    ]
    if not all(good):
        return None
    token = f"eyJ{secrets.token_urlsafe(48)}"
    now = int(time.time() * 1000)
    for old in state.all(_ACCESS):
        if old["expiry_time"] < now - OAUTH_LIFETIME * 1000:
            state.delete(_ACCESS, old["id"])
    digest = _digest(token)
    state.put(_ACCESS, digest, {"id": digest, "client_id": client_id, "expiry_time": now + OAUTH_LIFETIME * 1000})
    return token


def create_token(state: State, *, comment: str | None, lifetime: int | None) -> tuple[str, dict[str, Any]]:
    """Return a new token of the user, and what the service says of it.

    Args:
        state: What the emulator remembers.
        comment: What it is for.
        lifetime: Seconds that it is good for; None for ever.

    Raises:
        ApiError: the lifetime is none.
    """
    if lifetime is not None and not 0 < lifetime <= _LONGEST_LIFETIME:
        raise ApiError("INVALID_PARAMETER_VALUE", f"lifetime_seconds must be 1 to {_LONGEST_LIFETIME}")
    token = f"dapi{secrets.token_hex(16)}"
    now = int(time.time() * 1000)
    digest = _digest(token)
    document = {
        "token_id": digest,
        "comment": comment or "",
        "creation_time": now,
        "expiry_time": -1 if lifetime is None else now + lifetime * 1000,
    }
    state.put(_TOKEN, digest, document)
    return token, document


def tokens(state: State) -> list[dict[str, Any]]:
    """Return what the service says of the tokens that were made."""
    return state.all(_TOKEN)


def delete_token(state: State, token_id: str) -> None:
    """Make a token good for nothing.

    Raises:
        ApiError: there is none.
    """
    if not state.delete(_TOKEN, token_id):
        raise ApiError("RESOURCE_DOES_NOT_EXIST", f"Token {token_id!r} does not exist")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
