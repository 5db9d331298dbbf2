from __future__ import annotations

import pytest

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.paging import numbers, opened, page, sealed

ITEMS = range(1, 11)


def source(*, above=None, below=None, newest_first):
    some = [item for item in ITEMS if (above is None or item > above) and (below is None or item < below)]
    return iter(some[::-1] if newest_first else some)


def listed(limit, token=None, *, fits=lambda item: True, offset=0):
    return page(source, number=lambda item: item, fits=fits, limit=limit, token=token, offset=offset)


def test_page_by_page_forward_and_back():
    first = listed(4)
    second = listed(4, first.following)
    third = listed(4, second.following)
    assert [list(one.items) for one in (first, second, third)] == [[10, 9, 8, 7], [6, 5, 4, 3], [2, 1]]
    assert third.following is None
    assert first.preceding is None
    back = listed(4, third.preceding)
    assert list(back.items) == [6, 5, 4, 3]
    again = listed(4, back.preceding)
    assert list(again.items) == [10, 9, 8, 7]
    assert again.preceding is None
    assert list(listed(4, again.following).items) == [6, 5, 4, 3]


def test_a_page_that_is_just_full():
    assert listed(10).following is None
    assert listed(10).tokens() == {"has_more": False}


def test_only_what_is_asked_for():
    even = listed(3, fits=lambda item: item % 2 == 0)
    assert list(even.items) == [10, 8, 6]
    assert even.tokens()["has_more"] is True
    assert list(listed(3, even.following, fits=lambda item: item % 2 == 0).items) == [4, 2]


def test_an_offset():
    assert list(listed(2, offset=3).items) == [7, 6]


def test_nothing():
    assert listed(3, fits=lambda item: False).tokens() == {"has_more": False}


def test_a_token_says_what_it_was_told():
    assert opened(sealed("next", 5)) == ["next", "5"]
    assert numbers(sealed(1, 2), 2) == [1, 2]


@pytest.mark.parametrize("token", ["", "x", "é", sealed("other", 5), sealed("next"), sealed("next", 1, 2), sealed("a")])
def test_what_is_no_token(token):
    with pytest.raises(ApiError, match="Invalid page token"):
        listed(3, token)
    with pytest.raises(ApiError, match="Invalid page token"):
        numbers(token, 2)
