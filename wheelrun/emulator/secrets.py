"""Secrets of the workspace, where a setting refers to them."""

from __future__ import annotations

import re

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import State

_REFERENCE = re.compile(r"\{\{\s*secrets/([^/}\s]+)/([^/}\s]+)\s*\}\}")


def resolved(state: State, text: str) -> str:
    """Return a text with the secrets that it refers to, as `{{secrets/scope/key}}`, in their places.

    Raises:
        ApiError: there is no such secret.
    """

    def value(found: re.Match[str]) -> str:
        scope, key = found.groups()
        document = state.get("secret", f"{scope}/{key}")
        if document is None:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Secret does not exist with scope: {scope} and key: {key}")
        return str(document["value"])

    return _REFERENCE.sub(value, text)
