"""`Run`: a handle on a recorded run, which works in any process that can read the store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wheelrun.errors import RunCancelledError, RunFailedError, RunTimeoutError, WheelrunError
from wheelrun.orchestrators.contract import LogLine
from wheelrun.states import RunState
from wheelrun.store import RunRecord

if TYPE_CHECKING:
    from wheelrun.client.client import Client


class Run:
    """A run. `record` is what was last known; `status` looks again.

    Args:
        client: The client that it belongs to.
        record: What is known.
        warnings: What its submission had to say, each thing once.
        is_new: Whether a submission made it, rather than found it by its idempotency key.
    """

    def __init__(
        self, client: Client, record: RunRecord, *, warnings: Sequence[str] = (), is_new: bool = False
    ) -> None:
        self._client = client
        self.record = record
        self.warnings = tuple(dict.fromkeys(warnings))
        self.is_new = is_new

    @property
    def id(self) -> str:
        """The run's id."""
        return self.record.id

    @property
    def state(self) -> RunState:
        """The state that was last known."""
        return self.record.state

    def status(self) -> RunRecord:
        """Look again, and return the record: states, times, attempts, errors, outputs per step."""
        self.record = self._client.refresh(self.record)
        return self.record

    def wait(
        self,
        *,
        timeout: float | None = None,
        poll: float = 0.1,
        on_change: Callable[[RunRecord], None] | None = None,
    ) -> RunRecord:
        """Wait until the run has ended, and return its record, whatever its state.

        Args:
            timeout: Seconds to wait; None for no limit. The run itself goes on when it is over.
            poll: Seconds between two looks, at first; the pauses grow to four times that.
            on_change: Called with the record at each change.

        Raises:
            TimeoutError: it has not ended in time.
        """
        limit = None if timeout is None else time.monotonic() + timeout
        pause, last = poll, self.record
        while True:
            record = self.status()
            if on_change is not None and record != last:
                on_change(record)
            if record.state.is_terminal:
                return record
            pause = poll if record != last else min(pause * 1.3, poll * 4)
            last = record
            if limit is not None and time.monotonic() > limit:
                raise TimeoutError(f"run {self.id} has not ended within {timeout:g} s; it goes on")
            time.sleep(pause)

    def logs(self, *, step: str | None = None, stream: str | None = None, follow: bool = False) -> Iterator[LogLine]:
        """Yield what the run wrote; see `BaseOrchestrator.logs`."""
        return self._client.orchestrator_of(self.record).logs(self.record, step=step, stream=stream, follow=follow)

    def cancel(self) -> RunRecord:
        """End the run and everything that it started; return its record."""
        self._client.orchestrator_of(self.record).cancel(self.record)
        return self.status()

    def result(self, *, timeout: float | None = None) -> Any:
        """Wait for the run's end and return what its entry returned; frames are read back from its artifacts.

        Raises:
            RunFailedError: it failed; `detail` is the user's traceback.
            RunCancelledError: it was cancelled.
            RunTimeoutError: it took longer than it may.
            TimeoutError: it has not ended within `timeout`.
        """
        self.wait(timeout=timeout)
        self.raise_for_state()
        return self._client.result_of(self.record)

    def raise_for_state(self) -> None:
        """Raise the error of a run that did not succeed."""
        error = failure(self.record)
        if error is not None:
            raise error

    def __repr__(self) -> str:
        return f"<run {self.id} {self.record.name!r} {self.record.state}>"


def failure(record: RunRecord) -> WheelrunError | None:
    """Return the error of a run that has ended without success, else None."""
    if not record.state.is_terminal or record.state.is_success:
        return None
    info = record.error
    message = info.message if info else "no reason is known"
    hint, detail = (info.hint, info.traceback or None) if info else (None, None)
    kind: type[WheelrunError] = RunFailedError
    if record.state is RunState.CANCELLED:
        kind = RunCancelledError
    elif info is not None and info.category == "timeout":
        kind = RunTimeoutError
    return kind(f"run {record.id}: {message}", hint=hint, detail=detail)
