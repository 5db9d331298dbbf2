"""Orchestrators by name: the built-in ones as "module:attr" text, plug-ins by entry point (`wheelrun.orchestrators`).

Nothing is imported before it is asked for, so a plug-in that is broken breaks no other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from wheelrun.errors import ConfigurationError, nearest

if TYPE_CHECKING:
    from wheelrun.orchestrators.base import BaseOrchestratorFlavor

GROUP = "wheelrun.orchestrators"

BUILT_IN: Mapping[str, str] = {
    "local": "wheelrun.orchestrators.local:LocalOrchestratorFlavor",
    "docker": "wheelrun.orchestrators.docker.orchestrator:DockerFlavor",
    "spark-connect": "wheelrun.orchestrators.connect:ConnectFlavor",
    "spark-submit": "wheelrun.orchestrators.submit:SubmitFlavor",
    "spark-standalone": "wheelrun.orchestrators.standalone.orchestrator:StandaloneFlavor",
    "databricks": "wheelrun.orchestrators.databricks.orchestrator:DatabricksFlavor",
}


def names() -> tuple[str, ...]:
    """Return the names of all orchestrators, the built-in ones first."""
    return (*BUILT_IN, *sorted({entry.name for entry in _plugins()} - set(BUILT_IN)))


def flavor(name: str) -> BaseOrchestratorFlavor:
    """Return the flavor of that name.

    Raises:
        ConfigurationError: there is none, two plug-ins claim the name, or its module cannot be imported.
    """
    claims = [entry for entry in _plugins() if entry.name == name]
    if name in BUILT_IN:
        if claims:
            raise ConfigurationError(
                f"the plug-in {_described(claims[0])} claims the name of the built-in orchestrator {name!r}",
                hint="rename or uninstall the plug-in",
            )
        return _loaded(name, "wheelrun", lambda: _attribute(BUILT_IN[name]))
    if len({entry.value for entry in claims}) > 1:
        who = " and ".join(_described(entry) for entry in claims)
        raise ConfigurationError(f"{who} both claim the orchestrator {name!r}", hint="uninstall one of them")
    if not claims:
        near = nearest(name, names())
        raise ConfigurationError(
            f"there is no orchestrator {name!r}",
            hint=f"did you mean {near!r}?" if near else f"known: {', '.join(names())}",
        )
    return _loaded(name, _described(claims[0]), claims[0].load)


def _plugins() -> list[EntryPoint]:
    return list(entry_points(group=GROUP))


def _attribute(reference: str) -> object:
    module, _, attribute = reference.partition(":")
    found: object = getattr(importlib.import_module(module), attribute)
    return found


def _loaded(name: str, source: str, load: Callable[[], object]) -> BaseOrchestratorFlavor:
    from wheelrun.orchestrators.base import BaseOrchestratorFlavor

    try:
        kind = load()
    except (Exception, SystemExit) as error:
        raise ConfigurationError(
            f"the orchestrator {name!r} of {source} cannot be loaded: {type(error).__name__}: {error}",
            hint="install what it needs, or reinstall it",
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, BaseOrchestratorFlavor)):
        raise ConfigurationError(f"the orchestrator {name!r} of {source} is not a BaseOrchestratorFlavor")
    found = kind()
    if found.name != name:
        raise ConfigurationError(f"the orchestrator {name!r} of {source} calls itself {found.name!r}")
    return found


def _described(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
