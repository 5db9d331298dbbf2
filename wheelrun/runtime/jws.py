"""Signed tokens for a Master whose REST gateway stands behind Spark's `JWSFilter`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path

from wheelrun.errors import ConfigurationError

LIFETIME = 300
"""Seconds that a token is good for."""


def new_key() -> str:
    """Return a key for HS256: 256 random bits in base64url, as `JWSFilter` wants its `secretKey`."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def bearer_token(key_file: Path, *, now: float | None = None) -> str:
    """Return what a request says behind `Authorization: Bearer`: a JWT, signed with HS256, that ends soon.

    Args:
        key_file: The file that holds the key, in base64url.
        now: Seconds since the epoch; by default the time.

    Raises:
        ConfigurationError: There is no such file, or no key in it.
    """
    try:
        text = key_file.read_text(encoding="ascii").strip()
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except OSError as error:
        raise ConfigurationError(f"the key {key_file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ConfigurationError(f"{key_file} holds no key in base64url") from error
    if len(key) < 32:
        raise ConfigurationError(f"the key in {key_file} is too short: HS256 needs 32 bytes")
    expires = int(time.time() if now is None else now) + LIFETIME
    signed = b".".join(_part(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, {"exp": expires}))
    return (signed + b"." + _part(hmac.new(key, signed, hashlib.sha256).digest())).decode()


def _part(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
