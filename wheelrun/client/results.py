"""What a run's entry returned, read back from its artifacts."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wheelrun.deployment import Deployment
from wheelrun.orchestrators.roots import NAMES, Root
from wheelrun.runtime import artifacts
from wheelrun.runtime.values import decode
from wheelrun.store import RunRecord


def result_of(record: RunRecord, deployment: Deployment) -> Any:
    """Return what a run's entry returned; an output of a step that did not succeed is None.

    What lies behind a URL is copied to a temporary folder first; a frame of Spark stays there until this process ends.
    """
    root = Root.open(record.artifact_root)
    states = {step.name: step.state for step in record.steps}

    def load(_tag: str, content: Any) -> Any:
        step, output = content
        return artifacts.load(_folder(root, record.id, step, output)) if states[step].is_success else None

    with _importable(Path(record.project)):
        return decode(deployment.result, load)


def _folder(root: Root, run_id: str, step: str, output: str) -> Path:
    name = NAMES.run(run_id).output(step, output)
    if root.is_local:
        return root.local / name
    _COPIES.append(tempfile.TemporaryDirectory(prefix="wheelrun-result-"))
    return root.fetch(name.as_posix(), Path(_COPIES[-1].name) / "output")


_COPIES: list[tempfile.TemporaryDirectory[str]] = []
"""Copies of outputs that Spark may still read from; they go when this process ends."""


@contextlib.contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Make a project's modules importable while its values are read back."""
    added = [str(root), str(root / "src")]
    sys.path.extend(added)
    try:
        yield
    finally:
        for entry in added:
            with contextlib.suppress(ValueError):
                sys.path.remove(entry)
