"""The workspace, asked by a task for what it knows."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from .task import current

_TIMEOUT = 30.0  # seconds


def ask(path: str, **fields: Any) -> dict[str, Any]:
    """Return the answer of a GET.

    Args:
        path: The path, "/api/2.0/secrets/get".
        **fields: The query.

    Raises:
        ValueError: it was refused; the message is the workspace's.
    """
    task = current()
    address = f"{task.host}{path}?{urllib.parse.urlencode(fields)}"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {task.token}"})  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine
    try:
        with opener.open(request, timeout=_TIMEOUT) as answer:
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            raise ValueError(json.load(error).get("message", str(error))) from None
