"""Files and directories of the volumes."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.listing import listed
from wheelrun.emulator.service import Emulator, flag, given
from wheelrun.emulator.storage import open_private, sweep
from wheelrun.emulator.transfer import receive, send
from wheelrun.emulator.uploads import Uploads, is_signed, signed, tag
from wheelrun.emulator.volumes import Volumes

_FILE, _DIRECTORY = "/api/2.0/fs/files/{path:path}", "/api/2.0/fs/directories/{path:path}"
_SIGNED_FILE, _SIGNED_PART = "/storage/files", "/storage/parts"
_LARGEST = 5 * 2**30
_MOST_ENTRIES = 1000
_MOST_URLS = 1000
# what a cloud's storage says, and clients look for
_EXPIRED = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


def routes(emulator: Emulator) -> list[BaseRoute]:
    """Return the routes."""
    sweep(emulator.state.partial)
    volumes = Volumes.of(emulator.state)
    files = _Files(emulator, volumes, Uploads(emulator.state, volumes.storage))
    return [
        Route(_FILE, files.get, methods=["GET", "HEAD"]),
        Route(_FILE, files.put, methods=["PUT"]),
        Route(_FILE, files.delete, methods=["DELETE"]),
        Route(_FILE, files.act, methods=["POST"]),
        Route(_DIRECTORY, files.directory, methods=["GET", "HEAD", "PUT", "DELETE"]),
        Route("/api/2.0/fs/create-upload-part-urls", files.part_urls, methods=["POST"]),
        Route("/api/2.0/fs/create-download-url", files.download_url, methods=["POST"]),
        Route(_SIGNED_FILE + "/{path:path}", files.get_signed, methods=["GET", "HEAD"]),
        Route(_SIGNED_PART + "/{token}/{number:int}", files.put_part, methods=["PUT"]),
    ]


@dataclass(frozen=True, slots=True)
class _Files:
    emulator: Emulator
    volumes: Volumes
    uploads: Uploads

    async def get(self, request: Request) -> Response:
        return await run_in_threadpool(self._sent, request)

    async def put(self, request: Request) -> Response:
        inside = self.volumes.inside(_path(request), itself=False)
        overwrite = flag(request.query_params.get("overwrite"), otherwise=True)
        writing = self.volumes.storage.writing(inside, overwrite=overwrite, parents=True)
        await receive(request, writing, limit=_LARGEST)
        return Response(status_code=204)

    async def delete(self, request: Request) -> Response:
        inside = self.volumes.inside(_path(request), itself=False)
        self.volumes.look(inside, directory=False)
        self.volumes.storage.remove(inside)
        return Response(status_code=204)

    async def act(self, request: Request) -> Response:
        """Begin, complete or abort an upload in parts."""
        inside = self.volumes.inside(_path(request), itself=False)
        fields = await given(request)
        action, token = fields.get("action"), str(fields.get("session_token", ""))
        if action == "initiate-upload":
            overwrite = flag(fields.get("overwrite"), otherwise=True)
            return JSONResponse(
                {"multipart_upload": {"session_token": self.uploads.begin(inside, overwrite=overwrite)}}
            )
        if action == "complete-upload":
            await run_in_threadpool(self.uploads.complete, token, inside, _parts(fields.get("parts")))
        elif action == "abort-upload":
            await run_in_threadpool(self.uploads.abort, token, inside)
        else:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Unknown action {action!r}")
        return JSONResponse({})

    async def directory(self, request: Request) -> Response:
        return await run_in_threadpool(self._directory, request)

    def _directory(self, request: Request) -> Response:
        inside = self.volumes.inside(_path(request), itself=request.method != "DELETE")
        if request.method == "PUT":
            self.volumes.storage.make_directory(inside)
            return Response(status_code=204)
        entry = self.volumes.look(inside, directory=True)
        if request.method == "DELETE":
            self.volumes.storage.remove(inside)
            return Response(status_code=204)
        if request.method == "HEAD":
            return Response(headers={"last-modified": email.utils.formatdate(entry.modified / 1000, usegmt=True)})
        return JSONResponse(self._listed(inside, request.query_params))

    def _listed(self, inside: str, query: Mapping[str, str]) -> dict[str, Any]:
        contents = [
            {
                "path": f"/Volumes{entry.path}",
                "name": entry.name,
                "is_directory": entry.is_directory,
                "last_modified": entry.modified,
                **({} if entry.is_directory else {"file_size": entry.size}),
            }
            for entry in self.volumes.storage.children(inside)
        ]
        size = query.get("page_size", str(_MOST_ENTRIES))
        if not size.isdecimal() or int(size) < 1:
            raise ApiError("INVALID_PARAMETER_VALUE", f"page_size: {size!r} is not a positive integer")
        return listed("contents", contents, "name", min(int(size), _MOST_ENTRIES), query.get("page_token"))

    async def part_urls(self, request: Request) -> Response:
        fields = await given(request)
        token = _text(fields, "session_token")
        self.uploads.check(token, self.volumes.inside(_text(fields, "path"), itself=False))
        first, count = _number(fields, "start_part_number"), _number(fields, "count")
        if not 1 <= count <= _MOST_URLS:
            raise ApiError("INVALID_PARAMETER_VALUE", f"count must be 1 to {_MOST_URLS}")
        urls = [
            {
                "part_number": number,
                "url": signed(
                    self.emulator.state, "PUT", f"{_SIGNED_PART}/{token}/{number}", _text(fields, "expire_time")
                ),
                "headers": [],
            }
            for number in range(first, first + count)
        ]
        return JSONResponse({"upload_part_urls": urls})

    async def download_url(self, request: Request) -> Response:
        fields = await given(request)
        path = _text(fields, "path")
        self.volumes.look(self.volumes.inside(path, itself=False), directory=False)
        url = signed(self.emulator.state, "GET", _SIGNED_FILE + path, _text(fields, "expire_time"))
        return JSONResponse({"url": url, "headers": []})

    async def get_signed(self, request: Request) -> Response:
        if not is_signed(self.emulator.state, "GET", request.scope["path"], request.query_params):
            return Response(_EXPIRED, status_code=403, media_type="application/xml")
        return await run_in_threadpool(self._sent, request)

    async def put_part(self, request: Request) -> Response:
        if not is_signed(self.emulator.state, "PUT", request.scope["path"], request.query_params):
            return Response(_EXPIRED, status_code=403, media_type="application/xml")
        part = self.uploads.part(request.path_params["token"], request.path_params["number"])
        arriving = part.with_name(f"{part.name}-{id(request)}")
        await receive(request, open_private(arriving))
        arriving.replace(part)
        return Response(headers={"etag": await run_in_threadpool(tag, part)})

    def _sent(self, request: Request) -> Response:
        inside = self.volumes.inside(_path(request), itself=False)
        self.volumes.look(inside, directory=False)
        return send(request, self.volumes.storage.locate(inside))


def _path(request: Request) -> str:
    return "/" + str(request.path_params["path"]).lstrip("/")


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ApiError("INVALID_PARAMETER_VALUE", f"Missing required field: {name}")
    return value


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ApiError("INVALID_PARAMETER_VALUE", f"{name} must be an integer")
    return value


def _parts(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(
        isinstance(item, dict) and isinstance(item.get("part_number"), int) for item in value
    ):
        raise ApiError("INVALID_PARAMETER_VALUE", "parts must be a list of objects with part_number and etag")
    return value
