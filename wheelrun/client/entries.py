"""What is submitted: the entry as text, the Python that compiles it, and the wheel that has to hold it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

from wheelrun.client.building import main_file
from wheelrun.config import LOCAL, Stack
from wheelrun.deployment import Deployment
from wheelrun.errors import ConfigurationError, UsageError
from wheelrun.orchestrators.wheeled import reference
from wheelrun.packaging.builder import BuildResult


def entry_of(function: Callable[..., Any]) -> str:
    """Return the entry text for a function, step or pipeline; one of the main program is named by its file."""
    target = getattr(function, "function", function)
    module, name = target.__module__, target.__qualname__
    if "<" in name:
        raise UsageError(f"{name} cannot be submitted", hint="submit a function at the top level of a module")
    if module != "__main__":
        return f"{module}:{name}"
    main = main_file()
    if main is None:
        raise UsageError(f"{name} is defined in an interactive session", hint="put it into a module")
    return f"{main}:{name}"


def python_here(stack: Stack) -> str | None:
    """Return the Python that compiles: the target's, unless it is one of another machine."""
    python = stack.config.get("python")
    if stack.orchestrator == LOCAL or python is None or shutil.which(python):
        return python
    return None


def with_wheels(deployment: Deployment, built: BuildResult) -> Deployment:
    """Return a deployment that runs what was built."""
    return deployment.with_settings(wheel=reference(built.wheel), also=tuple(reference(wheel) for wheel in built.also))


def refuse_missing(deployment: Deployment, built: BuildResult) -> None:
    """Refuse a script that no wheel holds.

    Raises:
        ConfigurationError: there is one; the rule that left it out is named.
    """
    for spec in deployment.steps:
        if spec.kind != "script" or not spec.function.endswith(".py"):
            continue
        if not any(spec.function in wheel.files for wheel in (built.wheel, *built.also)):
            rule = next(
                (item.rule for item in built.excluded if item.path == spec.function),
                "the project's own build",
            )
            raise ConfigurationError(
                f"{spec.function} is not in the wheel: left out by {rule}",
                hint=f'add it: [tool.wheelrun.package] include = ["{spec.function.partition("/")[0]}"]',
            )
