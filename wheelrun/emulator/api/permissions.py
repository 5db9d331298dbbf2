"""Permissions of jobs, of compute and of what is in the workspace. They are kept and told, and not enforced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from databricks.sdk.service.iam import PermissionsAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.service import Emulator, endpoint
from wheelrun.emulator.state import USER, State


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What can have permissions.

    Attributes:
        name: What the service calls one of its kind.
        levels: The permissions that there are.
        owner: The permission of who made it.
        documents: The kind of its documents in the state; None if it has none.
    """

    name: str
    levels: Sequence[str]
    owner: str = "CAN_MANAGE"
    documents: str | None = None


_FILE_LEVELS = ("CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")
_KINDS: Mapping[str, _Kind] = {
    "jobs": _Kind(
        name="job",
        levels=("CAN_VIEW", "CAN_MANAGE_RUN", "IS_OWNER", "CAN_MANAGE"),
        owner="IS_OWNER",
        documents="job",
    ),
    "clusters": _Kind(name="cluster", levels=("CAN_ATTACH_TO", "CAN_RESTART", "CAN_MANAGE"), documents="cluster"),
    "cluster-policies": _Kind(name="cluster-policy", levels=("CAN_USE",), owner="CAN_USE", documents="policy"),
    "instance-pools": _Kind(name="instance-pool", levels=("CAN_ATTACH_TO", "CAN_MANAGE"), documents="instance_pool"),
    "directories": _Kind(name="directory", levels=_FILE_LEVELS),
    "files": _Kind(name="file", levels=_FILE_LEVELS),
    "notebooks": _Kind(name="notebook", levels=_FILE_LEVELS),
}
_PRINCIPALS = ("user_name", "group_name", "service_principal_name")
_PATH = "/api/2.0/permissions/{request_object_type}/{request_object_id}"


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    state = emulator.state
    return [
        endpoint("GET", _PATH, PermissionsAPI.get, lambda fields: _told(state, fields)),
        endpoint("PUT", _PATH, PermissionsAPI.set, lambda fields: _changed(state, fields, {})),
        endpoint("PATCH", _PATH, PermissionsAPI.update, lambda fields: _changed(state, fields, _direct(state, fields))),
        endpoint("GET", f"{_PATH}/permissionLevels", PermissionsAPI.get_permission_levels, _levels),
    ]


def _told(state: State, fields: Mapping[str, Any]) -> dict[str, Any]:
    kind = _existing(state, fields)
    identity = f"/{fields['request_object_type']}/{fields['request_object_id']}"
    direct = _direct(state, fields)
    entries = [
        {principal: name, "all_permissions": [{"permission_level": level, "inherited": False}]}
        for (principal, name), level in direct.items()
    ]
    if "CAN_MANAGE" in kind.levels:
        inherited = {
            "permission_level": "CAN_MANAGE",
            "inherited": True,
            "inherited_from_object": [f"/{fields['request_object_type']}/"],
        }
        entries.append({"group_name": "admins", "all_permissions": [inherited]})
    return {"object_id": identity, "object_type": kind.name, "access_control_list": entries}


def _changed(state: State, fields: Mapping[str, Any], direct: dict[tuple[str, str], str]) -> dict[str, Any]:
    kind = _existing(state, fields)
    for entry in fields.get("access_control_list", []):
        given = [name for name in _PRINCIPALS if name in entry]
        level = entry.get("permission_level")
        if len(given) != 1:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Exactly one of {', '.join(_PRINCIPALS)} must be specified")
        if level not in kind.levels:
            raise ApiError(
                "INVALID_PARAMETER_VALUE",
                f"{level} is not a permission of a {kind.name}; there are {', '.join(kind.levels)}",
            )
        direct[given[0], entry[given[0]]] = level
    owners = [principal for principal, level in direct.items() if level == "IS_OWNER"]
    if kind.owner == "IS_OWNER" and len(owners) != 1:
        raise ApiError("INVALID_PARAMETER_VALUE", f"A {kind.name} must have exactly one owner")
    state.put(
        "permissions",
        _identity(fields),
        {"entries": [[principal, name, level] for (principal, name), level in direct.items()]},
    )
    return _told(state, fields)


def _levels(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"permission_levels": [{"permission_level": level} for level in _kind(fields).levels]}


def _direct(state: State, fields: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """Return the permissions that were given, by principal."""
    document = state.get("permissions", _identity(fields))
    if document is None:
        return {("user_name", USER): _kind(fields).owner}
    return {(principal, name): level for principal, name, level in document["entries"]}


def _existing(state: State, fields: Mapping[str, Any]) -> _Kind:
    kind = _kind(fields)
    identity = fields["request_object_id"]
    if kind.documents is not None and state.get(kind.documents, identity) is None:
        raise ApiError("RESOURCE_DOES_NOT_EXIST", f"{kind.name.capitalize()} {identity} does not exist.")
    return kind


def _kind(fields: Mapping[str, Any]) -> _Kind:
    name = fields["request_object_type"]
    if name not in _KINDS:
        raise ApiError("INVALID_PARAMETER_VALUE", f"The emulator knows no permissions of {name}")
    return _KINDS[name]


def _identity(fields: Mapping[str, Any]) -> str:
    return f"{fields['request_object_type']}/{fields['request_object_id']}"
