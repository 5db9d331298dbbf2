"""The Master's REST gateway: `/v1/submissions/create`, `status`, `kill` (org.apache.spark.deploy.rest).

Several masters may be named; the one that leads answers, and the others are passed over.
"""

from __future__ import annotations

import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

from wheelrun.errors import ClusterError

TIMEOUT = 10.0
"""Seconds that a gateway has to answer."""

_LONGEST_ANSWER = 1 << 20


class LostAnswerError(ClusterError):
    """A request was sent, and what became of it is not known."""


class RefusedError(ClusterError):
    """The gateway understood and refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverStatus:
    """What the Master knows of a driver: its native state, the worker it is on, and what went wrong."""

    state: str
    worker: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The REST gateways of the masters of one cluster.

    Attributes:
        addresses: Their base addresses, such as "http://host:6066".
        token: Returns a bearer token, or None for none. Asked for at each request, since a token may expire.
        context: How TLS is checked; None for the system's own way.
    """

    addresses: Sequence[str]
    token: Callable[[], str | None] = lambda: None
    context: ssl.SSLContext | None = None

    def create(self, body: Mapping[str, Any]) -> str:
        """Submit a driver and return its id.

        Raises:
            ClusterError: no master can be reached; nothing was submitted.
            RefusedError: the master refuses; nothing was submitted.
            LostAnswerError: it was sent, and no answer that can be understood came.
        """
        answer = self._ask("POST", "create", body)
        if answer.get("success") is True and answer.get("submissionId"):
            return str(answer["submissionId"])
        raise RefusedError(f"the master refused the driver: {_said(answer)}")

    def status(self, driver: str) -> DriverStatus | None:
        """Return what the Master knows of a driver, None if it knows none of that id.

        Raises:
            ClusterError: no master can be reached, or the answer is none.
        """
        answer = self._ask("GET", f"status/{driver}")
        if answer.get("success") is True:
            return DriverStatus(
                state=str(answer.get("driverState", "UNKNOWN")),
                worker=str(answer.get("workerId") or ""),
                message=_words(str(answer.get("message") or "")),
            )
        return None

    def kill(self, driver: str) -> bool:
        """Ask the Master to end a driver; return whether there was one to end.

        Raises:
            ClusterError: no master can be reached, or the answer is none.
        """
        return self._ask("POST", f"kill/{driver}").get("success") is True

    def ready(self) -> str:
        """Return the version of the cluster's Spark.

        Raises:
            ClusterError: no master is ready.
        """
        answer = self._ask("GET", "readyz")
        if answer.get("success") is not True:
            raise ClusterError(f"the master is not ready: {_said(answer)}")
        return str(answer.get("serverSparkVersion", ""))

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        problems = []
        for address in self.addresses:
            try:
                answer = self._ask_one(address, method, path, body)
            except (LostAnswerError, RefusedError):
                raise
            except ClusterError as error:
                problems.append(error.message)
                continue
            if _is_standby(answer):
                problems.append(f"{address}: {_said(answer)}")
                continue
            return answer
        raise ClusterError(
            "; ".join(problems) or "no master is named",
            hint="is the master up, with spark.master.rest.enabled=true, and is this its REST port (6066 by default)?",
        )

    def _ask_one(self, address: str, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        url = f"{address.rstrip('/')}/v1/submissions/{path}"
        headers = {"Content-Type": "application/json;charset=UTF-8"}
        if token := self.token():
            headers["Authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode() if body is not None else (b"" if method == "POST" else None)
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the scheme was checked
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=self.context) as response:  # noqa: S310
                content = response.read(_LONGEST_ANSWER)
        except urllib.error.HTTPError as error:
            content = error.read(_LONGEST_ANSWER)
            if error.code in (401, 403):
                raise RefusedError(
                    f"{address} refuses: {error.code} {error.reason}", hint="set rest_key_file to the master's key"
                ) from None
            if error.code >= 500 and not _answer(content):
                raise LostAnswerError(f"{address} answered {error.code} {error.reason}") from None
        except urllib.error.URLError as error:
            # the connection could not be made, so nothing was sent
            raise ClusterError(f"{address} cannot be reached: {_reason(error.reason)}") from None
        except (OSError, HTTPException) as error:
            raise LostAnswerError(f"{address} gave no answer: {_reason(error)}") from None
        answer = _answer(content)
        if not answer:
            raise LostAnswerError(f"{address} is no REST gateway of a Spark master: it answered {content[:80]!r}")
        return answer


@dataclass(frozen=True, slots=True)
class Address:
    """A master URL, taken apart: `spark://a:1,b:2`."""

    hosts: tuple[tuple[str, int], ...]

    @classmethod
    def parse(cls, master: str) -> Address | None:
        """Return a master URL's parts, None if it is none of a standalone cluster."""
        if not master.startswith("spark://"):
            return None
        hosts = []
        for part in master.removeprefix("spark://").split(","):
            found = re.fullmatch(r"([^\s:/@]+|\[[0-9a-fA-F:]+\]):(\d+)", part)
            if not found:
                return None
            hosts.append((found[1], int(found[2])))
        return cls(tuple(hosts))

    def at(self, scheme: str, port: int) -> tuple[str, ...]:
        """Return the masters' addresses at another port."""
        return tuple(f"{scheme}://{host}:{port}" for host, _ in self.hosts)


def _answer(content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and "action" in answer else {}


def _is_standby(answer: Mapping[str, Any]) -> bool:
    return answer.get("success") is False and "state is not alive" in _said(answer).lower()


def _said(answer: Mapping[str, Any]) -> str:
    text = str(answer.get("message") or answer.get("driverState") or "no reason was given")
    return text.strip().splitlines()[0][:500]


def _reason(error: object) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _words(message: str) -> str:
    """Return what a worker's exception says, without the frames behind it and the words before it."""
    return message.partition("\n\t")[0].removeprefix("Exception from the cluster:").strip()
