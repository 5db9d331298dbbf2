"""A workspace through the official client, which only this module and `login` import. Its errors become wheelrun's own.

Whatever can be repeated is: what was refused for a while (429, 503, with the pause that the answer asks for), what
failed (5xx), and what was not answered. A call that must not be made twice says so, and its caller looks what became of
it (`LostAnswerError`).
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from wheelrun.config import EMULATOR_PROFILE, emulator_login
from wheelrun.errors import ClusterError, ConfigurationError, WheelrunError
from wheelrun.orchestrators.databricks.login import config_of

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

HOST_VARIABLE = "DATABRICKS_HOST"

_PATIENCE = 120.0
"""Seconds for which a call is tried again."""

_FIRST_PATIENCE = 10.0
"""The same for a workspace that has not answered once: its address may be wrong."""

_LONGEST_PAUSE = 10.0
_AGAIN = frozenset({429, 500, 502, 503, 504})
_GATEWAY = re.compile(r"\b50[24]\b|gateway", re.IGNORECASE)
_INSTALL = "pip install 'wheelrun[databricks]'"
_LOG_IN = 'set DATABRICKS_HOST and DATABRICKS_TOKEN, or name a profile of ~/.databrickscfg: profile = "…"'


class LostAnswerError(ClusterError):
    """A call was not answered, and may have had its effect."""


class RefusedError(ClusterError):
    """The workspace refused a call.

    Attributes:
        code: Its error code, such as "RESOURCE_DOES_NOT_EXIST".
        status: The HTTP status, 0 where it is not known.
    """

    def __init__(self, message: str, *, code: str, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.status = status

    @property
    def is_missing(self) -> bool:
        """Whether what was asked for is not there."""
        return self.status == 404

    @property
    def is_taken(self) -> bool:
        """Whether what was to be made is there already."""
        return self.status == 409 or self.code in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")


Answer = TypeVar("Answer")


@dataclass(slots=True)
class Api:
    """The calls to one workspace.

    Attributes:
        host: Its address.
        client: The official client.
        calls: How many calls were made, tries included.
    """

    host: str
    client: WorkspaceClient
    calls: int = 0
    sleep: Callable[[float], None] = time.sleep
    _answered: bool = field(default=False)

    @property
    def identity(self) -> str:
        """What tells whose credentials these are, "" where that is not known. It holds them: it must not be shown."""
        config = self.client.config
        who = config.client_id or config.token or config.azure_client_id
        return f"{self.host} {who}" if who else ""

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make a GET call and return its answer."""
        return self.call("GET", path, query=query)

    def post(self, path: str, body: Mapping[str, Any], *, once: bool = False) -> dict[str, Any]:
        """Make a POST call and return its answer.

        Args:
            path: The path.
            body: The request.
            once: It must not be made twice.

        Raises:
            LostAnswerError: it must not be made twice, and was not answered.
        """
        return self.call("POST", path, body=body, once=once)

    def pages(self, path: str, query: Mapping[str, Any], key: str) -> Iterator[Any]:
        """Yield what stands under a key in each page of an answer."""
        token = None
        while True:
            page = self.get(path, {**query, "page_token": token} if token else query)
            yield from page.get(key) or ()
            token = page.get("next_page_token")
            if not token:
                return

    def head(self, path: str) -> dict[str, Any]:
        """Return what a file's headers tell: "content-length", "last-modified"."""
        wanted = ["content-length", "last-modified"]
        return dict(
            self._persistently(
                lambda: self._do("HEAD", path, headers={}, response_headers=wanted), f"HEAD {path}", once=False
            )
        )

    def read(
        self, path: str, *, query: Mapping[str, Any] | None = None, start: int = 0, end: int | None = None
    ) -> bytes:
        """Return the content that a path gives, or a range of it where the service knows ranges."""
        headers = {"Accept": "application/octet-stream"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"

        def perform() -> bytes:
            with contextlib.closing(
                self._do("GET", path, query=query, headers=headers, raw=True)["contents"]
            ) as stream:
                return bytes(stream.read())

        return self._persistently(perform, f"GET {path}", once=False)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        data: bytes | None = None,
        once: bool = False,
    ) -> dict[str, Any]:
        """Make a call and return its answer's JSON.

        Args:
            method: The HTTP method.
            path: The path.
            query: The query's fields.
            body: A JSON body.
            data: A body as it is.
            once: It must not be made twice.

        Raises:
            ConfigurationError: there are no fit credentials, or they do not suffice.
            LostAnswerError: it must not be made twice, and was not answered.
            RefusedError: it was refused.
            ClusterError: the workspace does not answer.
        """
        import json

        content = data if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/octet-stream" if body is None else "application/json"

        def perform() -> dict[str, Any]:
            given = None if content is None else _Once(content)
            return dict(self._do(method, path, query=query, headers=dict(headers), data=given))

        return self._persistently(perform, f"{method} {path}", once=once)

    def _do(self, method: str, path: str, **options: Any) -> Any:
        self.calls += 1
        workspace = self.client.config.workspace_id
        if workspace:
            options["headers"]["X-Databricks-Workspace-Id"] = workspace
        return self.client.api_client.do(method, path, **options)

    def _persistently(self, perform: Callable[[], Answer], what: str, *, once: bool) -> Answer:
        limit = time.monotonic() + _PATIENCE
        failures = 0
        while True:
            try:
                answer = perform()
                break
            except Exception as error:
                trouble, pause = self._explained(error, what, once=once)
                if trouble is not None:
                    raise trouble from error
                failures += 1
                if not self._answered:
                    limit = min(limit, time.monotonic() + _FIRST_PATIENCE)
                if time.monotonic() > limit or (not self._answered and failures > 3):
                    raise self._silent(error) from error
                self.sleep(min(2.0 ** min(failures, 10) * 0.1, _LONGEST_PAUSE) * random.uniform(0.5, 1) + pause)  # noqa: S311
        self._answered = True
        return answer

    def _explained(self, error: Exception, what: str, *, once: bool) -> tuple[WheelrunError | None, float]:
        """Return what a failed call is to be told as, None if it can be tried again; and the pause that it asks for."""
        from databricks.sdk.errors.base import DatabricksError

        cause = error.__cause__ if isinstance(error, TimeoutError) and error.__cause__ is not None else error
        if isinstance(cause, DatabricksError):
            self._answered = True
            status = status_of(cause)
            if status not in _AGAIN and not (status == 0 and _GATEWAY.search(str(cause))):
                return refusal(cause, status, self.host), 0.0
            if once and status not in (429, 503):
                return LostAnswerError(f"{self.host} failed in {what}: {cause}"), 0.0
            # where the client itself tries again, it has waited already
            pause = float(getattr(cause, "retry_after_secs", None) or 0.0) if cause is error else 0.0
            return None, pause
        if isinstance(cause, OSError):  # all that requests raises is one
            return (LostAnswerError(f"{self.host} did not answer {what}: {reason(cause)}") if once else None), 0.0
        if isinstance(cause, ValueError):
            return unauthenticated(str(cause), self.host), 0.0
        return ClusterError(f"{what} failed: {type(cause).__name__}: {cause}"), 0.0

    def _silent(self, error: Exception) -> ClusterError:
        cause = error.__cause__ if isinstance(error, TimeoutError) and error.__cause__ is not None else error
        hint = (
            None
            if self._answered
            else f"is that the workspace's address? {HOST_VARIABLE}, or host or profile of the target"
        )
        return ClusterError(f"{self.host} does not answer: {reason(cause)}", hint=hint)


