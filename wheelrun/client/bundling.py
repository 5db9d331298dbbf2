"""The bundle of dependencies for a submission."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from wheelrun.config import cache_dir
from wheelrun.orchestrators.base import BaseOrchestrator
from wheelrun.packaging.builder import BuildResult

if TYPE_CHECKING:
    from wheelrun.client.client import Client
    from wheelrun.packaging.bundle import Bundle


def bundle_for(client: Client, orchestrator: BaseOrchestrator, built: BuildResult) -> Bundle | None:
    """Return the bundle of the dependencies that a target wants, None if it wants none or they are none.

    Raises:
        ConfigurationError: a wheel holds compiled code that was not made for the target.
        PackagingError: the dependencies cannot be resolved for it.
    """
    key = orchestrator.python_key()
    python = platform.python_version() if key is None else client.pythons.get(key)
    wanted = orchestrator.bundle_platform(python) if python is not None else None
    if wanted is None:  # or it is the first run there, which only asks for the Python
        return None
    from wheelrun.packaging.bundle import make_bundle
    from wheelrun.packaging.platforms import refuse_unfit

    wheels = (built.wheel, *built.also)
    for wheel in wheels:
        refuse_unfit(wheel, wanted)
    return make_bundle(client.project, wheels, cache_dir(client.environ), wanted, environ=client.environ)
