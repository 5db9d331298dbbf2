"""The web pages of Master and Workers tell what the REST gateway does not: all drivers at once, and their logs."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from wheelrun.errors import ClusterError
from wheelrun.orchestrators.log_lines import CHUNK, Source

INTERVAL = 0.5
"""Seconds for which what a master said serves every run that is followed."""

_HEADER = re.compile(rb"==== Bytes (\d+)-(\d+) of (\d+) of [^\n]* ====\n")
_TIMEOUT = 5.0
_BROKEN = "\ufffd".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a Master's page said.

    Attributes:
        drivers: Driver id -> native state, of those that are active and those that ended not long ago.
        cores_free: Cores that no driver and no executor has.
        cores: All cores of the living workers.
        workers: Worker id -> its web address.
        on: Driver id -> id of its worker.
    """

    drivers: Mapping[str, str]
    cores_free: int
    cores: int
    workers: Mapping[str, str] = field(default_factory=dict)
    on: Mapping[str, str] = field(default_factory=dict)


class Views:
    """What the masters said last: asked once per master and interval, however many runs are followed."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, View | ClusterError]] = {}

    def get(self, address: str) -> View:
        """Return what a Master's page at an address says, or said a moment ago.

        Raises:
            ClusterError: it cannot be reached, or is no Master's page.
        """
        with self._lock:
            when, seen = self._seen.get(address, (0.0, None))
            if seen is None or self._clock() - when > INTERVAL:
                try:
                    seen = parse_view(fetch(f"{address.rstrip('/')}/json/"))
                except ClusterError as error:
                    seen = error
                self._seen[address] = (self._clock(), seen)
        if isinstance(seen, ClusterError):
            raise seen
        return seen


VIEWS = Views()
"""This process's."""


def parse_view(content: bytes) -> View:
    """Read a Master's `/json/`.

    Raises:
        ClusterError: it is none.
    """
    try:
        table = json.loads(content)
        drivers = [*table["activedrivers"], *table["completeddrivers"]]
        alive = [worker for worker in table["workers"] if worker["state"] == "ALIVE"]
        return View(
            drivers={driver["id"]: driver["state"] for driver in drivers},
            cores_free=sum(worker["coresfree"] for worker in alive),
            cores=sum(worker["cores"] for worker in alive),
            workers={worker["id"]: worker["webuiaddress"] for worker in table["workers"]},
            on={driver["id"]: driver["worker"] for driver in drivers if driver.get("worker")},
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"the master's page is not understood: {error!r}") from None


def driver_log(page: str, driver: str, stream: str) -> Source:
    """Return a source that reads a driver's log from its worker, by byte range.

    The worker sends text: bytes that are not UTF-8 come as U+FFFD, so ranges are cut between characters.

    Args:
        page: The worker's web address.
        driver: The driver's id.
        stream: "stdout" or "stderr".
    """

    def read(offset: int) -> bytes:
        length = CHUNK
        for _ in range(4):
            query = urllib.parse.urlencode(
                {"driverId": driver, "logType": stream, "offset": offset, "byteLength": length}
            )
            answer = fetch(f"{page.rstrip('/')}/log/?{query}")
            header = _HEADER.match(answer)
            if header is None:
                return b""
            start, end, text = int(header[1]), int(header[2]), answer[header.end() :]
            if start != offset or end <= start:
                return b""
            if not text.endswith(_BROKEN):
                break
            length = end - start - 1
        return _as_long_as(text, end - start)

    return read


def _as_long_as(text: bytes, length: int) -> bytes:
    """Make a text as long as the bytes that it stands for, so that the next range begins where this one ended."""
    if len(text) == length:
        return text
    shorter = text.replace(_BROKEN, b"?")
    return shorter[:length].ljust(length, b"?") if len(shorter) != length else shorter


def fetch(url: str) -> bytes:
    """Return what is at an address.

    Raises:
        ClusterError: nothing is, or it does not answer.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:  # noqa: S310 - the scheme was checked
            content: bytes = response.read()
            return content
    except (OSError, HTTPException, ValueError) as error:
        reason: Any = getattr(error, "reason", None) or error
        raise ClusterError(f"{url.partition('?')[0]} cannot be read: {reason}") from None