class _Once:
    """A body that the client sends once: what becomes of a call is decided here, not there."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._sent = 0

    def __len__(self) -> int:
        return len(self._content)

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[bytes]:
        yield self._content

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes."""
        end = len(self._content) if size is None or size < 0 else self._sent + size
        data = self._content[self._sent : end]
        self._sent += len(data)
        return data


def connect(host: str = "", profile: str = "") -> Api:
    """Return the calls to a workspace; the client's unified authentication finds the credentials, in this environment.

    What the environment names goes before what is given, so that one configuration serves several workspaces; but the
    emulator on this machine is never taken for another one.

    Args:
        host: The workspace's address, if it is known.
        profile: A profile of ~/.databrickscfg.

    Raises:
        ConfigurationError: the client is not installed, or there is no workspace, or there are no credentials for it.
    """
    named = workspace_named(profile)
    if named:
        host, profile = named, ""
    token = ""
    if profile == EMULATOR_PROFILE:
        host, token = emulator_login()
    return _connected(host, "" if token else profile, token, tuple(sorted(_credentials().items())))


def connect_to(host: str, profile: str = "") -> Api:
    """Return the calls to the workspace in which something lies.

    Raises:
        ConfigurationError: as `connect` does; or the environment names another workspace, whose credentials it holds.
    """
    named = workspace_named(profile)
    if host and named and address(named) != address(host):
        raise ConfigurationError(
            f"this lies in {host}, and {HOST_VARIABLE} names {address(named)}",
            hint=f"set {HOST_VARIABLE} and the credentials for {host}, or unset them",
        )
    return connect(host, profile)


