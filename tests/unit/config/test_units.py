from __future__ import annotations

import pytest

from wheelrun.config import parse_duration, parse_size
from wheelrun.errors import ConfigurationError


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("10min", 600),
        ("1h30m", 5400),
        ("1h 30m 5s", 5405),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("2d", 172800),
        (" 90 ", 90),
        ("0", 0),
        (90, 90),
        (0.25, 0.25),
    ],
)
def test_durations(value, seconds):
    assert parse_duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", ["", "m", "10x", "10m!", "-5s", -1, True, None, "inf", float("nan"), float("inf"), "1h,5m"]
)
def test_what_is_no_duration(value):
    with pytest.raises(ConfigurationError, match="is not a duration such as"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("200MB", 200_000_000),
        ("8GiB", 8 * 2**30),
        ("8g", 8 * 2**30),
        ("512k", 512 * 1024),
        ("1.5 KB", 1500),
        ("7", 7),
        ("7B", 7),
        ("1tib", 2**40),
        (0, 0),
        (12.0, 12),
    ],
)
def test_sizes(value, size):
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["", "big", "8X", "-1MB", -1, False, None, [1], "8 G B"])
def test_what_is_no_size(value):
    with pytest.raises(ConfigurationError, match="is not a size such as"):
        parse_size(value)


def test_a_long_value_is_cut():
    with pytest.raises(ConfigurationError) as caught:
        parse_size("x" * 500)
    assert len(caught.value.message) < 120
