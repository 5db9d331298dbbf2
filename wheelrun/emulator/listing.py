"""Lists by name, in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wheelrun.emulator.paging import opened, sealed


def listed(
    name: str, items: Sequence[Mapping[str, Any]], by: str, size: int, token: str | None = None
) -> dict[str, Any]:
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
        last = " ".join(opened(token))
        items = [item for item in items if item[by] > last]
    answer: dict[str, Any] = {name: items[:size]} if items else {}
    if len(items) > size:
        answer["next_page_token"] = sealed(items[size - 1][by])
    return answer
