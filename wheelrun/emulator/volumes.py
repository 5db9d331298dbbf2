"""The volumes: which there are, and their files."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import Any

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import USER, State
from wheelrun.emulator.storage import Entry, Refusal, Storage

FIRST = ("main", "default", "wheelrun")
"""The volume that is there from the beginning."""

_FORBIDDEN = frozenset("./ \\\0")
_REFUSALS = {
    "missing": Refusal("NOT_FOUND", "No file or directory exists on path /Volumes{path}."),
    "exists": Refusal("ALREADY_EXISTS", "The file being created already exists: /Volumes{path}"),
    "directory": Refusal("INVALID_PARAMETER_VALUE", "The path /Volumes{path} is a directory."),
    "file": Refusal("INVALID_PARAMETER_VALUE", "The path /Volumes{path} is a file, not a directory."),
    "full": Refusal(
        "BAD_REQUEST", "The directory /Volumes{path} is not empty.", reason="FILES_API_DIRECTORY_IS_NOT_EMPTY"
    ),
}


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes. Catalogs and schemas are there as soon as a volume is in them.

    Attributes:
        state: What the emulator remembers.
        storage: Their files; its paths have no "/Volumes".
    """

    state: State
    storage: Storage

    @classmethod
    def of(cls, state: State) -> Volumes:
        """Return the volumes of a state, with the one that is there from the beginning."""
        volumes = cls(state, Storage(root=state.volumes, partial=state.partial, refusals=_REFUSALS))
        # one that was deleted stays so
        if state.get("catalog", FIRST[0]) is None:
            state.put("catalog", FIRST[0], {"name": FIRST[0]})
            volumes.create(*FIRST)
        return volumes

    def create(self, catalog: str, schema: str, name: str, comment: str | None = None) -> dict[str, Any]:
        """Make a volume, and return what the service says of it.

        Raises:
            ApiError: it is there, or the names are none.
        """
        for part in (catalog, schema, name):
            if not part or _FORBIDDEN & set(part) or not part.isprintable():
                raise ApiError("INVALID_PARAMETER_VALUE", f"{part!r} is not a valid name")
        full = f"{catalog}.{schema}.{name}"
        now = int(time.time() * 1000)
        document = {
            "catalog_name": catalog,
            "schema_name": schema,
            "name": name,
            "full_name": full,
            "volume_id": str(uuid.uuid4()),
            "volume_type": "MANAGED",
            "storage_location": f"file:/Volumes/{catalog}/{schema}/{name}",
            "owner": USER,
            "created_at": now,
            "created_by": USER,
            "updated_at": now,
            "updated_by": USER,
            **({"comment": comment} if comment else {}),
        }
        with self.state.transaction():
            if self.state.get("volume", full) is not None:
                raise ApiError("RESOURCE_ALREADY_EXISTS", f"Volume '{full}' already exists", status=409)
            self.storage.make_directory(f"/{catalog}/{schema}/{name}")
            self.state.put("volume", full, document)
        return document

    def read(self, full_name: str) -> dict[str, Any]:
        """Return what the service says of a volume.

        Raises:
            ApiError: there is none.
        """
        document = self.state.get("volume", full_name)
        if document is None:
            raise ApiError("NOT_FOUND", f"Volume '{full_name}' does not exist.")
        return document

    def delete(self, full_name: str) -> None:
        """Remove a volume and its files.

        Raises:
            ApiError: there is none.
        """
        self.read(full_name)
        self.storage.remove("/" + full_name.replace(".", "/"), recursive=True)
        self.state.delete("volume", full_name)

    def inside(self, path: str, *, itself: bool = True) -> str:
        """Return a path as `storage` knows it.

        Args:
            path: The service's: "/Volumes/main/default/wheelrun/a".
            itself: Whether it may be the volume itself.

        Raises:
            ApiError: it is in no volume.
        """
        parts = [part for part in path.split("/") if part]
        if len(parts) < 4 + (not itself) or parts[0] != "Volumes":
            raise ApiError(
                "INVALID_PARAMETER_VALUE",
                f"Invalid path '{path}': it must be below /Volumes/<catalog>/<schema>/<volume>",
            )
        inside = "/" + "/".join(parts[1:])
        self.storage.locate(inside)
        self.read(".".join(parts[1:4]))
        return inside

    def look(self, path: str, *, directory: bool) -> Entry:
        """Return the file, or the directory, at a path of `storage`.

        Raises:
            ApiError: there is none.
        """
        entry = self.storage.look(path)
        if entry.is_directory != directory:
            raise self.storage.refusal("missing", path)
        return entry
