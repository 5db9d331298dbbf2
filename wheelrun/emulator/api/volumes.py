"""The volumes of the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from databricks.sdk.service.catalog import VolumesAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.listing import listed
from wheelrun.emulator.service import Emulator, endpoint
from wheelrun.emulator.volumes import Volumes

_PATH = "/api/2.1/unity-catalog/volumes"
_MOST = 10_000


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    volumes = Volumes.of(emulator.state)

    def create(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        if fields["volume_type"] != "MANAGED":
            raise ApiError("INVALID_PARAMETER_VALUE", "The emulator has no external volumes")
        return volumes.create(fields["catalog_name"], fields["schema_name"], fields["name"], fields.get("comment"))

    def found(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        place = (fields["catalog_name"], fields["schema_name"])
        those = [item for item in emulator.state.all("volume") if (item["catalog_name"], item["schema_name"]) == place]
        size = fields.get("max_results") or _MOST
        return listed(
            "volumes", sorted(those, key=lambda item: str(item["name"])), "name", size, fields.get("page_token")
        )

    def delete(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        volumes.delete(fields["name"])
        return {}

    return [
        endpoint("POST", _PATH, VolumesAPI.create, create),
        endpoint("GET", _PATH, VolumesAPI.list, found),
        endpoint("GET", f"{_PATH}/{{name}}", VolumesAPI.read, lambda fields: volumes.read(fields["name"])),
        endpoint("DELETE", f"{_PATH}/{{name}}", VolumesAPI.delete, delete),
    ]
