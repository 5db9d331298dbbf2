"""Cluster policies."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from databricks.sdk.service.compute import ClusterPoliciesAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.compute import policies
from wheelrun.emulator.compute.clusters import now
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.service import Emulator, endpoint
from wheelrun.emulator.state import USER, State

_PATH = "/api/2.0/policies/clusters"
_FAMILIES = ("policy_family_id", "policy_family_definition_overrides")


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    service = _Service(emulator.state)
    return [
        endpoint("POST", f"{_PATH}/create", ClusterPoliciesAPI.create, service.create),
        endpoint("POST", f"{_PATH}/edit", ClusterPoliciesAPI.edit, service.edit),
        endpoint("POST", f"{_PATH}/delete", ClusterPoliciesAPI.delete, service.delete),
        endpoint("GET", f"{_PATH}/get", ClusterPoliciesAPI.get, service.get),
        endpoint("GET", f"{_PATH}/list", ClusterPoliciesAPI.list, service.list),
    ]


class _Service:
    def __init__(self, state: State) -> None:
        self.state = state

    def create(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        identity = secrets.token_hex(8).upper()
        common = {"policy_id": identity, "creator_user_name": USER, "created_at_timestamp": now(), "is_default": False}
        self._put(identity, fields, common)
        return {"policy_id": identity}

    def edit(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        identity = fields.pop("policy_id")
        former = policies.get(self.state, identity)
        kept = ("policy_id", "creator_user_name", "created_at_timestamp", "is_default")
        self._put(identity, fields, {name: former[name] for name in kept})
        return {}

    def delete(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        policies.get(self.state, fields["policy_id"])
        self.state.delete(policies.KIND, fields["policy_id"])
        return {}

    def get(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        return policies.get(self.state, fields["policy_id"])

    def list(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        by_name = fields.get("sort_column") == "POLICY_NAME"
        found = sorted(
            self.state.all(policies.KIND),
            key=lambda item: str(item["name"]) if by_name else item["created_at_timestamp"],
            reverse=fields.get("sort_order", "DESC") == "DESC",
        )
        return {"policies": found, "total_count": len(found)}

    def _put(self, identity: str, fields: dict[str, Any], common: dict[str, Any]) -> None:
        if given := [name for name in _FAMILIES if name in fields]:
            raise ApiError("FEATURE_DISABLED", f"{given[0]}: the emulator has no policy families")
        if not fields.get("name"):
            raise ApiError("INVALID_PARAMETER_VALUE", "Missing required field: name")
        policies.rules(fields.get("definition", ""))
        with self.state.transaction():
            others = [item for item in self.state.all(policies.KIND) if item["policy_id"] != identity]
            if fields["name"] in {item["name"] for item in others}:
                raise ApiError("INVALID_PARAMETER_VALUE", f"Policy name {fields['name']!r} already exists.")
            self.state.put(policies.KIND, identity, {**fields, **common})
