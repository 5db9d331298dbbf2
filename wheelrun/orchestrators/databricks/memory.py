"""What a workspace was asked once and does not change: who a token's holder is, which runtime a cluster has."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wheelrun.runtime.layout import write_atomically

_FRESH = 86_400.0


def remembered(folder: Path, key: str, ask: Callable[[], str], *, fresh: float = _FRESH) -> str:
    """Return an answer: the one that is remembered, else the one that is asked for now.

    Args:
        folder: Where answers lie.
        key: What tells it from others. Only a digest of it is kept.
        ask: Asks.
        fresh: Seconds for which an answer is good.
    """
    path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if abs(time.time() - table["asked"]) < fresh:
            return str(table["answer"])
    answer = ask()
    with contextlib.suppress(OSError):  # it is asked again the next time
        write_atomically(path, json.dumps({"answer": answer, "asked": time.time()}).encode())
    return answer
