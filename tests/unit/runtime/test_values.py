"""Values as JSON trees and back."""

from __future__ import annotations

import dataclasses
import enum
import json
import threading
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelrun.runtime.values import NotPlainError, decode, display, encode


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Window:
    start: date
    sizes: tuple[int, ...] = ()


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(timezone.utc))
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.binary()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
)


@given(values)
def test_what_goes_in_comes_out_of_the_same_types(value):
    text = json.dumps(encode(value))
    again = decode(json.loads(text))
    assert again == value
    assert repr(again) == repr(value)


@pytest.mark.parametrize("value", [{"$tuple": [1]}, {"$output": 1}, {"$": {}}, {1: "a"}, {("a", 1): 2}, {"": 0}])
def test_a_mapping_that_looks_like_a_tag_is_not_one(value):
    assert decode(json.loads(json.dumps(encode(value)))) == value


def test_paths_enums_dataclasses():
    module = __name__
    value = [Path("/a b"), Decimal("1.50"), time(1, 2), timedelta(days=-1, microseconds=3)]
    assert decode(encode(value)) == value
    try:
        tree = encode([Color.RED, Window(date(2026, 1, 1), (1, 2))])
    except NotPlainError:
        pytest.fail("plain classes at module level are encoded")
    assert tree[0] == {"$enum": [f"{module}:Color", "RED"]}


def test_what_is_not_plain_is_named_with_its_place():
    with pytest.raises(NotPlainError, match=r"_thread\.lock at \['a'\]\[1\]"):
        encode({"a": [1, threading.Lock()]})


def test_a_subclass_is_not_taken_for_its_base():
    class Text(str):
        __slots__ = ()

    with pytest.raises(NotPlainError):
        encode(Text("x"))


def test_display_is_for_people():
    shown = display(
        {
            "d": date(2026, 1, 2),
            "t": datetime(2026, 1, 2, 3, tzinfo=timezone.utc),
            "c": Color.RED,
            "p": Path("x"),
            "w": Window(date(2026, 1, 1)),
        }
    )
    assert shown == {
        "d": "2026-01-02",
        "t": "2026-01-02T03:00:00+00:00",
        "c": "RED",
        "p": "x",
        "w": {"start": "2026-01-01", "sizes": []},
    }
    json.dumps(shown)
