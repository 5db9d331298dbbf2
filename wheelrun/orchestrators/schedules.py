"""Schedules: what a user says of one, and what orchestrators that run on schedules offer. Cron has its five fields."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from wheelrun.config import Stack
from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError, nearest

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
    "december",
)  # fmt: skip
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_NAMES: Mapping[str, Mapping[str, int]] = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of the week": {name: number for number, name in enumerate(_DAYS)},
}
_LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_EXAMPLES = {"month": ", jan-mar", "day of the week": ", mon-fri"}
_HERE_ONLY = frozenset({"Factory", "localtime"})
"""What is no time zone on another machine."""

_PIECE = re.compile(r"(\*|[A-Za-z0-9]+(?:-[A-Za-z0-9]+)?)(?:/(\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """When something runs: five fields of cron, read.

    Attributes:
        text: The five fields.
        fields: The values of each field, sorted; Sunday is 0. None for a field that is `*`.
    """

    text: str
    fields: tuple[tuple[int, ...] | None, ...]

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Read five fields, or a word such as "@daily".

        Raises:
            ConfigurationError: they are not five, a value is not one of its field's, or the day never comes.
        """
        words = _WORDS.get(text.strip().lower(), text).split()
        if len(words) != len(_FIELDS):
            raise ConfigurationError(
                f"cron {text!r} has {len(words)} fields, not five",
                hint="minute, hour, day of the month, month, day of the week: '0 6 * * 1-5' is six o'clock on workdays",
            )
        fields = tuple(_read(word, *field, whole=text) for word, field in zip(words, _FIELDS, strict=True))
        _, _, days, months, weekdays = fields
        if days and not any(min(days) <= _LONGEST_MONTH[month - 1] for month in months or range(1, 13)):
            raise ConfigurationError(f"cron {text!r}: that day never comes")
        del weekdays
        return cls(text=" ".join(words), fields=fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a deployment is to run.

    Attributes:
        cron: The times.
        timezone: The time zone that they are in, such as "Europe/Berlin".
        paused: Whether it is kept and not followed.
    """

    cron: Cron
    timezone: str = "UTC"
    paused: bool = False

    def __post_init__(self) -> None:
        if self.timezone not in (known := zoneinfo.available_timezones() - _HERE_ONLY):
            near = nearest(self.timezone, known)
            raise ConfigurationError(
                f"there is no time zone {self.timezone!r}",
                hint=f"did you mean {near!r}?" if near else 'name one as "Europe/Berlin"',
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A schedule as a target has it.

    Attributes:
        name: What it is called by `wheelrun schedule`.
        id: The target's id of it.
        when: Its times, in the target's words.
        timezone: Their time zone.
        paused: Whether it is not followed now.
        url: Its page, if it has one.
    """

    name: str
    id: str
    when: str
    timezone: str
    paused: bool
    url: str | None = None


class Scheduler(Protocol):
    """The schedules of a target."""

    def set(self, deployment: Deployment, stack: Stack, schedule: Schedule, *, now: bool) -> Scheduled:
        """Run a deployment on a schedule, in place of the one that its pipeline had. Nothing runs before its time.

        Args:
            deployment: What runs.
            stack: The target.
            schedule: When.
            now: Run it once at once, too.
        """

    def all(self) -> list[Scheduled]:
        """Return the schedules."""

    def pause(self, name: str, *, paused: bool) -> Scheduled:
        """Stop following a schedule, or go on with it.

        Raises:
            ConfigurationError: there is none of that name, or several.
        """

    def remove(self, name: str) -> Scheduled:
        """Remove a schedule; what runs goes on. Raises as `pause` does."""


def named(schedules: Iterable[Scheduled], name: str, target: str) -> Scheduled:
    """Return the schedule of a name or id.

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    known = list(schedules)
    found = [each for each in known if name in (each.name, each.id)]
    if not found:
        near = nearest(name, [each.name for each in known])
        hint = f"did you mean {near!r}?" if near else f"`wheelrun schedule list -t {target}` shows them"
        raise ConfigurationError(f"target {target!r} has no schedule {name!r}", hint=hint)
    if len(found) > 1:
        ids = ", ".join(each.id for each in found)
        raise ConfigurationError(
            f"target {target!r} has {len(found)} schedules called {name!r}", hint=f"give one's id: {ids}"
        )
    return found[0]


def _read(word: str, name: str, least: int, most: int, *, whole: str) -> tuple[int, ...] | None:
    """Return the values of a field, None for all of them."""
    if word == "*":
        return None
    values: set[int] = set()
    for piece in word.split(","):
        match = _PIECE.fullmatch(piece)
        if match is None:
            raise _unfit(whole, piece, name)
        span, step = match[1], int(match[2] or 1)
        if step == 0:
            raise _unfit(whole, piece, name)
        first, _, last = (f"{least}-{most}" if span == "*" else span).partition("-")
        start = _value(first, name, least, most, whole)
        end = _value(last, name, least, most, whole) if last else (most if match[2] else start)
        if name == "day of the week" and span == "*":
            end = most - 1  # seven is Sunday again
        if end < start:
            raise _unfit(whole, piece, name)
        values.update(range(start, end + 1, step))
    if name == "day of the week":
        values = {value % 7 for value in values}
    return tuple(sorted(values))


def _value(text: str, name: str, least: int, most: int, whole: str) -> int:
    named = [number for word, number in _NAMES.get(name, {}).items() if len(text) > 2 and word.startswith(text.lower())]
    value = named[0] if named else int(text) if text.isdecimal() else None
    if value is None or not least <= value <= most:
        raise _unfit(whole, text, name)
    return value


def _unfit(whole: str, piece: str, name: str) -> ConfigurationError:
    least, most = next((least, most) for field, least, most in _FIELDS if field == name)
    return ConfigurationError(
        f"cron {whole!r}: {piece!r} is no {name}",
        hint=f"the {name} is {least} to {most}, and spans begin with the lower one: 1-5, */2{_EXAMPLES.get(name, '')}",
    )
