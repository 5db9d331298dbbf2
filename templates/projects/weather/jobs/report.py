"""A script with arguments of its own: the wettest months, as a table.

    python -m jobs.report --out wettest.csv
    wheelrun submit jobs/report.py -- --out wettest.csv

What stands behind `--` reaches it as its own arguments.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from weather.observations import read_days


def wettest_months(count: int) -> list[tuple[str, float]]:
    """Return the months with the most precipitation, in mm, the wettest first."""
    totals: defaultdict[str, float] = defaultdict(float)
    for day in read_days():
        totals[f"{day.date:%Y-%m}"] += day.precipitation
    ranked = sorted(totals.items(), key=lambda item: item[1], reverse=True)
    return [(month, round(total, 1)) for month, total in ranked[:count]]


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description="The wettest months in Seattle, 2012-2015.")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--count", type=int, default=10, help="how many months (default: %(default)s)")
    arguments = parser.parse_args()
    rows = wettest_months(arguments.count)
    with arguments.out.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["month", "precipitation"])
        writer.writerows(rows)
    print(f"{arguments.out}: {len(rows)} months, the wettest {rows[0][0]} with {rows[0][1]} mm")


if __name__ == "__main__":
    main()
