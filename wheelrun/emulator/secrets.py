"""The secrets: scopes with keys, and the references to them in what is submitted."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import USER, State

MAX_VALUE = 128 * 2**10
"""The most bytes of a value."""
MAX_SCOPES, MAX_KEYS = 1000, 1000

_NAME = re.compile(r"[\w.@-]{1,128}", re.ASCII)
_REFERENCE = re.compile(r"\{\{\s*secrets/([^/{}\s]+)/([^/{}\s]+)\s*\}\}")


def resolved(state: State, text: str) -> str:
    """Return a text with the values in place of its references `{{secrets/scope/key}}`.

    Args:
        state: What the emulator remembers.
        text: The text.

    Raises:
        ApiError: there is no such secret, or its value is no text.
    """

    def value(match: re.Match[str]) -> str:
        scope, key = match.groups()
        document = state.get("secret", f"{scope}/{key}")
        if document is None:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Secret does not exist with scope: {scope} and key: {key}")
        try:
            return base64.b64decode(document["value"]).decode()
        except UnicodeDecodeError:
            raise ApiError(
                "INVALID_PARAMETER_VALUE", f"Secret with scope: {scope} and key: {key} is not text"
            ) from None

    return _REFERENCE.sub(value, text)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The scopes and their secrets.

    Attributes:
        state: What the emulator remembers.
    """

    state: State

    def create_scope(self, scope: str, *, manager: str | None = None) -> None:
        """Make a scope.

        Raises:
            ApiError: it is there, or its name is none.
        """
        _check_name(scope)
        with self.state.transaction():
            if self.state.get("secret-scope", scope) is not None:
                raise ApiError("RESOURCE_ALREADY_EXISTS", f"Scope {scope} already exists!")
            if len(self.state.all("secret-scope")) >= MAX_SCOPES:
                raise ApiError("BAD_REQUEST", f"There are {MAX_SCOPES} scopes already")
            acls = {manager or USER: "MANAGE"}
            self.state.put("secret-scope", scope, {"name": scope, "acls": acls})

    def scopes(self) -> list[str]:
        """Return the names of the scopes."""
        return [str(document["name"]) for document in self.state.all("secret-scope")]

    def delete_scope(self, scope: str) -> None:
        """Remove a scope with its secrets."""
        with self.state.transaction():
            for document in self._of(scope):
                self.state.delete("secret", f"{scope}/{document['key']}")
            self.state.delete("secret-scope", scope)

    def put(self, scope: str, key: str, value: bytes) -> None:
        """Keep a value, in place of the one before.

        Raises:
            ApiError: there is no such scope, or the value is too long.
        """
        _check_name(key)
        if len(value) > MAX_VALUE:
            raise ApiError("INVALID_PARAMETER_VALUE", f"The value has {len(value)} bytes, more than {MAX_VALUE}")
        with self.state.transaction():
            there = self._of(scope)
            if len(there) >= MAX_KEYS and key not in {document["key"] for document in there}:
                raise ApiError("BAD_REQUEST", f"Scope {scope} has {MAX_KEYS} secrets already")
            document = {
                "scope": scope,
                "key": key,
                "value": base64.b64encode(value).decode(),
                "last_updated_timestamp": int(time.time() * 1000),
            }
            self.state.put("secret", f"{scope}/{key}", document)

    def get(self, scope: str, key: str) -> Mapping[str, Any]:
        """Return a secret: its key, and its value as base64.

        Raises:
            ApiError: there is none.
        """
        self._scope(scope)
        document = self.state.get("secret", f"{scope}/{key}")
        if document is None:
            raise ApiError("RESOURCE_DOES_NOT_EXIST", f"Secret does not exist with scope: {scope} and key: {key}")
        return {"key": key, "value": document["value"]}

    def delete(self, scope: str, key: str) -> None:
        """Remove a secret.

        Raises:
            ApiError: there is none.
        """
        self.get(scope, key)
        self.state.delete("secret", f"{scope}/{key}")

    def keys(self, scope: str) -> list[dict[str, Any]]:
        """Return what may be known of a scope's secrets without their values."""
        return [
            {"key": document["key"], "last_updated_timestamp": document["last_updated_timestamp"]}
            for document in self._of(scope)
        ]

    def acls(self, scope: str) -> dict[str, str]:
        """Return the permission of each principal."""
        return dict(self._scope(scope)["acls"])

    def set_acl(self, scope: str, principal: str, permission: str | None) -> None:
        """Give a principal a permission, or none.

        Raises:
            ApiError: there is no such scope, or the principal has none to lose.
        """
        with self.state.transaction():
            acls = self.acls(scope)
            if permission is not None:
                acls[principal] = permission
            elif acls.pop(principal, None) is None:
                raise ApiError("RESOURCE_DOES_NOT_EXIST", f"{principal} has no permission on scope {scope}")
            self.state.put("secret-scope", scope, {"name": scope, "acls": acls})

    def _scope(self, scope: str) -> dict[str, Any]:
        document = self.state.get("secret-scope", scope)
        if document is None:
            raise ApiError("RESOURCE_DOES_NOT_EXIST", f"Scope {scope} does not exist!")
        return document

    def _of(self, scope: str) -> list[dict[str, Any]]:
        self._scope(scope)
        return [document for document in self.state.all("secret") if document["scope"] == scope]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ApiError(
            "INVALID_PARAMETER_VALUE",
            "Names of scopes and keys are 1 to 128 letters, digits, dashes, underscores, @ and periods",
        )
