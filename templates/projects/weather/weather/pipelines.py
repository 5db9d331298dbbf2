"""The pipeline. Its body only says which step's output feeds which step; it runs once, before anything is built."""

from __future__ import annotations

from typing import Any

from wheelrun import pipeline

from weather import steps
from weather.observations import Metric


@pipeline
def forecast(year: int = 2015, metric: Metric = "temp_max") -> dict[str, Any]:
    """Forecast a year from the years before it, and measure how far off that was.

        load -> clean -> split -+-> monthly_means -> error_of_months -+-> report
                                +-> overall_mean --> error_of_mean ---+
                                +-> error_of_yesterday ---------------+

    Args:
        year: The year that is held out: 2013, 2014 or 2015.
        metric: What is forecast.
    """
    days = steps.load()
    cleaned = steps.clean(days)
    parts = steps.split(cleaned.good, year)
    months = steps.monthly_means(parts.training, metric)
    mean = steps.overall_mean(parts.training, metric)
    errors = {
        "monthly means": steps.error_of.with_options(name="error_of_months")(months, parts.held_out, metric),
        "overall mean": steps.error_of.with_options(name="error_of_mean")(mean, parts.held_out, metric),
        "yesterday": steps.error_of_yesterday(parts.held_out, metric),
    }
    summary = steps.report(year, metric, cleaned.dropped, months, errors)
    steps.notify.after(days, cleaned, parts, months, mean, *errors.values(), summary)(year, metric)
    return summary
