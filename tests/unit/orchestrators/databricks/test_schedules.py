"""Schedules in Quartz's words, and as jobs of a workspace."""

from __future__ import annotations

import datetime as dt

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.databricks.schedules import quartz
from wheelrun.orchestrators.schedules import Cron


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 6 * * 1-5", "0 0 6 ? * MON-FRI"),
        ("*/15 * * * *", "0 0,15,30,45 * * * ?"),
        ("0 0 1 * *", "0 0 0 1 * ?"),
        ("0 0 * * 0", "0 0 0 ? * SUN"),
        ("0 0 * * 7", "0 0 0 ? * SUN"),
        ("0 0 * * 5-7", "0 0 0 ? * SUN,FRI,SAT"),
        ("0 8-10 * 1-6 *", "0 0 8-10 * 1-6 ?"),
        ("@hourly", "0 0 * * * ?"),
    ],
)
def test_five_fields_become_quartz(cron, expected):
    assert quartz(Cron.parse(cron)) == expected


def test_both_days_are_refused():
    with pytest.raises(ConfigurationError, match="sets day of the month and day of the week"):
        quartz(Cron.parse("0 0 1 * 1"))


WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def values(field, low, high):
    """Read a field of ours as Quartz does."""
    if field in ("*", "?"):
        return set(range(low, high + 1))
    found = set()
    for piece in field.split(","):
        first, _, last = piece.partition("-")
        numbers = [WEEKDAYS.index(each) + 1 if each in WEEKDAYS else int(each) for each in (first, last or first)]
        found |= set(range(numbers[0], numbers[1] + 1))
    return found


@given(
    minute=st.sampled_from(["*", "0", "*/7", "3,9-12"]),
    hour=st.sampled_from(["*", "6", "*/5", "1-4"]),
    days=st.sampled_from([("*", "*"), ("13", "*"), ("*/10", "*"), ("*", "0"), ("*", "7"), ("*", "1-5"), ("*", "5-7")]),
    month=st.sampled_from(["*", "2", "6-8"]),
    moment=st.datetimes(dt.datetime(2024, 1, 1), dt.datetime(2027, 12, 31)),  # noqa: DTZ001 - cron knows no zones,
)
def test_quartz_means_the_moments_that_cron_means(minute, hour, days, month, moment):
    text = f"{minute} {hour} {days[0]} {month} {days[1]}"
    seconds, *fields = quartz(Cron.parse(text)).split()
    moment = moment.replace(second=0, microsecond=0)
    weekday = moment.isoweekday() % 7 + 1  # Quartz's Sunday is 1
    meant = all(
        value in values(field, low, high)
        for value, field, low, high in zip(
            (moment.minute, moment.hour, moment.day, moment.month, weekday),
            fields,
            (0, 0, 1, 1, 1),
            (59, 23, 31, 12, 7),
            strict=True,
        )
    )
    assert seconds == "0"
    assert meant == croniter.match(text, moment)
