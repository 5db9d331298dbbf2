"""Asking a target what it has, by a run on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wheelrun.orchestrators.base import BaseOrchestrator

if TYPE_CHECKING:
    from wheelrun.client.client import Client

SURVEY = "wheelrun.runtime.survey:survey"
"""The entry of a run that looks at its target."""

PATIENCE = 120.0
"""Seconds that a target has to tell its Python, before a run is submitted without knowing it."""


def python_of(
    client: Client,
    orchestrator: BaseOrchestrator,
    where: Mapping[str, Any],
    *,
    on_stage: Callable[[str], None] = lambda _: None,
) -> str | None:
    """Return the version of a target's Python where it is another machine's: remembered, or asked for now.

    Args:
        client: Who asks, and remembers.
        orchestrator: The target's.
        where: What `Client.submit` was told of the target.
        on_stage: Called with what is being done.
    """
    if (known := orchestrator.known_python()) is not None:
        return known
    key = orchestrator.python_key()
    if key is None:
        return None
    found = client.pythons.get(key)
    if found is None:
        on_stage(f"asking {orchestrator.name} for its Python")
        try:
            found = survey(client, where, (), executors=False, timeout=PATIENCE)["driver"]["python"]
        except TimeoutError:
            orchestrator.warnings.append(
                f"target {orchestrator.name!r} did not tell its Python within {PATIENCE:g} s; set python_version"
            )
            return None
        client.pythons.put(key, found)
    return found


def survey(
    client: Client,
    where: Mapping[str, Any],
    distributions: Sequence[str],
    *,
    executors: bool,
    timeout: float | None = None,
) -> Any:
    """Run `wheelrun.runtime.survey.survey` on a target, and return its answer.

    Args:
        client: Who submits the run.
        where: What `Client.submit` is told of the target.
        distributions: Names of distributions whose versions are asked for.
        executors: Whether to start Spark there and ask the executors too.
        timeout: Seconds to wait for the answer; the run is cancelled when they are over.

    Raises:
        WheelrunError: the run could not be made, or failed.
        TimeoutError: there was no answer in time.
    """
    params = {"distributions": list(distributions), "executors": executors}
    run = client.submit(SURVEY, params, name="survey", **where)
    try:
        return run.result(timeout=timeout)
    except TimeoutError:
        run.cancel()
        raise
