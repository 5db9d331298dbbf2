"""Asking the parts of the cluster whether they are there. Each question is short and on loopback only."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from wheelrun.cluster.folder import CONNECT, MASTER, Folder, State

_TIMEOUT = 5.0  # seconds for one answer


def is_ready(part: str, state: State, folder: Folder) -> bool:
    """Whether a part does its work: the Master leads and takes submissions, a worker is registered, Connect listens."""
    try:
        if part == MASTER:
            return _summary(state).get("status") == "ALIVE" and _takes_submissions(state, folder)
        if part == CONNECT:
            return _accepts(state.ports["connect"])
        workers = _summary(state).get("workers", [])
        return any(each["webuiaddress"] == state.web(part) and each["state"] == "ALIVE" for each in workers)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False


def _summary(state: State) -> dict[str, Any]:
    """Return what the Master says of itself; raises while its pages are not there yet."""
    _, content = _get(state.ports["web"], "/json/")
    summary = json.loads(content)
    return summary if isinstance(summary, dict) else {}


def _takes_submissions(state: State, folder: Folder) -> bool:
    headers = {}
    if state.rest_key:
        from wheelrun.runtime.jws import bearer_token

        headers["Authorization"] = f"Bearer {bearer_token(folder.rest_key)}"
    # a Spark before 4.0 has no readyz, and says so with another status: it is there
    status, _ = _get(state.ports["rest"], "/v1/submissions/readyz", headers)
    return status == http.client.OK if state.rest_key else status < http.client.INTERNAL_SERVER_ERROR


def _accepts(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT):
        return True


def _get(port: int, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)  # asks no proxy
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
