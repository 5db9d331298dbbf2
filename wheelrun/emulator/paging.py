"""Lists in pages, newest first, with tokens for the next page and the one before."""

from __future__ import annotations

import base64
import binascii
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from wheelrun.emulator.errors import ApiError

Item = TypeVar("Item")
Item_co = TypeVar("Item_co", covariant=True)


class Source(Protocol[Item_co]):
    """Yields what there is between two numbers."""

    def __call__(self, *, above: int | None = None, below: int | None = None, newest_first: bool) -> Iterator[Item_co]:
        """Yield them, by their number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[Item]):
    """Some of a list.

    Attributes:
        items: What is on it.
        following: The token of the next page, None if there is none.
        preceding: The token of the page before.
    """

    items: Sequence[Item]
    following: str | None
    preceding: str | None

    def tokens(self) -> dict[str, str | bool]:
        """Return what an answer says of other pages."""
        told: dict[str, str | bool] = {"has_more": self.following is not None}
        if self.following is not None:
            told["next_page_token"] = self.following
        if self.preceding is not None:
            told["prev_page_token"] = self.preceding
        return told


def page(
    source: Source[Item],
    *,
    number: Callable[[Item], int],
    fits: Callable[[Item], bool],
    limit: int,
    token: str | None = None,
    offset: int = 0,
) -> Page[Item]:
    """Return a page of a list.

    Args:
        source: Yields the list's items.
        number: Returns what an item is listed by.
        fits: Whether an item is asked for.
        limit: How many there may be on the page.
        token: The token that another page had for it; None for the first.
        offset: How many to leave out, counted from the newest.

    Raises:
        ApiError: the token is none.
    """
    word, *numbers = ("next",) if token is None else opened(token)
    if word not in {"next", "prev"} or len(numbers) != (token is not None):
        raise _invalid(str(token))
    at = int(numbers[0]) if numbers else None
    forward = word == "next"
    found = source(below=at, newest_first=True) if forward else source(above=at, newest_first=False)
    some = list(itertools.islice(filter(fits, found), offset, offset + limit + 1))
    more, some = len(some) > limit, some[:limit]
    items = some if forward else some[::-1]
    return Page(
        items=items,
        following=sealed("next", number(items[-1])) if items and (more or not forward) else None,
        preceding=sealed("prev", number(items[0])) if items and (token is not None if forward else more) else None,
    )


def sealed(*words: str | int) -> str:
    """Return a token that says so much."""
    return base64.urlsafe_b64encode(" ".join(map(str, words)).encode()).decode()


def opened(token: str) -> list[str]:
    """Return what a token says.

    Raises:
        ApiError: it is none.
    """
    try:
        return base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode().split(" ")
    except (binascii.Error, UnicodeError) as error:
        raise _invalid(token) from error


def numbers(token: str, count: int) -> list[int]:
    """Return the numbers that a token says.

    Raises:
        ApiError: it is none, or says something else.
    """
    words = opened(token)
    if len(words) != count or not all(word.isdigit() for word in words):
        raise _invalid(token)
    return [int(word) for word in words]


def _invalid(token: str) -> ApiError:
    return ApiError("INVALID_PARAMETER_VALUE", f"Invalid page token: {token}")