def workspace_named(profile: str) -> str:
    """Return the workspace that the environment names, and that goes before a target's; empty if there is none."""
    return "" if profile == EMULATOR_PROFILE else os.environ.get(HOST_VARIABLE, "")


def address(host: str) -> str:
    """Return a workspace's address in its plain form."""
    host = host.strip().rstrip("/")
    return host if "://" in host or not host else f"https://{host}"


@functools.lru_cache(maxsize=8)
def _connected(host: str, profile: str, token: str, credentials: tuple[tuple[str, str], ...]) -> Api:
    del credentials  # others make another client
    logging.getLogger("databricks.sdk").addHandler(logging.NullHandler())
    try:
        from databricks.sdk import WorkspaceClient

        config = config_of(address(host), profile, token)
    except ImportError:
        raise ConfigurationError(
            "a Databricks target needs databricks-sdk, which is not installed", hint=_INSTALL
        ) from None
    except ValueError as error:
        raise unauthenticated(str(error), host, profile) from error
    if not config.host:
        raise unauthenticated("", "", profile)
    return Api(host=address(config.host), client=WorkspaceClient(config=config))


def _credentials() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(("DATABRICKS_", "ARM_", "GOOGLE_"))}


def status_of(error: Any) -> int:
    """Return the HTTP status of an error of the client's."""
    from databricks.sdk.errors import platform

    for status, kind in platform.STATUS_CODE_MAPPING.items():
        if isinstance(error, kind):
            return int(status)
    return 0


def reason(error: BaseException) -> str:
    """Return the innermost reason of an error, in few words."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error)[:300] or type(error).__name__


def unauthenticated(text: str, host: str, profile: str = "") -> ConfigurationError:
    """Return the error of a workspace that is not named, or has no credentials; `text` is the client's own."""
    said = _without_settings(text.splitlines()[0]) if text else "no credentials"
    if "has no" in said and "profile" in said:
        return ConfigurationError(
            said.removeprefix("resolve: "), hint="name another profile, or add it: databricks configure"
        )
    if not host:
        nameless = (
            f"profile {profile!r} names no Databricks workspace" if profile else "no Databricks workspace is named"
        )
        return ConfigurationError(nameless, hint=_LOG_IN)
    return ConfigurationError(f"there are no credentials for {host}: {said}", hint=_LOG_IN)


def _without_settings(text: str) -> str:
    """Return what the client says without its settings, which it appends."""
    return text.split(". Config: ", maxsplit=1)[0]


def refusal(error: Any, status: int, host: str) -> WheelrunError:
    """Return a refusal as wheelrun tells it."""
    said = _without_settings(str(error).strip()) or type(error).__name__
    code = str(getattr(error, "error_code", "") or "")
    if status == 401 or "invalid access token" in said.lower() or "invalid token" in said.lower():
        expired = "expired" in said.lower()
        return ConfigurationError(
            f"{host} does not accept the token{': it has expired' if expired else ''} ({said})",
            hint="make a new one and set DATABRICKS_TOKEN, or log in again: databricks auth login",
        )
    hint = "ask an administrator of the workspace for it" if status == 403 else None
    return RefusedError(
        said if status != 403 else f"{host} does not permit it: {said}", code=code, status=status, hint=hint
    )
