"""A plain function as a job: no decorator, typed parameters, no Spark."""

from __future__ import annotations

from datetime import date
from typing import Any

from weather.observations import read_days


def main(day: date) -> dict[str, Any]:
    """Compare a day with the same day of the other years."""
    days = read_days()
    today = next((other for other in days if other.date == day), None)
    if today is None:
        raise ValueError(f"there is no observation of {day}: the table has {days[0].date} to {days[-1].date}")
    others = [other for other in days if _same_day(other.date, day) and other.date != day]
    usual = sum(other.temp_max for other in others) / len(others) if others else None
    print(f"{day}: {today.weather}, {today.temp_min} to {today.temp_max} °C, {today.precipitation} mm")
    return {
        "day": day.isoformat(),
        "weather": today.weather,
        "temp_max": today.temp_max,
        "usual_temp_max": None if usual is None else round(usual, 2),
    }


def _same_day(one: date, other: date) -> bool:
    return (one.month, one.day) == (other.month, other.day)
