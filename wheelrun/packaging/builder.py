"""From a project to its wheel: scan, look in the cache, else copy, guard, build, verify and keep."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelrun.packaging.project import Project
from wheelrun.packaging.snapshot import Excluded

if TYPE_CHECKING:
    from wheelrun.packaging.cache import WheelCache
    from wheelrun.packaging.wheel import Wheel


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """A built project.

    Attributes:
        wheel: The project's wheel.
        also: The wheels of the sibling projects of `also`, in that order.
        cached: Whether nothing had to be built.
        excluded: What was left out, and by which rule.
        shipped: The wheel's files, without its dist-info.
        warnings: What the user should know.
        seconds: How long it took.
    """

    wheel: Wheel
    also: tuple[Wheel, ...] = ()
    cached: bool
    excluded: tuple[Excluded, ...] = ()
    shipped: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


def build(
    project: Project,
    cache: WheelCache,
    *,
    allow_secrets: Collection[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> BuildResult:
    """Return the project's wheel, from the cache if its tree is unchanged."""
    raise NotImplementedError
