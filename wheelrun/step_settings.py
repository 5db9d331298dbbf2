"""How a step is run: its condition, retries, timeout, resources.

Standard library only: the cluster side imports this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any

from wheelrun.errors import ConfigurationError, nearest


class RunIf(str, Enum):
    """When a step runs, once every step that it depends on has ended."""

    ALL_SUCCEEDED = "all_succeeded"
    ONE_FAILED = "one_failed"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What a step asks of its environment; a target that cannot honour it refuses the deployment.

    Attributes:
        cpu_count: Cores of the driver.
        memory: Memory of the driver, with a unit: "8GiB", "512MB".
        gpu_count: GPUs of the driver.
        executors: Number of executors.
        executor_cpu_count: Cores of each executor.
        executor_memory: Memory of each executor, with a unit.
    """

    cpu_count: float | None = None
    memory: str | None = None
    gpu_count: int | None = None
    executors: int | None = None
    executor_cpu_count: int | None = None
    executor_memory: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is asked for."""
        return all(getattr(self, name) is None for name in self.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """How a step is run.

    Attributes:
        run_if: The condition on the steps that it depends on.
        retries: How many times a failed attempt is tried again (0: one attempt in all).
        retry_delay: Seconds before the first retry.
        retry_backoff: Factor by which the delay grows from one retry to the next.
        timeout: Seconds (or a `timedelta`) that one attempt may take; None for no limit.
        cache: Whether outputs of an earlier run with the same wheel, parameters and inputs may serve.
            None takes the pipeline's choice.
        resources: What it asks of its environment.
        environment: Environment variables set while it runs.
        step_operator: The name of a step operator that runs it elsewhere, if any.
    """

    run_if: RunIf = RunIf.ALL_SUCCEEDED
    retries: int = 0
    retry_delay: float = 1.0
    retry_backoff: float = 2.0
    timeout: float | None = None
    cache: bool | None = None
    resources: Resources = field(default_factory=Resources)
    environment: Mapping[str, str] = field(default_factory=dict)
    step_operator: str | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "run_if", RunIf(self.run_if))
        except ValueError:
            known = ", ".join(repr(condition.value) for condition in RunIf)
            raise ConfigurationError(f"run_if must be one of {known}, not {self.run_if!r}") from None
        for name in ("timeout", "retry_delay"):
            if isinstance(value := getattr(self, name), timedelta):
                object.__setattr__(self, name, value.total_seconds())
        if self.retries < 0 or self.retry_delay < 0 or self.retry_backoff < 1:
            raise ConfigurationError(
                f"a step's retries ({self.retries}) and retry_delay ({self.retry_delay}) must not be negative, "
                f"and its retry_backoff ({self.retry_backoff}) must be at least 1"
            )
        if self.timeout is not None and self.timeout <= 0:
            raise ConfigurationError(f"a step's timeout must be more than 0 seconds, not {self.timeout}")


def known_settings(settings: Mapping[str, Any]) -> None:
    """Refuse a setting that a step does not have.

    Raises:
        ConfigurationError: there is one; the nearest known name is in the hint.
    """
    for name in settings:
        if name not in StepSettings.__dataclass_fields__:
            near = nearest(name, StepSettings.__dataclass_fields__)
            raise ConfigurationError(
                f"a step has no setting {name!r}",
                hint=f"did you mean {near!r}?" if near else f"known: {', '.join(StepSettings.__dataclass_fields__)}",
            )
