"""The workspace and its files."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from functools import partial
from typing import Any

from databricks.sdk.service.workspace import WorkspaceAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from wheelrun.emulator.checking import checked
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.service import Emulator, endpoint, flag, given
from wheelrun.emulator.storage import open_private
from wheelrun.emulator.transfer import receive, send
from wheelrun.emulator.workspace import DIRECTORY, FILE, MAX_FILE, MAX_IMPORT, NOTEBOOK, Workspace, normal

_API = "/api/2.0/workspace"
_FILE = "/api/2.0/workspace-files/{path:path}"
_HEAD = 64  # bytes, more than the first line of a notebook


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    workspace = Workspace.of(emulator.state)
    calls = {
        "mkdirs": ("POST", WorkspaceAPI.mkdirs, _make_directory),
        "import": ("POST", WorkspaceAPI.import_, _import),
        "delete": ("POST", WorkspaceAPI.delete, _delete),
        "get-status": ("GET", WorkspaceAPI.get_status, _status),
        "list": ("GET", WorkspaceAPI.list, _list),
    }
    return [
        *(
            endpoint(method, f"{_API}/{name}", like, partial(do, workspace))
            for name, (method, like, do) in calls.items()
        ),
        Route(f"{_API}/export", partial(_exported, workspace), methods=["GET"]),
        Route(_FILE.replace("{", "import-file/{"), partial(_import_file, workspace), methods=["POST"]),
        Route(_FILE, partial(_read_file, workspace), methods=["GET"]),
    ]


def _make_directory(workspace: Workspace, fields: Mapping[str, Any]) -> dict[str, Any]:
    workspace.storage.make_directory(normal(fields["path"]))
    return {}


def _import(workspace: Workspace, fields: Mapping[str, Any]) -> dict[str, Any]:
    kind, language = fields.get("format", "SOURCE"), fields.get("language")
    path = fields["path"]
    try:
        content = base64.b64decode(fields.get("content", ""), validate=True)
    except binascii.Error as error:
        raise ApiError("MALFORMED_REQUEST", f"content is not base64: {error}") from error
    if len(content) > MAX_IMPORT:
        raise ApiError(
            "MAX_NOTEBOOK_SIZE_EXCEEDED",
            f"File size imported is ({len(content)} bytes), exceeded max size ({MAX_IMPORT} bytes)",
        )
    if kind == "SOURCE":
        if language is None:
            raise ApiError("INVALID_PARAMETER_VALUE", "The language is required for the format SOURCE")
    elif kind in {"RAW", "AUTO"}:
        path, language = workspace.placed(path, kind, content[:_HEAD])
    else:
        raise ApiError("INVALID_PARAMETER_VALUE", f"The emulator does not know the format {kind}")
    workspace.keep(path, content, language=language, overwrite=fields.get("overwrite", False))
    return {}


def _delete(workspace: Workspace, fields: Mapping[str, Any]) -> dict[str, Any]:
    workspace.remove(fields["path"], recursive=fields.get("recursive", False))
    return {}


def _status(workspace: Workspace, fields: Mapping[str, Any]) -> dict[str, Any]:
    return workspace.object(fields["path"])


def _list(workspace: Workspace, fields: Mapping[str, Any]) -> dict[str, Any]:
    since = fields.get("notebooks_modified_after", 0)
    found = [
        item
        for item in workspace.children(fields["path"])
        if item["object_type"] != NOTEBOOK or item["modified_at"] >= since
    ]
    return {"objects": found} if found else {}


async def _exported(workspace: Workspace, request: Request) -> Response:
    query = await given(request)
    direct = flag(query.pop("direct_download", None), otherwise=False)
    fields = checked(WorkspaceAPI.export, query)
    return await run_in_threadpool(_export, workspace, request, fields, direct)


def _export(workspace: Workspace, request: Request, fields: Mapping[str, Any], direct: bool) -> Response:
    path, kind = normal(fields["path"]), fields.get("format", "SOURCE")
    item = workspace.object(path)
    if item["object_type"] == DIRECTORY:
        raise workspace.storage.refusal("directory", path)
    if kind not in {"AUTO", "RAW", "SOURCE"}:
        raise ApiError("INVALID_PARAMETER_VALUE", f"The emulator does not know the format {kind}")
    place = workspace.storage.locate(path)
    if direct:
        return send(request, place)
    content = place.read_bytes()
    if len(content) > MAX_IMPORT:
        raise ApiError("MAX_NOTEBOOK_SIZE_EXCEEDED", f"{path} is larger than {MAX_IMPORT} bytes")
    return JSONResponse({"content": base64.b64encode(content).decode(), "file_type": path.rpartition(".")[2]})


async def _import_file(workspace: Workspace, request: Request) -> Response:
    path = normal("/" + request.path_params["path"].lstrip("/"))
    overwrite = flag(request.query_params.get("overwrite"), otherwise=False)
    try:
        # what cannot be is refused before it has all come
        workspace.check(path, FILE, overwrite=overwrite)
        with workspace.storage.arriving() as file:
            await receive(request, open_private(file), limit=MAX_FILE)
            with file.open("rb") as stream:
                path, language = workspace.placed(path, "AUTO", stream.read(_HEAD))
            workspace.adopt(file, path, language=language, overwrite=overwrite)
    except ApiError as error:
        if error.code == "RESOURCE_ALREADY_EXISTS":
            raise ApiError(error.code, error.message, status=409) from None
        raise
    return JSONResponse({})


async def _read_file(workspace: Workspace, request: Request) -> Response:
    return await run_in_threadpool(_read, workspace, request)


def _read(workspace: Workspace, request: Request) -> Response:
    path = normal("/" + request.path_params["path"].lstrip("/"))
    if workspace.object(path)["object_type"] == DIRECTORY:
        raise workspace.storage.refusal("directory", path)
    return send(request, workspace.storage.locate(path))
