"""What travels for a run: the wheels, as the service installs them, and the deployment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wheelrun.config import Stack
from wheelrun.deployment import OWN_DISTRIBUTION, Deployment
from wheelrun.orchestrators.leases import keep_all
from wheelrun.orchestrators.roots import NAMES, Root
from wheelrun.orchestrators.wheeled import reference
from wheelrun.packaging.wheel import Wheel
from wheelrun.runtime.masking import public


@dataclass(frozen=True, slots=True)
class Shipping:
    """The wheels of a deployment below an artifact root.

    wheelrun's own wheel lies beside the project's, so that one look tells of both.

    Attributes:
        deployment: The deployment; its wheels are known.
        own: wheelrun's own wheel.
    """

    deployment: Deployment
    own: Wheel

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the wheels below the root, wheelrun's own last."""
        return tuple(f"{folder}/{file}" for folder, files in self._shelves().items() for file in files)

    def is_there(self, root: Root) -> bool:
        """Whether all wheels are there; those that are stay for the next half an hour. One call for each project."""
        if self.deployment.wheel is None:
            return False
        return all(keep_all(root, folder, dict.fromkeys(files)) for folder, files in self._shelves().items())

    def send(self, root: Root, wheels: Sequence[Wheel], run_id: str) -> int:
        """Put everything under the artifact root that is not there; return the bytes of code that were sent.

        Raises:
            UploadError: it cannot be written.
        """
        paths = {reference(wheel).file: wheel.path for wheel in (*wheels, self.own)}
        sent = 0
        if wheels:  # a run that is taken up finds them there
            for folder, files in self._shelves().items():
                sizes = {file: paths[file].stat().st_size for file in files}
                if not keep_all(root, folder, sizes):
                    sent += sum(root.put(paths[file], f"{folder}/{file}") for file in files)
        root.write(NAMES.run(run_id).deployment.as_posix(), self.deployment.to_json().encode())
        return sent

    def _shelves(self) -> Mapping[str, list[str]]:
        """Return the wheels' files by the folders that they lie in."""
        first = self.deployment.wheel
        if first is None:
            return {}
        shelves: dict[str, list[str]] = {}
        for wheel in (first, *(each for each in self.deployment.also if each.name != OWN_DISTRIBUTION)):
            name = NAMES.wheel(wheel.name, wheel.digest, wheel.file)
            shelves[name.parent.as_posix()] = [name.name]
        shelves[NAMES.wheel(first.name, first.digest, first.file).parent.as_posix()].append(self.own.path.name)
        return shelves


def ready(deployment: Deployment, stack: Stack, own: Wheel, max_parallel_steps: int) -> Deployment:
    """Return a deployment as its tasks read it: with wheelrun's own wheel, and the run's public settings."""
    return deployment.with_settings(
        also=(*deployment.also, reference(own)),
        conf=public(stack.conf),
        environment=public(stack.environment),
        max_parallel_steps=max_parallel_steps,
    )
