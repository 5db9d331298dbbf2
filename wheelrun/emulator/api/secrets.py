"""Secrets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from databricks.sdk.service.workspace import SecretsAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.secrets import Secrets
from wheelrun.emulator.service import Emulator, endpoint

_DATABRICKS = "DATABRICKS"


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    secrets = Secrets(emulator.state)
    calls: dict[str, tuple[str, Callable[..., Any], Callable[[Secrets, Mapping[str, Any]], Mapping[str, Any]]]] = {
        "scopes/create": ("POST", SecretsAPI.create_scope, _create_scope),
        "scopes/list": ("GET", SecretsAPI.list_scopes, _list_scopes),
        "scopes/delete": ("POST", SecretsAPI.delete_scope, _delete_scope),
        "put": ("POST", SecretsAPI.put_secret, _put),
        "get": ("GET", SecretsAPI.get_secret, _get),
        "list": ("GET", SecretsAPI.list_secrets, _list),
        "delete": ("POST", SecretsAPI.delete_secret, _delete),
        "acls/put": ("POST", SecretsAPI.put_acl, _put_acl),
        "acls/get": ("GET", SecretsAPI.get_acl, _get_acl),
        "acls/list": ("GET", SecretsAPI.list_acls, _list_acls),
        "acls/delete": ("POST", SecretsAPI.delete_acl, _delete_acl),
    }
    return [
        endpoint(method, f"/api/2.0/secrets/{name}", like, partial(do, secrets))
        for name, (method, like, do) in calls.items()
    ]


def _create_scope(secrets: Secrets, fields: Mapping[str, Any]) -> dict[str, Any]:
    if fields.get("scope_backend_type", _DATABRICKS) != _DATABRICKS or "backend_azure_keyvault" in fields:
        raise ApiError("INVALID_PARAMETER_VALUE", f"The emulator has scopes of the type {_DATABRICKS} only")
    secrets.create_scope(fields["scope"], manager=fields.get("initial_manage_principal"))
    return {}


def _list_scopes(secrets: Secrets, _: Mapping[str, Any]) -> dict[str, Any]:
    return {"scopes": [{"name": name, "backend_type": _DATABRICKS} for name in secrets.scopes()]}


def _delete_scope(secrets: Secrets, fields: Mapping[str, Any]) -> dict[str, Any]:
    secrets.delete_scope(fields["scope"])
    return {}


def _put(secrets: Secrets, fields: Mapping[str, Any]) -> dict[str, Any]:
    given = [fields[name] for name in ("string_value", "bytes_value") if name in fields]
    if len(given) != 1:
        raise ApiError("INVALID_PARAMETER_VALUE", "Exactly one of string_value and bytes_value must be specified")
    if "string_value" in fields:
        value = given[0].encode()
    else:
        try:
            value = base64.b64decode(given[0], validate=True)
        except binascii.Error:
            raise ApiError("MALFORMED_REQUEST", "bytes_value is not base64") from None
    secrets.put(fields["scope"], fields["key"], value)
    return {}


def _get(secrets: Secrets, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return secrets.get(fields["scope"], fields["key"])


def _list(secrets: Secrets, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"secrets": secrets.keys(fields["scope"])}


def _delete(secrets: Secrets, fields: Mapping[str, Any]) -> dict[str, Any]:
    secrets.delete(fields["scope"], fields["key"])
    return {}


def _put_acl(secrets: Secrets, fields: Mapping[str, Any]) -> dict[str, Any]:
    secrets.set_acl(fields["scope"], fields["principal"], fields["permission"])
    return {}


def _get_acl(secrets: Secrets, fields: Mapping[str, Any]) -> dict[str, Any]:
    principal = fields["principal"]
    permission = secrets.acls(fields["scope"]).get(principal)
    if permission is None:
        raise ApiError("RESOURCE_DOES_NOT_EXIST", f"{principal} has no permission on scope {fields['scope']}")
    return {"principal": principal, "permission": permission}


def _list_acls(secrets: Secrets, fields: Mapping[str, Any]) -> dict[str, Any]:
    acls = secrets.acls(fields["scope"])
    return {"items": [{"principal": principal, "permission": permission} for principal, permission in acls.items()]}


def _delete_acl(secrets: Secrets, fields: Mapping[str, Any]) -> dict[str, Any]:
    secrets.set_acl(fields["scope"], fields["principal"], None)
    return {}
