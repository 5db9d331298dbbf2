"""The steps of the forecast. Each is a function: a test calls it like any other.

What a step returns goes to the next one by the artifact root: Spark frames as parquet, plain values as JSON.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from wheelrun import current_run, step

from weather.observations import UNITS, Metric, read_days

Forecast = dict[int, float]
"""A value for each month, 1 to 12."""


@step(cache=True, retries=2, retry_delay=0.5)
def load(spark: SparkSession) -> DataFrame:
    """Read the observations.

    Nothing that it depends on changes between two runs of the same wheel, so its output is cached. It is tried three
    times: where a table comes over a network, the second attempt is often the one that works.
    """
    return spark.createDataFrame(
        read_days(),
        "date date, precipitation double, temp_max double, temp_min double, wind double, weather string",
    )


@step(cache=True, outputs=("good", "dropped"))
def clean(days: DataFrame) -> tuple[DataFrame, int]:
    """Drop what cannot be: a day twice, missing values, rain below zero, a minimum above the maximum."""
    good = (
        days.dropDuplicates(["date"])
        .dropna()
        .where((F.col("precipitation") >= 0) & (F.col("wind") >= 0) & (F.col("temp_min") <= F.col("temp_max")))
    )
    return good, days.count() - good.count()


@step(outputs=("training", "held_out"))
def split(days: DataFrame, year: int) -> tuple[DataFrame, DataFrame]:
    """Hold a year out; the years before it are what a forecast of it may know."""
    training = days.where(F.year("date") < year)
    held_out = days.where(F.year("date") == year)
    for name, part in (("before", training), ("in", held_out)):
        if part.isEmpty():
            raise ValueError(f"there are no observations {name} {year}: the table has 2012 to 2015")
    return training, held_out


@step
def monthly_means(days: DataFrame, metric: Metric) -> Forecast:
    """Forecast each day by the mean of its month in the past years."""
    rows = days.groupBy(F.month("date").alias("month")).agg(F.avg(metric).alias("mean")).collect()
    return {row["month"]: row["mean"] for row in sorted(rows)}


@step
def overall_mean(days: DataFrame, metric: Metric) -> Forecast:
    """Forecast each day by the mean of all past days: what any better method has to beat."""
    mean = days.agg(F.avg(metric)).first()[0]
    return dict.fromkeys(range(1, 13), mean)


@step
def error_of(forecast: Forecast, held_out: DataFrame, metric: Metric) -> float:
    """Return a forecast's mean absolute error over the held-out year."""
    expected = F.create_map(*(F.lit(item) for pair in forecast.items() for item in pair))
    error = F.abs(F.col(metric) - expected[F.month("date")])
    return held_out.agg(F.avg(error)).first()[0]


@step
def error_of_yesterday(held_out: DataFrame, metric: Metric) -> float:
    """Return the mean absolute error of saying "tomorrow will be like today".

    It knows more than the other two: the day before. It cannot be made in January for July.
    """
    yesterday = held_out.select(F.date_add("date", 1).alias("date"), F.col(metric).alias("yesterday"))
    error = F.abs(F.col(metric) - F.col("yesterday"))
    return held_out.join(yesterday, "date").agg(F.avg(error)).first()[0]


@step
def report(year: int, metric: Metric, dropped: int, means: Forecast, errors: dict[str, float]) -> dict[str, Any]:
    """Put the numbers together, and print them for the log."""
    unit = UNITS[metric]
    skill = 1 - errors["monthly means"] / errors["overall mean"]
    print(f"{metric} in Seattle, {year}, forecast from the years before ({dropped} observations dropped)")
    for method, error in errors.items():
        print(f"  {method:<14} mean absolute error {error:5.2f} {unit}")
    print(f"  monthly means are {skill:.0%} better than the overall mean")
    return {
        "metric": metric,
        "year": year,
        "unit": unit,
        "dropped": dropped,
        "monthly_means": {f"{month:02}": round(mean, 2) for month, mean in means.items()},
        "mean_absolute_error": {method: round(error, 3) for method, error in errors.items()},
        "skill": round(skill, 3),
    }


@step(run_if="one_failed")
def notify(year: int, metric: Metric) -> str:
    """Tell that something failed; the place for a message to a channel. It is skipped when all went well."""
    run = current_run()
    failed = ", ".join(run.failed_steps) if run else "a step"
    message = f"the forecast of {metric} for {year} failed at {failed}"
    print(message)
    return message
