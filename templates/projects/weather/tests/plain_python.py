"""The same numbers without Spark, to hold Spark's to: written anew, sharing no code with the steps."""

from __future__ import annotations

import csv
from importlib.resources import files
from itertools import pairwise
from statistics import fmean


def rows() -> list[tuple[int, int, dict[str, str]]]:
    """Return (year, month, row) for each line of the table."""
    text = (files("weather") / "data" / "seattle-weather.csv").read_text(encoding="utf-8")
    return [(int(row["date"][:4]), int(row["date"][5:7]), row) for row in csv.DictReader(text.splitlines())]


def monthly_means(metric: str, before: int) -> dict[int, float]:
    """Return the mean of each month over the years before one."""
    return {
        month: fmean(float(row[metric]) for year, its_month, row in rows() if year < before and its_month == month)
        for month in range(1, 13)
    }


def errors(metric: str, year: int) -> dict[str, float]:
    """Return each method's mean absolute error over a year."""
    means = monthly_means(metric, year)
    overall = fmean(float(row[metric]) for its_year, _, row in rows() if its_year < year)
    actual = [(month, float(row[metric])) for its_year, month, row in rows() if its_year == year]
    values = [value for _, value in actual]
    return {
        "monthly means": fmean(abs(value - means[month]) for month, value in actual),
        "overall mean": fmean(abs(value - overall) for value in values),
        "yesterday": fmean(abs(today - before) for before, today in pairwise(values)),
    }
