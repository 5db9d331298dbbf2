"""`Workspace`: a project, its configuration and its wheel, without orchestrators and store.

It is a module of its own so that a build imports nothing that only a submission needs.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from wheelrun.cluster import offered as cluster
from wheelrun.config import Settings, cache_dir, load_settings, with_targets
from wheelrun.emulator import offered as emulator
from wheelrun.errors import ConfigurationError
from wheelrun.packaging.builder import BuildResult
from wheelrun.packaging.builder import build as build_project
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.project import PackageSettings, Project, find_root, load_project

OFFERED = (("wheelrun cluster up", cluster.targets), ("wheelrun emulator up", emulator.targets))
"""What offers targets on this machine while it is up, by how it is started."""


class Workspace:
    """A project and what is needed to build it.

    Args:
        project: The project's folder; by default the nearest project at or above the working directory, else the folder
            of the main program.
        cwd: The working directory; by default the process's.
        environ: The environment; by default the process's.
    """

    def __init__(
        self,
        project: Path | str | None = None,
        *,
        cwd: Path | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._given = Path(project) if project is not None else None
        self._cwd = cwd or Path.cwd()
        self.environ = os.environ if environ is None else environ

    @functools.cached_property
    def root(self) -> Path:
        """The project's root.

        Raises:
            ConfigurationError: there is none.
        """
        return find_root(self._given, cwd=self._cwd, main_file=main_file())

    @functools.cached_property
    def settings(self) -> Settings:
        """The project's configuration; without a project, the user's own.

        Below both lie the targets of what is up on this machine.
        """
        try:
            root = self.root
        except ConfigurationError:
            if self._given is not None:
                raise
            root = self._cwd
        settings = load_settings(root, self.environ)
        for command, targets in OFFERED:
            settings = with_targets(settings, targets(self.environ), command)
        return settings

    @functools.cached_property
    def project(self) -> Project:
        """The project."""
        return load_project(self.root, PackageSettings(**asdict(self.settings.package)))

    @functools.cached_property
    def cache(self) -> WheelCache:
        """The wheel cache."""
        return WheelCache(cache_dir(self.environ))

    def build(self, *, allow_secrets: Collection[str] = ()) -> BuildResult:
        """Build the project's wheel, or take it from the cache if nothing has changed.

        Args:
            allow_secrets: Paths that the secret guard lets through, besides the configured ones.

        Raises:
            PackagingError: it cannot be built.
        """
        return build_project(self.project, self.cache, allow_secrets=allow_secrets)


def main_file() -> Path | None:
    """Return the file that runs as the main program, if it is the user's own and not wheelrun."""
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    path = Path(file).resolve() if file else None
    package = Path(__file__).resolve().parent.parent
    if path is None or path.suffix != ".py" or package in path.parents:
        return None
    return path
