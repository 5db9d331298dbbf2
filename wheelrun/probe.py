"""The deep check of a target: a run on it tells what its driver and each of its executors have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wheelrun.client import Client
from wheelrun.findings import Finding

REMEDIES: Mapping[str, str] = {
    "python": "install one Python on all machines, and set the target's python to it",
    "pyspark": "install one Spark on all machines",
}
"""What to do where machines differ in something. For a distribution: `OTHERWISE`."""

OTHERWISE = 'let it travel in the bundle (dependencies = "bundle"), or install one version on all machines'


def probe(client: Client, target: str | None) -> Iterator[Finding]:
    """Run a probe on a target, and yield what was found: the driver, each executor, and where they differ.

    Args:
        client: The project and its configuration.
        target: The target's name; None for the configured one.

    Raises:
        WheelrunError: the probe could not be run.
    """
    built = client.build()
    wheels = {wheel.name: wheel.version for wheel in (built.wheel, *built.also)}
    names = [*wheels, *(name for name in required(client) if name not in wheels)]
    found = client.survey(target, distributions=names)
    yield from judge(found, wheels, required(client))


def required(client: Client) -> list[str]:
    """Return the names of the distributions that the project depends on, the cluster's own left out."""
    from packaging.requirements import InvalidRequirement, Requirement

    names = []
    for text in client.project.dependencies:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate():
            names.append(requirement.name)
    return names


def judge(found: Mapping[str, Any], wheels: Mapping[str, str], needed: list[str]) -> Iterator[Finding]:
    """Yield what a survey's answer means. Pure.

    Args:
        found: What `wheelrun.runtime.survey.survey` returned.
        wheels: Distribution -> version of the wheels that have to be everywhere.
        needed: Distributions that have to be everywhere, in any one version.
    """
    driver, executors = found["driver"], found["executors"]
    places = [("driver", driver), *((f"executor {place['process']}", place) for place in executors)]
    for name, facts in places:
        text = f"Python {facts['python']}, pyspark {facts['pyspark'] or 'missing'} on {facts['host']}"
        yield Finding(check=name, ok=True, detail=text)
    if not executors:
        yield Finding(check="executors", ok=False, detail="none answered", remedy="does the cluster have free cores?")
    for name, facts in places:
        yield from _code(name, facts, wheels)
        yield from _needed(name, facts, driver, needed)
        for what in ("python", "pyspark"):
            mine, theirs = _comparable(what, driver[what]), _comparable(what, facts[what])
            if mine != theirs:
                detail = f"{what} {facts[what]}, and the driver has {driver[what]}"
                yield Finding(check=name, ok=False, detail=detail, remedy=REMEDIES[what])


def _code(name: str, facts: Mapping[str, Any], wheels: Mapping[str, str]) -> Iterator[Finding]:
    for wheel, version in wheels.items():
        there = facts["versions"].get(wheel)
        if there != version:
            detail = f"{wheel} {version} is {'not there' if there is None else f'{there} there'}"
            remedy = "remove what is installed under that name there" if there else "does it reach the artifact root?"
            yield Finding(check=name, ok=False, detail=detail, remedy=remedy)


def _needed(name: str, facts: Mapping[str, Any], driver: Mapping[str, Any], needed: list[str]) -> Iterator[Finding]:
    for distribution in needed:
        there, mine = facts["versions"].get(distribution), driver["versions"].get(distribution)
        if there is None:
            yield Finding(check=name, ok=False, detail=f"{distribution} is not installed there", remedy=OTHERWISE)
        elif there != mine and mine is not None:
            detail = f"{distribution} {there}, and the driver has {mine}"
            yield Finding(check=name, ok=False, detail=detail, remedy=OTHERWISE)


def _comparable(what: str, version: str | None) -> str | None:
    """Return the part of a version that has to be the same everywhere: Spark compares Pythons by major and minor."""
    if version is None or what != "python":
        return version
    return ".".join(version.split(".")[:2])
