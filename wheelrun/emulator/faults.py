"""Faults on demand, and the note of what was called: a middleware, and what it is told."""

from __future__ import annotations

import asyncio
import fnmatch
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wheelrun.emulator.connections import Connections
from wheelrun.emulator.errors import STATUSES, ApiError, answer

DROP_BEFORE, DROP_AFTER = "drop-before", "drop-after"
OWN = ("/emulator/", "/health")
"""What has no faults, and is not noted."""

_NOTED = 100_000
_CODES = {
    **{status: code for code, status in STATUSES.items()},
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    409: "RESOURCE_CONFLICT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultSpec:
    """What is to go wrong.

    Attributes:
        path: The calls that it is about: their path as a shell pattern, "/api/2.?/jobs/*".
        method: Their HTTP method; None for all.
        status: What they are answered, before they have an effect: an HTTP status; or that the connection is cut
            before the effect ("drop-before") or after it ("drop-after"); None if they are only late.
        delay_ms: How late they are, in ms.
        retry_after: What `Retry-After` says, in seconds.
        count: How often it happens; None for ever.
        probability: Of how many calls, from 0 to 1.
        seed: What the dice begin with.
    """

    path: str
    method: str | None = None
    status: int | str | None = None
    delay_ms: int = 0
    retry_after: int | None = None
    count: int | None = None
    probability: float = 1.0
    seed: int | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> FaultSpec:
        """Return what a request's fields say.

        Raises:
            ApiError: they are none.
        """
        unknown = sorted(set(fields) - set(cls.__dataclass_fields__))
        if unknown:
            raise ApiError("INVALID_PARAMETER_VALUE", f"Unknown field {unknown[0]!r}")
        for name, good, meant in _RULES:
            value = fields.get(name)
            if (value is None and name == "path") or (value is not None and not good(value)):
                raise ApiError("INVALID_PARAMETER_VALUE", f"{name} must be {meant}")
        return cls(**{name: value for name, value in fields.items() if value is not None})


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_RULES: Sequence[tuple[str, Callable[[Any], bool], str]] = (
    (
        "path",
        lambda value: isinstance(value, str) and value.startswith(("/", "*")),
        "a pattern that begins with / or *",
    ),
    ("method", lambda value: isinstance(value, str), "an HTTP method"),
    (
        "status",
        lambda value: value in {DROP_BEFORE, DROP_AFTER} or (_whole(value) and 400 <= value < 600),
        f"400 to 599, {DROP_BEFORE!r} or {DROP_AFTER!r}",
    ),
    ("delay_ms", _whole, "a whole number of ms"),
    ("retry_after", _whole, "a whole number of seconds"),
    ("count", _whole, "a whole number"),
    ("probability", lambda value: isinstance(value, int | float) and 0 <= value <= 1, "0 to 1"),
    ("seed", lambda value: isinstance(value, int), "an integer"),
)


@dataclass(slots=True)
class _Fault:
    id: int
    spec: FaultSpec
    happened: int = 0
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.spec.seed)  # noqa: S311 - tests are to be repeatable

    def happens(self, method: str, path: str) -> bool:
        spec = self.spec
        if spec.count is not None and self.happened >= spec.count:
            return False
        if spec.method is not None and spec.method.upper() != method:
            return False
        if not fnmatch.fnmatchcase(path, spec.path) or self.dice.random() >= spec.probability:
            return False
        self.happened += 1
        return True

    def table(self) -> dict[str, Any]:
        return {"id": self.id, **asdict(self.spec), "happened": self.happened}


class Faults:
    """The faults that are ordered, and the calls that were made. For the server's loop only.

    Attributes:
        requests: The calls: method, path, status (null if the connection was cut), the id of the fault that they met
            (null if none), and when they came, in ms since 1970. The oldest go first when there are very many.
    """

    def __init__(self) -> None:
        self._faults: list[_Fault] = []
        self._last = 0
        self.requests: deque[dict[str, Any]] = deque(maxlen=_NOTED)

    def add(self, spec: FaultSpec) -> dict[str, Any]:
        """Order a fault, and return what there is to say of it."""
        self._last += 1
        self._faults.append(_Fault(self._last, spec))
        return self._faults[-1].table()

    def tables(self) -> list[dict[str, Any]]:
        """Return the faults, with how often each has happened."""
        return [fault.table() for fault in self._faults]

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    def next(self, method: str, path: str) -> tuple[int, FaultSpec] | None:
        """Return the fault that a call meets: the first that happens."""
        for fault in self._faults:
            if fault.happens(method, path):
                return fault.id, fault.spec
        return None


class Faulty:
    """Lets calls meet their faults, and notes them.

    Args:
        app: The application.
        faults: What is ordered.
        connections: The connections.
    """

    def __init__(self, app: ASGIApp, *, faults: Faults, connections: Connections) -> None:
        self._app = app
        self._faults = faults
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call."""
        if scope["type"] != "http" or scope["path"].startswith(OWN):
            await self._app(scope, receive, send)
            return
        met = self._faults.next(scope["method"], scope["path"])
        noted: dict[str, Any] = {
            "method": scope["method"],
            "path": scope["path"],
            "status": None,
            "fault": met[0] if met else None,
            "at": int(time.time() * 1000),
        }
        self._faults.requests.append(noted)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                noted["status"] = message["status"]
            await send(message)

        await self._answered(met[1] if met else _NONE, scope, receive, noting)

    async def _answered(self, spec: FaultSpec, scope: Scope, receive: Receive, send: Send) -> None:
        if spec.delay_ms:
            await asyncio.sleep(spec.delay_ms / 1000)
        if spec.status is None:
            await self._app(scope, receive, send)
        elif isinstance(spec.status, int):
            await _refusal(spec)(scope, receive, send)
        else:
            if spec.status == DROP_AFTER:
                await self._app(scope, receive, _nowhere)
            self._connections.cut(scope)
            # else the server takes the missing answer for an error of the application
            while (await receive())["type"] != "http.disconnect":
                pass


_NONE = FaultSpec(path="*")


def _refusal(spec: FaultSpec) -> ASGIApp:
    assert isinstance(spec.status, int)
    code = _CODES.get(spec.status, "INTERNAL_ERROR" if spec.status >= 500 else "BAD_REQUEST")
    response = answer(ApiError(code, f"A fault that was ordered: {spec.status}", status=spec.status))
    if spec.retry_after is not None:
        response.headers["retry-after"] = str(spec.retry_after)
    return response


async def _nowhere(message: Message) -> None:
    del message
