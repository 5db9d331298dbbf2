"""Lists that are answered page by page."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from wheelrun.emulator.errors import ApiError


def page(name: str, items: Sequence[Mapping[str, Any]], by: str, size: int, token: str | None = None) -> dict[str, Any]:
    """Return a page of a list, as the service answers it.

    Args:
        name: What the answer calls the list.
        items: The list, sorted by a text field that no two have in common.
        by: The field.
        size: The most items on the page.
        token: What the page before gave for this one.

    Raises:
        ApiError: the token is none.
    """
    if token:
        last = _text(token)
        items = [item for item in items if item[by] > last]
    answer: dict[str, Any] = {name: items[:size]} if items else {}
    if len(items) > size:
        answer["next_page_token"] = base64.urlsafe_b64encode(items[size - 1][by].encode()).decode()
    return answer


def _text(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise ApiError("INVALID_PARAMETER_VALUE", "Invalid page token") from error
