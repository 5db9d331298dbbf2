"""Tests without Spark: the table, and the jobs that only need Python."""

from __future__ import annotations

import csv
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from jobs import daily, report
from weather.observations import read_days


def test_the_table_has_every_day_of_four_years():
    days = read_days()
    assert [day.date for day in days] == [date(2012, 1, 1) + timedelta(days=number) for number in range(1461)]
    assert {day.weather for day in days} == {"drizzle", "fog", "rain", "snow", "sun"}


def test_a_day_is_compared_with_the_same_day_of_other_years():
    found = daily.main(date(2015, 7, 4))
    others = [day.temp_max for day in read_days() if (day.date.month, day.date.day) == (7, 4) and day.date.year != 2015]
    assert len(others) == 3
    assert found == {
        "day": "2015-07-04",
        "weather": "sun",
        "temp_max": 33.3,
        "usual_temp_max": round(sum(others) / 3, 2),
    }


def test_a_leap_day_has_no_usual_value():
    assert daily.main(date(2012, 2, 29))["usual_temp_max"] is None


def test_a_day_outside_the_table_is_refused():
    with pytest.raises(ValueError, match="no observation of 2020-01-01"):
        daily.main(date(2020, 1, 1))


def test_the_script_writes_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "wettest.csv"
    monkeypatch.setattr(sys, "argv", ["report.py", "--out", str(out), "--count", "3"])
    report.main()
    with out.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["month", "precipitation"]
    assert [month for month, _ in rows] == [month for month, _ in report.wettest_months(3)]
    december = sum(day.precipitation for day in read_days() if (day.date.year, day.date.month) == (2015, 12))
    assert dict(rows)["2015-12"] == str(round(december, 1))
