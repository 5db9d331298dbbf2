"""Tests of the steps by calling them, with the `spark` fixture that wheelrun's pytest plugin gives.

What Spark computes is held to `plain_python`, which computes it in another way.
"""

from __future__ import annotations

import plain_python
import pytest

from weather import steps
from weather.observations import UNITS, read_days

METRICS = sorted(UNITS)


@pytest.fixture(scope="module")
def days(spark):
    return steps.load(spark).cache()


def test_load_gives_every_row(days):
    assert days.count() == len(read_days())
    assert [tuple(row) for row in days.orderBy("date").limit(3).collect()] == read_days()[:3]


def test_nothing_of_the_real_table_is_dropped(days):
    good, dropped = steps.clean(days)
    assert dropped == 0
    assert good.count() == days.count()


def test_what_cannot_be_is_dropped(spark, days):
    first = read_days()[0]
    wrong = [
        first,
        first._replace(date=first.date.replace(year=2016), temp_min=50.0),
        first._replace(date=first.date.replace(year=2017), precipitation=-1.0),
        first._replace(date=first.date.replace(year=2018), wind=None),
    ]
    good, dropped = steps.clean(days.union(spark.createDataFrame(wrong, days.schema)))
    assert dropped == 4
    assert good.count() == days.count()


def test_split_holds_out_one_year(days):
    parts = steps.split(days, 2014)
    assert parts.training.count() == 366 + 365
    assert parts.held_out.count() == 365


@pytest.mark.parametrize("year", [2012, 2016])
def test_a_year_that_cannot_be_forecast_is_refused(days, year):
    with pytest.raises(ValueError, match="the table has 2012 to 2015"):
        steps.split(days, year)


@pytest.mark.parametrize("metric", METRICS)
def test_means_are_those_of_plain_python(days, metric):
    training, _ = steps.split(days, 2015)
    means = steps.monthly_means(training, metric)
    assert list(means) == list(range(1, 13))
    assert means == pytest.approx(plain_python.monthly_means(metric, 2015))


@pytest.mark.parametrize("metric", METRICS)
def test_errors_are_those_of_plain_python(days, metric):
    training, held_out = steps.split(days, 2015)
    assert {
        "monthly means": steps.error_of(steps.monthly_means(training, metric), held_out, metric),
        "overall mean": steps.error_of(steps.overall_mean(training, metric), held_out, metric),
        "yesterday": steps.error_of_yesterday(held_out, metric),
    } == pytest.approx(plain_python.errors(metric, 2015))


def test_notify_outside_a_run_is_a_plain_function(capsys):
    assert "temp_max for 2015 failed" in steps.notify(2015, "temp_max")
    assert "2015" in capsys.readouterr().out
