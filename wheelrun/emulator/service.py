"""What every service of the emulator is given, and how it reads a request."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wheelrun.emulator.checking import QueryText, checked
from wheelrun.emulator.compute import Compute
from wheelrun.emulator.connections import Connections
from wheelrun.emulator.engine import Engine
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.faults import Faults
from wheelrun.emulator.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """What the services share.

    Attributes:
        state: What is remembered.
        compute: Where tasks run.
        engine: Runs jobs.
        faults: What goes wrong on purpose, and what was called.
        connections: The server's connections.
    """

    state: State
    compute: Compute
    engine: Engine
    faults: Faults = field(default_factory=Faults)
    connections: Connections = field(default_factory=Connections)


Handler = Callable[[dict[str, Any]], Mapping[str, Any]]
"""Takes a request's fields, checked, and returns the answer's."""


def endpoint(method: str, path: str, like: Callable[..., Any], handler: Handler) -> Route:
    """Return the route of a call whose fields are those of a method of the official client.

    The handler runs in a thread, since it may wait.

    Args:
        method: The HTTP method.
        path: The path, with the parts that are fields in braces: "/api/2.0/policies/{policy_id}".
        like: The client's method, such as `JobsAPI.submit`: its parameters are the fields that are known.
        handler: What does it.
    """

    async def answered(request: Request) -> Response:
        fields = {**await given(request), **request.path_params}
        return JSONResponse(await run_in_threadpool(lambda: handler(checked(like, fields))))

    return Route(path, answered, methods=[method])


async def given(request: Request) -> dict[str, Any]:
    """Return the fields of a request: its query's, and its body's; a file that was sent as such is base64, as in JSON.

    Raises:
        ApiError: the body is not a JSON object.
    """
    fields = query(request.query_params.multi_items())
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        async with request.form() as form:
            return fields | {name: await _part(value) for name, value in form.items()}
    body = await request.body()
    if not body.strip():
        return fields
    try:
        document = json.loads(body)
        if b"\\u" in body:
            json.dumps(document, ensure_ascii=False).encode()  # half of a character cannot be stored
    except (ValueError, RecursionError) as error:
        raise ApiError("MALFORMED_REQUEST", f"Could not parse request object: {error}") from error
    if not isinstance(document, dict):
        raise ApiError("MALFORMED_REQUEST", "Could not parse request object: expected an object")
    return fields | document


def query(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return the fields of a query: `a.b=1&a.b=2` is a field `a` with a field `b` that has several values."""
    fields: dict[str, Any] = {}
    for name, text in pairs:
        *above, last = name.split(".")
        table = fields
        for part in above:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ApiError("MALFORMED_REQUEST", f"Could not parse request object: {name} is given in two ways")
            table = inner
        former = table.get(last)
        table[last] = QueryText(text) if former is None else [*(former if isinstance(former, list) else [former]), text]
    return fields


async def _part(value: UploadFile | str) -> str:
    return value if isinstance(value, str) else base64.b64encode(await value.read()).decode()


def flag(value: str | None, *, otherwise: bool) -> bool:
    """Return a truth value of a query.

    Raises:
        ApiError: it is none.
    """
    if value is None:
        return otherwise
    if value.lower() not in {"true", "false"}:
        raise ApiError("INVALID_PARAMETER_VALUE", f"{value!r} is neither true nor false")
    return value.lower() == "true"
