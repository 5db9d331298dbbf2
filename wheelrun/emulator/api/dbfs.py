"""DBFS."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from databricks.sdk.service.files import DbfsAPI
from starlette.routing import BaseRoute

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.service import Emulator, endpoint
from wheelrun.emulator.state import State
from wheelrun.emulator.storage import Entry, Refusal, Storage, open_private

_BLOCK = 1 << 20
"""The most bytes that one call takes or gives."""

_REFUSALS = {
    "missing": Refusal("RESOURCE_DOES_NOT_EXIST", "No file or directory exists on path {path}."),
    "exists": Refusal("RESOURCE_ALREADY_EXISTS", "A file or directory already exists at the input path {path}."),
    "directory": Refusal("INVALID_PARAMETER_VALUE", "The path {path} is a directory."),
    "file": Refusal("RESOURCE_ALREADY_EXISTS", "A file exists on the way to {path}."),
    "full": Refusal("IO_ERROR", "Non-empty directory {path} cannot be removed without recursive."),
}


class _Dbfs:
    def __init__(self, state: State) -> None:
        self.state = state
        self.storage = Storage(root=state.dbfs, partial=state.partial, refusals=_REFUSALS)
        self.storage.make_directory("/tmp")  # noqa: S108 - a path of the service

    def handle(self, fields: Mapping[str, Any]) -> tuple[dict[str, Any], Path]:
        """Return a stream's document and the file that it is written to."""
        number = fields["handle"]
        document = self.state.get("dbfs-handle", number)
        if document is None:
            raise ApiError("RESOURCE_DOES_NOT_EXIST", f"No stream exists with handle {number}.")
        return document, self.partial(number)

    def partial(self, number: int) -> Path:
        return self.state.partial / f"dbfs-{number}"


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    dbfs = _Dbfs(emulator.state)
    calls: dict[str, tuple[str, Callable[..., Any], Callable[[_Dbfs, Mapping[str, Any]], dict[str, Any]]]] = {
        "put": ("POST", DbfsAPI.put, _put),
        "create": ("POST", DbfsAPI.create, _create),
        "add-block": ("POST", DbfsAPI.add_block, _add_block),
        "close": ("POST", DbfsAPI.close, _close),
        "read": ("GET", DbfsAPI.read, _read),
        "list": ("GET", DbfsAPI.list, _list),
        "get-status": ("GET", DbfsAPI.get_status, _status),
        "mkdirs": ("POST", DbfsAPI.mkdirs, _make_directory),
        "move": ("POST", DbfsAPI.move, _move),
        "delete": ("POST", DbfsAPI.delete, _delete),
    }
    return [
        endpoint(method, f"/api/2.0/dbfs/{name}", like, partial(do, dbfs)) for name, (method, like, do) in calls.items()
    ]


def _put(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    content = _decoded(fields.get("contents", ""))
    with dbfs.storage.writing(
        _normal(fields["path"]), overwrite=fields.get("overwrite", False), parents=True
    ) as stream:
        stream.write(content)
    return {}


def _create(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    path, overwrite = _normal(fields["path"]), fields.get("overwrite", False)
    there = dbfs.storage.find(path)
    if there is not None and (there.is_directory or not overwrite):
        raise dbfs.storage.refusal("exists", path)
    number = dbfs.state.next_id("dbfs-handle")
    open_private(dbfs.partial(number)).close()
    dbfs.state.put("dbfs-handle", number, {"path": path, "overwrite": overwrite})
    return {"handle": number}


def _add_block(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    _, file = dbfs.handle(fields)
    content = _decoded(fields["data"])
    with open_private(file, append=True) as stream:
        stream.write(content)
    return {}


def _close(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    document, file = dbfs.handle(fields)
    dbfs.storage.adopt(file, document["path"], overwrite=document["overwrite"], parents=True)
    dbfs.state.delete("dbfs-handle", fields["handle"])
    return {}


def _read(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    path, offset, length = _normal(fields["path"]), fields.get("offset", 0), fields.get("length", _BLOCK // 2)
    if offset < 0 or length < 0:
        raise ApiError("INVALID_PARAMETER_VALUE", "offset and length must not be negative")
    if length > _BLOCK:
        raise ApiError("MAX_READ_SIZE_EXCEEDED", f"length {length} is over {_BLOCK}")
    if dbfs.storage.look(path).is_directory:
        raise dbfs.storage.refusal("directory", path)
    with dbfs.storage.locate(path).open("rb") as stream:
        stream.seek(offset)
        content = stream.read(length)
    return {"bytes_read": len(content), "data": base64.b64encode(content).decode()}


def _list(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    entry = dbfs.storage.look(_normal(fields["path"]))
    found = dbfs.storage.children(entry.path) if entry.is_directory else [entry]
    return {"files": [_described(item) for item in found]} if found else {}


def _status(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    return _described(dbfs.storage.look(_normal(fields["path"])))


def _make_directory(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    dbfs.storage.make_directory(_normal(fields["path"]))
    return {}


def _move(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    dbfs.storage.move(_normal(fields["source_path"]), _normal(fields["destination_path"]))
    return {}


def _delete(dbfs: _Dbfs, fields: Mapping[str, Any]) -> dict[str, Any]:
    path, recursive = _normal(fields["path"]), fields.get("recursive", False)
    if path == "/":
        raise ApiError("INVALID_PARAMETER_VALUE", "The root cannot be removed.")
    # the service says nothing of one that is not there
    if dbfs.storage.find(path) is not None:
        dbfs.storage.remove(path, recursive=recursive)
    return {}


def _normal(path: str) -> str:
    return path.removeprefix("dbfs:").rstrip("/") or "/"


def _described(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "is_dir": entry.is_directory,
        "file_size": 0 if entry.is_directory else entry.size,
        "modification_time": entry.modified,
    }


def _decoded(text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ApiError("MALFORMED_REQUEST", f"The data is not base64: {error}") from error
    if len(content) > _BLOCK:
        raise ApiError("MAX_BLOCK_SIZE_EXCEEDED", f"{len(content)} bytes are more than {_BLOCK}")
    return content
