"""Instance pools."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from databricks.sdk.service.compute import InstancePoolsAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.compute import pools
from wheelrun.emulator.compute.runtimes import NODES
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.service import Emulator, endpoint
from wheelrun.emulator.state import State

_PATH = "/api/2.0/instance-pools"


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    service = _Service(emulator.state)
    return [
        endpoint("POST", f"{_PATH}/create", InstancePoolsAPI.create, service.create),
        endpoint("POST", f"{_PATH}/edit", InstancePoolsAPI.edit, service.edit),
        endpoint("POST", f"{_PATH}/delete", InstancePoolsAPI.delete, service.delete),
        endpoint("GET", f"{_PATH}/get", InstancePoolsAPI.get, service.get),
        endpoint("GET", f"{_PATH}/list", InstancePoolsAPI.list, service.list),
    ]


class _Service:
    def __init__(self, state: State) -> None:
        self.state = state

    def create(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        identity = f"pool-{secrets.token_hex(8)}"
        self._put(identity, fields)
        return {"instance_pool_id": identity}

    def edit(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        former = pools.get(self.state, fields["instance_pool_id"])
        if fields["node_type_id"] != former["node_type_id"]:
            raise ApiError("INVALID_PARAMETER_VALUE", "The node type of an instance pool cannot be changed.")
        self._put(fields["instance_pool_id"], fields)
        return {}

    def delete(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        pools.get(self.state, fields["instance_pool_id"])
        self.state.delete(pools.KIND, fields["instance_pool_id"])
        return {}

    def get(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        return pools.get(self.state, fields["instance_pool_id"])

    def list(self, _: dict[str, Any]) -> Mapping[str, Any]:
        return {"instance_pools": self.state.all(pools.KIND)}

    def _put(self, identity: str, fields: dict[str, Any]) -> None:
        if fields["node_type_id"] not in NODES:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Node type {fields['node_type_id']} is not supported.")
        with self.state.transaction():
            others = [item for item in self.state.all(pools.KIND) if item["instance_pool_id"] != identity]
            if fields["instance_pool_name"] in {item["instance_pool_name"] for item in others}:
                message = f"Instance pool name {fields['instance_pool_name']!r} already exists."
                raise ApiError("INVALID_PARAMETER_VALUE", message)
            none = dict.fromkeys(("used_count", "idle_count", "pending_used_count", "pending_idle_count"), 0)
            self.state.put(
                pools.KIND, identity, {**fields, "instance_pool_id": identity, "state": "ACTIVE", "stats": none}
            )
