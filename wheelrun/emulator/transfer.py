"""Files over HTTP: a request's body into a file, a file or a range of it as the answer."""

from __future__ import annotations

import email.utils
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from wheelrun.emulator.errors import ApiError

_BLOCK = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


async def receive(request: Request, writing: AbstractContextManager[BinaryIO], *, limit: int | None = None) -> None:
    """Write a request's body.

    Args:
        request: The request.
        writing: What opens the file, and keeps it if all came.
        limit: The most bytes that it may have.

    Raises:
        ApiError: it is longer.
    """
    size = 0
    with writing as stream:
        async for block in request.stream():
            size += len(block)
            if limit is not None and size > limit:
                raise ApiError(
                    "INVALID_PARAMETER_VALUE", f"File size imported is over the max size ({limit} bytes)", status=413
                )
            await run_in_threadpool(stream.write, block)


def send(request: Request, file: Path) -> Response:
    """Return the answer with a file's bytes, or with those that the request's `Range` names.

    A file that is replaced meanwhile is sent as it was.

    Raises:
        FileNotFoundError: there is none.
        ApiError: it has changed since the request says, or has no such range.
    """
    stream = os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    try:
        status = os.fstat(stream.fileno())
        _unchanged(request, status.st_mtime)
        wanted = _wanted(request.headers.get("range", ""), status.st_size)
        start, end = wanted or (0, status.st_size)
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(end - start),
            "last-modified": email.utils.formatdate(status.st_mtime, usegmt=True),
            "accept-ranges": "bytes",
        }
        if wanted is not None:
            headers["content-range"] = f"bytes {start}-{end - 1}/{status.st_size}"
        code = 200 if wanted is None else 206
        if request.method == "HEAD":
            stream.close()
            return Response(status_code=code, headers=headers)
        return StreamingResponse(_blocks(stream, start, end - start), status_code=code, headers=headers)
    except BaseException:
        stream.close()
        raise


def _unchanged(request: Request, modified: float) -> None:
    said = request.headers.get("if-unmodified-since")
    if said is None:
        return
    try:
        since = email.utils.parsedate_to_datetime(said).timestamp()
    except ValueError:
        return
    if int(modified) > since:
        raise ApiError("BAD_REQUEST", "The file has changed since the given time", status=412)


def _wanted(header: str, size: int) -> tuple[int, int] | None:
    """Return from where up to where is asked for; None for all."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= end:
        raise ApiError("BAD_REQUEST", f"The range {header} is none of {size} bytes", status=416)
    return start, end


def _blocks(stream: BinaryIO, start: int, length: int) -> Iterator[bytes]:
    with stream:
        stream.seek(start)
        while length > 0 and (block := stream.read(min(_BLOCK, length))):
            length -= len(block)
            yield block
