"""`WheeledOrchestrator`: an orchestrator that runs a wheel made from the user's repository."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wheelrun.config import Stack
from wheelrun.deployment import Deployment, WheelRef
from wheelrun.errors import ConfigurationError, PackagingError, WheelrunError
from wheelrun.orchestrators.base import BaseOrchestrator, BaseOrchestratorConfig
from wheelrun.orchestrators.roots import NAMES, Root
from wheelrun.packaging.snapshot import Snapshot
from wheelrun.packaging.wheel import Wheel

if TYPE_CHECKING:
    from wheelrun.packaging.bundle import Bundle


class WheeledOrchestrator(BaseOrchestrator, ABC):
    """Base class of orchestrators that run steps from a wheel.

    The three public methods are the road from a repository to a wheel in the open; `wheelrun.packaging.builder.build`
    walks the same road with a cache and the guards.

    Args:
        config: The typed settings.
        name: The target's name, for messages.
        environ: The environment that processes on this machine get; by default the process's.
        source_root: The repository; by default the nearest project at or above the working directory.
        wheels: The wheels that a run needs, the project's own first.
    """

    def __init__(
        self,
        config: BaseOrchestratorConfig,
        *,
        name: str = "",
        environ: Mapping[str, str] | None = None,
        source_root: Path | None = None,
        wheels: Sequence[Wheel] = (),
    ) -> None:
        super().__init__(config, name=name, environ=environ)
        self.source_root = source_root
        self.wheels = tuple(wheels)
        self.bundle: Bundle | None = None
        self._snapshots: dict[str, Snapshot] = {}

    def copy_repository_to_temp_dir_and_add_setup_py(self) -> str:
        """Copy what ships of the repository to a temporary directory, and write a setup.py for it there.

        A project that builds itself keeps its own files instead. The caller removes the directory.

        Returns:
            The directory's path.

        Raises:
            ConfigurationError: there is no project.
            PackagingError: there is nothing to ship, or it cannot be read.
        """
        from wheelrun.packaging.assemble import add_setup_py
        from wheelrun.packaging.project import Layout, find_root, load_project
        from wheelrun.packaging.snapshot import copy_tree, scan

        tree = scan(load_project(find_root(self.source_root)))
        directory = tempfile.mkdtemp(prefix="wheelrun-")
        try:
            snapshot = copy_tree(tree, Path(directory))
            if tree.project.layout is Layout.BACKEND:
                self._snapshots[directory] = snapshot
            else:
                add_setup_py(snapshot)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return directory

    def create_wheel(self, temp_dir: str) -> str:
        """Make a wheel of the project in a directory, without leaving the working directory and without network.

        Args:
            temp_dir: A directory with a setup.py, as `copy_repository_to_temp_dir_and_add_setup_py` made it.

        Returns:
            The absolute path of the wheel, whose RECORD was verified.

        Raises:
            RuntimeError: the wheel could not be made (a `BuildError`, with the build's own output).
        """
        from wheelrun.packaging.assemble import backend_wheel, wheel_from_setup_py
        from wheelrun.packaging.wheel import verify_record

        out = Path(temp_dir).absolute() / "dist"
        out.mkdir(exist_ok=True)
        snapshot = self._snapshots.pop(temp_dir, None)
        if snapshot is None:
            path = wheel_from_setup_py(Path(temp_dir), out)
        else:
            path = backend_wheel(snapshot, out, allow=(), isolated=True, scm_version=None)
        verify_record(path)
        return str(path)

    def sanitize_name(self, name: str) -> str:
        """Make a name fit for a cluster: lower case, every character outside `[a-z0-9-]` a dash, no dash at the ends.

        The rules are the field's: one dash for one character, so `a__b` gives `a--b`; `---` gives an empty string. What
        is sent to a target goes through `strict_name`.
        """
        return re.sub(r"[^a-z0-9-]", "-", name.lower()).strip("-")

    def strict_name(self, name: str, *, limit: int = 63) -> str:
        """Make a name that any target takes: never empty, dashes collapsed, capped so that two names stay two.

        Args:
            name: Any text.
            limit: The most characters that the target takes; at least 16.
        """
        clean = re.sub(r"-+", "-", self.sanitize_name(name))
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        if not clean:
            return f"run-{digest}"
        if len(clean) > limit:
            return f"{clean[: limit - 9].rstrip('-')}-{digest}"
        return clean

    def has_code(self, deployment: Deployment, stack: Stack) -> bool:
        """Whether the wheels of a deployment lie under the artifact root; if so, they stay for the next hour."""
        root = Root.open(stack.artifact_root)
        wheels = (deployment.wheel, *deployment.also)
        return all(wheel and root.keep(self.shipped_name(wheel)) for wheel in wheels)

    def ship(self, root: Root) -> int:
        """Put the run's wheels under an artifact root; return how many bytes had to be sent.

        Raises:
            UploadError: they cannot be written there.
        """
        return sum(root.put(wheel.path, self.shipped_name(reference(wheel))) for wheel in self.wheels)

    def shipped_name(self, wheel: WheelRef) -> str:
        """Return a wheel's name below the artifact root: content-addressed, so what is there is not sent again."""
        return NAMES.wheel(wheel.name, wheel.digest, wheel.file).as_posix()


def reference(wheel: Wheel) -> WheelRef:
    """Return what a deployment says of a wheel."""
    return WheelRef(file=wheel.path.name, name=wheel.name, version=wheel.version, digest=wheel.digest)


def missing_wheel(path: Path) -> PackagingError:
    """Return the error for a wheel that a recorded run needs and that is gone."""
    return PackagingError(f"the run's wheel {path} is gone", hint="submit it again")


def root_check(stack: Stack) -> tuple[str, str | None, str | None]:
    """Return the check of a target's artifact root: its name, what is wrong (None if nothing), and the remedy."""
    try:
        problem: WheelrunError | None = Root.open(stack.artifact_root).problem()
    except ConfigurationError as error:
        problem = error
    if problem is None:
        return "artifact root", None, None
    return "artifact root", problem.message, problem.hint
