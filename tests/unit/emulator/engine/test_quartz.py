from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from wheelrun.emulator.engine.quartz import QuartzError, Schedule


def fires(expression, start="2026-11-29T12:00:00", *, count=3, zone="UTC"):
    """The first times after a moment, in the zone's own clock."""
    schedule, at, found = Schedule(expression, zone), datetime.fromisoformat(start), []
    moment = at.replace(tzinfo=ZoneInfo(zone)).timestamp()
    for _ in range(count):
        moment = schedule.after(moment)
        if moment is None:
            return [*found, None]
        found.append(datetime.fromtimestamp(moment, tz=ZoneInfo(zone)).isoformat(timespec="seconds")[:19])
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # 2026-11-29 is a Sunday
        ("0 0 6 * * ?", ["2026-11-30T06:00:00", "2026-12-01T06:00:00", "2026-12-02T06:00:00"]),
        ("15 30 * * * ?", ["2026-11-29T12:30:15", "2026-11-29T13:30:15", "2026-11-29T14:30:15"]),
        ("0/20 * * * * ?", ["2026-11-29T12:00:20", "2026-11-29T12:00:40", "2026-11-29T12:01:00"]),
        ("0 0 6 ? * 2-6", ["2026-11-30T06:00:00", "2026-12-01T06:00:00", "2026-12-02T06:00:00"]),
        ("0 0 6 ? * MON-FRI", ["2026-11-30T06:00:00", "2026-12-01T06:00:00", "2026-12-02T06:00:00"]),
        ("0 0 6 ? * 1", ["2026-12-06T06:00:00", "2026-12-13T06:00:00", "2026-12-20T06:00:00"]),
        ("0 0 6 ? * 7", ["2026-12-05T06:00:00", "2026-12-12T06:00:00", "2026-12-19T06:00:00"]),
        ("0 0 6 ? * L", ["2026-12-05T06:00:00", "2026-12-12T06:00:00", "2026-12-19T06:00:00"]),
        ("0 0 6 ? * 2,4", ["2026-11-30T06:00:00", "2026-12-02T06:00:00", "2026-12-07T06:00:00"]),
        ("0 0 6 ? * 2/2", ["2026-11-30T06:00:00", "2026-12-02T06:00:00", "2026-12-04T06:00:00"]),
        ("0 0 6 ? * 6L", ["2026-12-25T06:00:00", "2027-01-29T06:00:00", "2027-02-26T06:00:00"]),
        ("0 0 6 ? * FRIL", ["2026-12-25T06:00:00", "2027-01-29T06:00:00", "2027-02-26T06:00:00"]),
        ("0 0 6 ? * 2#2", ["2026-12-14T06:00:00", "2027-01-11T06:00:00", "2027-02-08T06:00:00"]),
        ("0 0 6 ? * MON#2", ["2026-12-14T06:00:00", "2027-01-11T06:00:00", "2027-02-08T06:00:00"]),
        ("0 0 6 ? * 6#5", ["2027-01-29T06:00:00", "2027-04-30T06:00:00", "2027-07-30T06:00:00"]),
        ("0 0 6 L * ?", ["2026-11-30T06:00:00", "2026-12-31T06:00:00", "2027-01-31T06:00:00"]),
        ("0 0 6 L-3 * ?", ["2026-12-28T06:00:00", "2027-01-28T06:00:00", "2027-02-25T06:00:00"]),
        ("0 0 6 LW * ?", ["2026-11-30T06:00:00", "2026-12-31T06:00:00", "2027-01-29T06:00:00"]),
        ("0 0 6 15W * ?", ["2026-12-15T06:00:00", "2027-01-15T06:00:00", "2027-02-15T06:00:00"]),
        ("0 0 6 1 JAN,jul ?", ["2027-01-01T06:00:00", "2027-07-01T06:00:00", "2028-01-01T06:00:00"]),
        ("0 0 6 1 1 ? 2027-2028", ["2027-01-01T06:00:00", "2028-01-01T06:00:00", None]),
        ("0 0 22-1 * * ?", ["2026-11-29T22:00:00", "2026-11-29T23:00:00", "2026-11-30T00:00:00"]),
        ("0 0 6 29 2 ?", ["2028-02-29T06:00:00", "2032-02-29T06:00:00", "2036-02-29T06:00:00"]),
        ("0 0 6 31 2 ?", [None]),
        ("0 0 6 L-3 * ? 2020", [None]),
    ],
)
def test_when_it_fires(expression, expected):
    assert fires(expression) == expected


def test_the_time_is_that_of_the_zone():
    schedule = Schedule("0 0 6 * * ?", "Europe/Berlin")
    winter = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp()
    summer = datetime(2026, 7, 1, tzinfo=ZoneInfo("UTC")).timestamp()
    assert datetime.fromtimestamp(schedule.after(winter), tz=ZoneInfo("UTC")).hour == 5
    assert datetime.fromtimestamp(schedule.after(summer), tz=ZoneInfo("UTC")).hour == 4


def test_an_hour_that_is_left_out_in_spring():
    found = fires("0 30 2 * * ?", "2027-03-27T12:00:00", count=2, zone="Europe/Berlin")
    assert found == ["2027-03-28T03:30:00", "2027-03-29T02:30:00"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 30 2 * * ?", ["2026-10-25T02:30:00+01:00", "2026-10-26T02:30:00+01:00"]),
        ("0 0 * * * ?", ["2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]),
    ],
)
def test_an_hour_that_comes_twice_in_autumn_fires_once(expression, expected):
    zone = ZoneInfo("Europe/Berlin")
    schedule, moment, found = Schedule(expression, zone.key), datetime(2026, 10, 25, 1, tzinfo=zone).timestamp(), []
    for _ in expected:
        moment = schedule.after(moment)
        found.append(datetime.fromtimestamp(moment, tz=zone).isoformat())
    assert found == expected


@pytest.mark.parametrize(
    ("expression", "zone", "message"),
    [
        ("0 6 * * 1-5", "UTC", "it has 5 fields, not 6 or 7"),
        ("0 0 6 * * *", "UTC", "'?' must stand for the day of month or the day of week"),
        ("0 0 6 ? * ?", "UTC", "'?' must stand for"),
        ("0 0 ? * * ?", "UTC", "'?' cannot stand for the hour"),
        ("0 0 6 ? * 0", "UTC", "day of week 0 is not 1 to 7"),
        ("0 0 6 ? * 8", "UTC", "day of week 8 is not 1 to 7"),
        ("R R 6 * * ?", "UTC", "'R' is none of its words"),
        ("0 H 6 * * ?", "UTC", "'H' is none of its words"),
        ("0 0 25 * * ?", "UTC", "Invalid quartz_cron_expression: '0 0 25 * * ?'"),
        ("0 61 6 * * ?", "UTC", "Invalid quartz_cron_expression"),
        ("a b c d e ?", "UTC", "Invalid quartz_cron_expression"),
        ("", "UTC", "it has 0 fields"),
        ("0 0 6 * * ?", "Europe/Nowhere", "Invalid timezone_id: 'Europe/Nowhere'"),
        ("0 0 6 * * ?", "", "Invalid timezone_id"),
        ("0 0 6 * * ?", "../etc/passwd", "Invalid timezone_id"),
    ],
)
def test_what_is_no_schedule(expression, zone, message):
    with pytest.raises(QuartzError) as caught:
        Schedule(expression, zone)
    assert message in str(caught.value)
