"""Parameters, typed by annotation."""

from __future__ import annotations

import dataclasses
import enum
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from wheelrun.errors import UsageError
from wheelrun.runtime.parameters import bind, coerce, type_name


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


@dataclasses.dataclass
class Window:
    start: date
    days: int = 7


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("3", int, 3),
        (3, int, 3),
        ("-1", int, -1),
        ("0.5", float, 0.5),
        (1, float, 1.0),
        ("1e-3", float, 1e-3),
        ("yes", bool, True),
        ("False", bool, False),
        ("0", bool, False),
        (True, bool, True),
        ("a b", str, "a b"),
        ("", str, ""),
        ("2026-01-31", date, date(2026, 1, 31)),
        ("2026-01-31T10:00:00Z", datetime, datetime(2026, 1, 31, 10, tzinfo=timezone.utc)),
        ("2026-01-31T10:00:00+02:00", datetime, datetime(2026, 1, 31, 10, tzinfo=timezone(timedelta(hours=2)))),
        ("/a/b", Path, Path("/a/b")),
        ("x", Literal["x", "y"], "x"),
        ("2", Literal[1, 2], 2),
        ("RED", Color, Color.RED),
        ("red", Color, Color.RED),
        ("2", Color, Color.BLUE),
        ("none", Optional[int], None),
        ("7", Optional[int], 7),
        ("7", int | str, 7),
        ("x", int | str, "x"),
        ("1,2", list[int], [1, 2]),
        ("[1, 2]", list[int], [1, 2]),
        ("", list[int], []),
        ([1, "2"], list[int], [1, 2]),
        ("a,b", tuple[str, ...], ("a", "b")),
        ("1,b", tuple[int, str], (1, "b")),
        ("1,1,2", set[int], {1, 2}),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ('{"a": 1}', dict, {"a": 1}),
        ({"start": "2026-01-01"}, Window, Window(date(2026, 1, 1))),
        ('{"start": "2026-01-01", "days": "3"}', Window, Window(date(2026, 1, 1), 3)),
        ("anything", Any, "anything"),
    ],
)
def test_fitting_values(text, annotation, value):
    found = coerce(text, annotation, "p")
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "annotation", "expected"),
    [
        ("x", int, "an int"),
        ("1.5", int, "an int"),
        (True, int, "an int"),
        ("x", float, "a float"),
        ("maybe", bool, "a bool"),
        ("2026-13-01", date, "a date"),
        ("tomorrow", datetime, "a datetime"),
        ("z", Literal["x", "y"], "one of 'x', 'y'"),
        ("green", Color, "one of RED, BLUE"),
        ("x", Optional[int], "an int or null"),
        ("1,x", list[int], "a list of int"),
        ("1", tuple[int, int], "a tuple of int to int"),
        ("[1", list[int], "a list of int"),
        ("{", dict[str, int], "a dict of str to int"),
        ('{"days": 1}', Window, "a Window"),
        ("x", bytearray, "a bytearray"),
    ],
)
def test_values_that_do_not_fit_are_refused_naming_parameter_value_and_type(text, annotation, expected):
    with pytest.raises(UsageError) as error:
        coerce(text, annotation, "rate")
    assert "'rate'" in error.value.message
    assert repr(text) in error.value.message
    assert expected in error.value.message


def job(day: date, rate: float = 0.1, *, dry: bool = False): ...


def test_bind_types_by_annotation_and_leaves_defaults():
    assert bind(job, {"day": "2026-01-01", "dry": "yes"}) == {"day": date(2026, 1, 1), "dry": True}


def test_an_unknown_parameter_shows_the_nearest():
    with pytest.raises(UsageError, match="no parameter 'rat'") as error:
        bind(job, {"day": "2026-01-01", "rat": "1"})
    assert error.value.hint == "did you mean 'rate'?"


def test_a_missing_parameter_says_how_to_give_it():
    with pytest.raises(UsageError, match="'day' is missing") as error:
        bind(job, {})
    assert error.value.hint == "give it with -p day=<date>"


def test_keyword_parameters_are_open():
    def open_job(**options: Any): ...

    assert bind(open_job, {"x": "1"}) == {"x": "1"}


def test_the_session_is_not_a_parameter():
    def spark_job(spark: SparkSession, n: int): ...  # noqa: F821

    assert bind(spark_job, {"n": "1"}) == {"n": 1}
    with pytest.raises(UsageError, match="no parameter 'spark'"):
        bind(spark_job, {"n": "1", "spark": "x"})


def test_type_names():
    assert type_name(dict[str, list[int]]) == "dict of str to list of int"
    assert type_name(None) == "null"
