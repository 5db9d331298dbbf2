"""Cron expressions of Quartz: when they fire next."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterBadDateError, CroniterError, croniter

_FIELDS = ("second", "minute", "hour", "day of month", "month", "day of week", "year")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WORDS = frozenset({*_DAYS, *_MONTHS, *(f"{day}L" for day in _DAYS), "L", "W", "LW"})
_NEVER = timedelta(days=366 * 8)
_NEAREST_LAST = re.compile(r"L(?:-(\d{1,2}))?(W)?")
_NUMBER = re.compile(r"(?<![#/\w])\d+")


class QuartzError(ValueError):
    """An expression that is none, or a time zone that there is not."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a cron expression fires, by a clock on the wall.

    Attributes:
        expression: Six or seven fields, as Quartz has them.
        timezone: The id of the time zone.

    Raises:
        QuartzError: either is none.
    """

    expression: str
    timezone: str
    _zone: ZoneInfo = field(init=False, repr=False)
    _cron: str = field(init=False, repr=False)
    _day: Callable[[datetime], bool] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        cron, day = _translated(self.expression)
        object.__setattr__(self, "_cron", cron)
        object.__setattr__(self, "_day", day)
        try:
            object.__setattr__(self, "_zone", ZoneInfo(self.timezone))
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise QuartzError(f"Invalid timezone_id: '{self.timezone}'.") from error
        try:
            croniter(cron, datetime(2000, 1, 1), second_at_beginning=True)  # noqa: DTZ001 - only its form
        except (CroniterError, ValueError) as error:
            raise QuartzError(f"Invalid quartz_cron_expression: '{self.expression}': {error}.") from error

    def after(self, moment: float) -> float | None:
        """Return when it fires first after a moment, in seconds since the epoch; None if it never does any more."""
        start = datetime.fromtimestamp(moment, tz=self._zone).replace(tzinfo=None)
        while True:
            try:
                found = croniter(self._cron, start, second_at_beginning=True).get_next(datetime)
            except CroniterBadDateError:
                return None
            if self._day(found):
                return self._moment(found)
            if found - start > _NEVER:
                return None
            start = found.replace(hour=23, minute=59, second=59)

    def _moment(self, wall: datetime) -> float:
        """Return when a clock on the wall shows a time: the second time of two; past the hour if it is left out."""
        return max(wall.replace(tzinfo=self._zone, fold=fold).timestamp() for fold in (0, 1))


def _translated(expression: str) -> tuple[str, Callable[[datetime], bool]]:
    fields = expression.upper().split()
    if not 6 <= len(fields) <= 7:
        raise QuartzError(
            f"Invalid quartz_cron_expression: '{expression}': it has {len(fields)} fields, not 6 or 7 "
            f"({', '.join(_FIELDS)})."
        )
    if (fields[3] == "?") is (fields[5] == "?"):
        raise QuartzError(
            f"Invalid quartz_cron_expression: '{expression}': '?' must stand for the day of month or the day of week, "
            "and for one of the two only."
        )
    for index in (0, 1, 2, 4, 6):
        if "?" in "".join(fields[index : index + 1]):
            raise QuartzError(
                f"Invalid quartz_cron_expression: '{expression}': '?' cannot stand for the {_FIELDS[index]}."
            )
    for word in re.findall(r"[A-Z]+", " ".join(fields)):
        if word not in _WORDS:
            raise QuartzError(f"Invalid quartz_cron_expression: '{expression}': '{word}' is none of its words.")
    fields[5] = _days_of_week(fields[5], expression)
    found = _NEAREST_LAST.fullmatch(fields[3])
    if found is None or found[0] == "L":
        return " ".join(fields).replace("?", "*"), lambda _: True
    fields[3] = "*"
    return " ".join(fields).replace("?", "*"), _counted_from_last(int(found[1] or 0), weekday=found[2] is not None)


def _days_of_week(text: str, expression: str) -> str:
    """Return the field with Sunday as 0, where Quartz has 1, and the last one of a month as L5, where Quartz has 6L."""
    for number in _NUMBER.findall(text):
        if not 1 <= int(number) <= 7:
            raise QuartzError(f"Invalid quartz_cron_expression: '{expression}': day of week {number} is not 1 to 7.")
    text = _NUMBER.sub(lambda found: str(int(found[0]) - 1), text)
    if text == "L":
        return "6"
    return re.sub(r"(\w+?)L\b", lambda found: f"L{_day_number(found[1])}", text)


def _day_number(name: str) -> str:
    return str(_DAYS.index(name)) if name in _DAYS else name


def _counted_from_last(days: int, *, weekday: bool) -> Callable[[datetime], bool]:
    def is_it(moment: datetime) -> bool:
        length = calendar.monthrange(moment.year, moment.month)[1]
        wanted = length - days
        if weekday and wanted >= 1:
            wanted = _nearest_weekday(moment.replace(day=wanted), length)
        return moment.day == wanted

    return is_it


def _nearest_weekday(day: datetime, length: int) -> int:
    weekday = day.isoweekday()
    if weekday == 6:
        return day.day - 1 if day.day > 1 else day.day + 2
    if weekday == 7:
        return day.day + 1 if day.day < length else day.day - 2
    return day.day
