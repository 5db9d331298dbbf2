"""A submission while it is made: another process can tell that it is, and its record tells the truth if it is not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from wheelrun.errors import ConfigurationError, RunCancelledError, WheelrunError
from wheelrun.orchestrators.base import BaseOrchestrator
from wheelrun.runtime.alive import RunLock
from wheelrun.runtime.tracebacks import said_by
from wheelrun.states import ErrorInfo, RunState
from wheelrun.store import RunRecord, RunStore


class Placeholder:
    """The record of a run that is being submitted."""

    def __init__(self, store: RunStore, record: RunRecord) -> None:
        self._store = store
        self._record = record

    @property
    def id(self) -> str:
        """The run's id."""
        return self._record.id

    @property
    def artifact_root(self) -> str:
        """Where its artifacts lie."""
        return self._record.artifact_root

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the orchestrator has yielded so far."""
        return self._record.metadata

    def publish(self, metadata: Mapping[str, Any]) -> None:
        """Store what an orchestrator yields."""
        self._record = self._store.add_metadata(self.id, metadata)

    def fail(self, error: WheelrunError) -> None:
        """Store the end of a submission that failed."""
        info = ErrorInfo(category=error.category, type=type(error).__name__, message=error.message, hint=error.hint)
        state = RunState.CANCELLED if isinstance(error, RunCancelledError) else RunState.FAILED
        record = self._store.get(self.id)
        if not record.state.is_terminal:
            steps = tuple(
                step if step.state.is_terminal else replace(step, state=RunState.SKIPPED) for step in record.steps
            )
            self._store.update(self.id, state=state, error=info, steps=steps)


@contextlib.contextmanager
def submission(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Hold a lock while a submission is made, by which another process can tell that it is.

    Args:
        folder: Where locks lie.

    Yields:
        What the run's record says of who submits it.
    """
    path = folder / f"{os.getpid()}-{os.urandom(6).hex()}.lock"
    lock = RunLock(path)
    lock.acquire()
    try:
        yield {"pid": os.getpid(), "lock": str(path)}
    finally:
        path.unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def placing(store: RunStore, record: RunRecord, orchestrator: BaseOrchestrator) -> Iterator[Placeholder]:
    """Leave a record that tells the truth, and nothing that runs, when a submission does not come to its end."""
    placeholder = Placeholder(store, record)
    try:
        yield placeholder
    except WheelrunError as error:
        placeholder.fail(error)
        error.run_id = record.id
        raise
    except BaseException as error:
        with contextlib.suppress(NotImplementedError):
            orchestrator.cancel(placeholder)
        if isinstance(error, KeyboardInterrupt):
            placeholder.fail(RunCancelledError("the submission was interrupted"))
        else:
            kind = ConfigurationError if isinstance(error, OSError) else WheelrunError  # the machine is not fit
            placeholder.fail(kind(f"the submission was interrupted: {said_by(error)}"))
        raise
