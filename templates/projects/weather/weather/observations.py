"""The table of daily observations, as it ships inside this package."""

from __future__ import annotations

import csv
from datetime import date, datetime
from importlib.resources import files
from typing import Literal, NamedTuple

Metric = Literal["temp_max", "temp_min", "precipitation", "wind"]
"""What can be forecast."""

UNITS: dict[Metric, str] = {"temp_max": "°C", "temp_min": "°C", "precipitation": "mm", "wind": "m/s"}


class Day(NamedTuple):
    """One day's observations; units are those of `UNITS`."""

    date: date
    precipitation: float
    temp_max: float
    temp_min: float
    wind: float
    weather: str


def read_days() -> list[Day]:
    """Read the table.

    It is opened as a resource of the package, so it is found in the working tree, and in the wheel on a cluster.
    """
    table = files("weather") / "data" / "seattle-weather.csv"
    with table.open(encoding="utf-8") as stream:
        return [_day(row) for row in csv.DictReader(stream)]


def _day(row: dict[str, str]) -> Day:
    return Day(
        date=datetime.strptime(row["date"], "%Y/%m/%d").date(),
        precipitation=float(row["precipitation"]),
        temp_max=float(row["temp_max"]),
        temp_min=float(row["temp_min"]),
        wind=float(row["wind"]),
        weather=row["weather"],
    )
