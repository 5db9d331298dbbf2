"""Cron's five fields, and what names a schedule."""

from __future__ import annotations

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.schedules import Cron, Schedule, Scheduled, named


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("* * * * *", (None, None, None, None, None)),
        ("0 6 * * 1-5", ((0,), (6,), None, None, (1, 2, 3, 4, 5))),
        ("*/20 8-10/2 1,15 jan-mar 7", ((0, 20, 40), (8, 10), (1, 15), (1, 2, 3), (0,))),
        ("5/20 0 * * fri-7", ((5, 25, 45), (0,), None, None, (0, 5, 6))),
        ("0 0 * * */2", ((0,), (0,), None, None, (0, 2, 4, 6))),
        ("@weekly", ((0,), (0,), None, None, (0,))),
        ("0 0 29 2 *", ((0,), (0,), (29,), (2,), None)),
        ("0 0 * DEC Monday", ((0,), (0,), None, (12,), (1,))),
    ],
)
def test_fields_are_read(text, fields):
    assert Cron.parse(text).fields == fields


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 6 * *", "4 fields, not five"),
        ("0 0 6 ? * MON-FRI", "6 fields, not five"),
        ("60 * * * *", "'60' is no minute"),
        ("0 24 * * *", "'24' is no hour"),
        ("0 0 0 * *", "'0' is no day of the month"),
        ("0 0 * 13 *", "'13' is no month"),
        ("0 0 * * 8", "'8' is no day of the week"),
        ("0 0 * foo *", "'foo' is no month"),
        ("0 0 * * monkey", "'monkey' is no day of the week"),
        ("0 0 * marvel *", "'marvel' is no month"),
        ("0 5-3 * * *", "'5-3' is no hour"),
        ("*/0 * * * *", r"'\*/0' is no minute"),
        ("0 0 L * *", "'L' is no day of the month"),
        ("@reboot", "1 fields, not five"),
        ("0 0 31 4,6 *", "that day never comes"),
        ("", "0 fields, not five"),
    ],
)
def test_what_is_no_cron_is_told(text, said):
    with pytest.raises(ConfigurationError, match=said):
        Cron.parse(text)


def test_what_a_field_can_be_is_told():
    with pytest.raises(ConfigurationError) as error:
        Cron.parse("0 0 * * 6-0")
    assert error.value.hint == "the day of the week is 0 to 7, and spans begin with the lower one: 1-5, */2, mon-fri"
    with pytest.raises(ConfigurationError) as error:
        Cron.parse("60 * * * *")
    assert error.value.hint == "the minute is 0 to 59, and spans begin with the lower one: 1-5, */2"


@pytest.mark.parametrize("zone", ["Factory", "localtime"])
def test_a_time_zone_that_is_none_elsewhere_is_refused(zone):
    with pytest.raises(ConfigurationError, match="there is no time zone"):
        Schedule(cron=Cron.parse("@daily"), timezone=zone)


def test_a_time_zone_is_one_that_there_is():
    cron = Cron.parse("@daily")
    assert Schedule(cron=cron, timezone="Europe/Berlin").paused is False
    with pytest.raises(ConfigurationError, match="no time zone 'Europe/Berln'") as error:
        Schedule(cron=cron, timezone="Europe/Berln")
    assert "Europe/Berlin" in error.value.hint


def test_a_schedule_is_found_by_its_name_or_id():
    one, two = (Scheduled(name="daily", id=number, when="", timezone="UTC", paused=False) for number in ("1", "2"))
    assert named([one], "daily", "prod") is one
    assert named([one, two], "2", "prod") is two
    with pytest.raises(ConfigurationError, match="has 2 schedules called 'daily'"):
        named([one, two], "daily", "prod")
    with pytest.raises(ConfigurationError, match="has no schedule 'dayly'") as error:
        named([one], "dayly", "prod")
    assert "daily" in error.value.hint
