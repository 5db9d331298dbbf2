"""wheelrun: get the Python repository in front of you onto a Spark cluster.

The public names load when they are first used, so that `import wheelrun` costs nothing and, on a cluster, needs
nothing but the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wheelrun._version import __version__

if TYPE_CHECKING:
    from wheelrun.client import Client as Client
    from wheelrun.client import Run as Run
    from wheelrun.client import build as build
    from wheelrun.client import cancel as cancel
    from wheelrun.client import logs as logs
    from wheelrun.client import prepare as prepare
    from wheelrun.client import rerun as rerun
    from wheelrun.client import resume as resume
    from wheelrun.client import runs as runs
    from wheelrun.client import status as status
    from wheelrun.client import submit as submit
    from wheelrun.deployment import Deployment as Deployment
    from wheelrun.errors import WheelrunError as WheelrunError
    from wheelrun.orchestrators.base import BaseOrchestrator as BaseOrchestrator
    from wheelrun.orchestrators.base import BaseOrchestratorConfig as BaseOrchestratorConfig
    from wheelrun.orchestrators.base import BaseOrchestratorFlavor as BaseOrchestratorFlavor
    from wheelrun.orchestrators.contract import Capabilities as Capabilities
    from wheelrun.orchestrators.local import LocalOrchestrator as LocalOrchestrator
    from wheelrun.orchestrators.wheeled import WheeledOrchestrator as WheeledOrchestrator
    from wheelrun.pipelines import pipeline as pipeline
    from wheelrun.pipelines import step as step
    from wheelrun.runtime.context import current_run as current_run
    from wheelrun.states import RunState as RunState
    from wheelrun.step_settings import Resources as Resources
    from wheelrun.step_settings import RunIf as RunIf

_HOMES = {
    "wheelrun.pipelines": ("pipeline", "step"),
    "wheelrun.step_settings": ("Resources", "RunIf"),
    "wheelrun.runtime.context": ("current_run",),
    "wheelrun.states": ("RunState",),
    "wheelrun.errors": ("WheelrunError",),
    "wheelrun.deployment": ("Deployment",),
    "wheelrun.client": (
        "Client",
        "Run",
        "build",
        "cancel",
        "logs",
        "prepare",
        "rerun",
        "resume",
        "runs",
        "status",
        "submit",
    ),
    "wheelrun.orchestrators.base": (
        "BaseOrchestrator",
        "BaseOrchestratorConfig",
        "BaseOrchestratorFlavor",
    ),
    "wheelrun.orchestrators.contract": ("Capabilities",),
    "wheelrun.orchestrators.wheeled": ("WheeledOrchestrator",),
    "wheelrun.orchestrators.local": ("LocalOrchestrator",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: PLE0604 - the names of _HOME, which a test holds against the block above
    "__version__",
    *sorted(_HOME),
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'wheelrun' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
