"""Libraries of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from databricks.sdk.service.compute import LibrariesAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.compute import views
from wheelrun.emulator.service import Emulator, endpoint

_PATH = "/api/2.0/libraries"


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    compute = emulator.compute

    def statuses(document: Mapping[str, Any]) -> dict[str, Any]:
        identity = document["cluster_id"]
        return {"cluster_id": identity, "library_statuses": views.libraries(document, compute.machine(identity))}

    def install(fields: dict[str, Any]) -> Mapping[str, Any]:
        compute.add_libraries(fields["cluster_id"], fields["libraries"])
        return {}

    def uninstall(fields: dict[str, Any]) -> Mapping[str, Any]:
        compute.remove_libraries(fields["cluster_id"], fields["libraries"])
        return {}

    def all_statuses(_: dict[str, Any]) -> Mapping[str, Any]:
        return {"statuses": [statuses(item) for item in compute.clusters.all() if not item["serverless"]]}

    return [
        endpoint("POST", f"{_PATH}/install", LibrariesAPI.install, install),
        endpoint("POST", f"{_PATH}/uninstall", LibrariesAPI.uninstall, uninstall),
        endpoint(
            "GET",
            f"{_PATH}/cluster-status",
            LibrariesAPI.cluster_status,
            lambda fields: statuses(compute.clusters.get(fields["cluster_id"])),
        ),
        endpoint("GET", f"{_PATH}/all-cluster-statuses", LibrariesAPI.all_cluster_statuses, all_statuses),
    ]
