"""A submission that is not made: what `--dry-run` shows."""

from __future__ import annotations

from dataclasses import dataclass, field

from wheelrun.config import Stack
from wheelrun.deployment import Deployment
from wheelrun.orchestrators.base import BaseOrchestrator
from wheelrun.orchestrators.contract import Request
from wheelrun.packaging.builder import BuildResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a submission would be: the request (secrets masked by `request.display()`), wheel, deployment, target."""

    request: Request
    build: BuildResult
    deployment: Deployment
    stack: Stack = field(repr=False)
    orchestrator: BaseOrchestrator = field(repr=False)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What there is to say of it, each thing once."""
        return tuple(dict.fromkeys([*self.orchestrator.warnings, *self.build.warnings]))
