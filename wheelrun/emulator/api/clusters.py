"""Clusters: made, started, changed and ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from databricks.sdk.service.compute import ClustersAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.compute import views
from wheelrun.emulator.compute.runtimes import node_types, spark_versions
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.service import Emulator, endpoint

_VERSIONS = ("2.1", "2.0")
_PAGE, _LARGEST_PAGE = 20, 100
_EVENTS, _MOST_EVENTS = 50, 500
_ZONES = {"zones": ["local-1"], "default_zone": "local-1"}
_SORTED_BY = {
    "CLUSTER_NAME": lambda item: item["spec"].get("cluster_name", ""),
    "DEFAULT": lambda item: (not item.get("pinned"), item["state"] == "TERMINATED", -item["start_time"]),
}


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    service = _Service(emulator)
    calls = (
        ("POST", "create", ClustersAPI.create, service.create),
        ("GET", "get", ClustersAPI.get, service.get),
        ("GET", "list", ClustersAPI.list, service.list),
        ("POST", "start", ClustersAPI.start, service.start),
        ("POST", "restart", ClustersAPI.restart, service.restart),
        ("POST", "delete", ClustersAPI.delete, service.delete),
        ("POST", "permanent-delete", ClustersAPI.permanent_delete, service.permanent_delete),
        ("POST", "edit", ClustersAPI.edit, service.edit),
        ("POST", "events", ClustersAPI.events, service.events),
        ("POST", "pin", ClustersAPI.pin, lambda fields: service.pin(fields, pinned=True)),
        ("POST", "unpin", ClustersAPI.unpin, lambda fields: service.pin(fields, pinned=False)),
        ("GET", "spark-versions", ClustersAPI.spark_versions, lambda _: {"versions": spark_versions()}),
        ("GET", "list-node-types", ClustersAPI.list_node_types, lambda _: {"node_types": node_types()}),
        ("GET", "list-zones", ClustersAPI.list_zones, lambda _: _ZONES),
    )
    return [
        endpoint(method, f"/api/{version}/clusters/{name}", like, handler)
        for version in _VERSIONS
        for method, name, like, handler in calls
    ]


class _Service:
    def __init__(self, emulator: Emulator) -> None:
        self.compute = emulator.compute
        self.clusters = emulator.compute.clusters

    def create(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        return {"cluster_id": self.compute.create(fields)}

    def get(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        return views.cluster(self.clusters.get(fields["cluster_id"]))

    def list(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        wanted = fields.get("filter_by", {})
        order = fields.get("sort_by", {})
        found = [item for item in self.clusters.all() if not item["serverless"] and _fits(item, wanted)]
        found.sort(key=_SORTED_BY[order.get("field", "DEFAULT")], reverse=order.get("direction") == "DESC")
        start = _offset(fields.get("page_token"))
        size = min(fields.get("page_size") or _PAGE, _LARGEST_PAGE)
        answer: dict[str, Any] = {"clusters": [views.cluster(item) for item in found[start : start + size]]}
        if start + size < len(found):
            answer["next_page_token"] = str(start + size)
        if start:
            answer["prev_page_token"] = str(max(start - size, 0))
        return answer

    def start(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        self.compute.start(fields["cluster_id"])
        return {}

    def restart(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        self.compute.restart(fields["cluster_id"])
        return {}

    def delete(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        self.compute.terminate(fields["cluster_id"])
        return {}

    def permanent_delete(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        self.compute.forget(fields["cluster_id"])
        return {}

    def edit(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        self.compute.edit(fields.pop("cluster_id"), fields)
        return {}

    def pin(self, fields: dict[str, Any], *, pinned: bool) -> Mapping[str, Any]:
        self.clusters.get(fields["cluster_id"])
        self.clusters.change(fields["cluster_id"], pinned=pinned)
        self.clusters.note(fields["cluster_id"], "PINNED" if pinned else "UNPINNED", {})
        return {}

    def events(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        self.clusters.get(fields["cluster_id"])
        least, most = fields.get("start_time", 0), fields.get("end_time", float("inf"))
        kinds: Sequence[str] = fields.get("event_types") or ()
        found = [
            event
            for event in self.clusters.events(fields["cluster_id"])
            if least <= event["timestamp"] <= most and (not kinds or event["type"] in kinds)
        ]
        if fields.get("order", "DESC") == "DESC":
            found.reverse()
        start = fields.get("offset") or _offset(fields.get("page_token"))
        size = min(fields.get("limit") or fields.get("page_size") or _EVENTS, _MOST_EVENTS)
        answer: dict[str, Any] = {"events": found[start : start + size], "total_count": len(found)}
        if start + size < len(found):
            following = {name: value for name, value in fields.items() if name not in ("page_token", "page_size")}
            answer["next_page"] = {**following, "offset": start + size, "limit": size}
            answer["next_page_token"] = str(start + size)
        return answer


def _fits(document: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    sources, states = wanted.get("cluster_sources"), wanted.get("cluster_states")
    return (
        (not sources or document["source"] in sources)
        and (not states or document["state"] in states)
        and ("is_pinned" not in wanted or bool(document.get("pinned")) == wanted["is_pinned"])
        and ("policy_id" not in wanted or document["spec"].get("policy_id") == wanted["policy_id"])
    )


def _offset(token: str | None) -> int:
    if not token:
        return 0
    if not token.isdecimal():
        raise ApiError("INVALID_PARAMETER_VALUE", "Invalid page token")
    return int(token)
