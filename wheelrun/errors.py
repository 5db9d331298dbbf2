"""The one error tree.

    WheelrunError                 1
    |-- UsageError                2    a command or call that cannot be understood
    |-- ConfigurationError        3    configuration, project or preflight
    |   `-- StoreError            3    the run store cannot be read or written
    |-- PackagingError            5    the wheel could not be made
    |   |-- SecretError           5    a secret would ship
    |   |-- SizeError             5    too much would ship
    |   `-- BuildError            5    a build ran and failed (also a RuntimeError)
    |-- SubmissionError           6    the target refused or did not answer
    |   |-- UploadError           6
    |   |-- ClusterError          6
    |   `-- LibraryError          6
    |-- UserCodeError             1    the user's code raised
    |-- RunFailedError            1    a run ended as failed
    |-- RunCancelledError         4
    `-- RunTimeoutError           124

The number is the process's exit code. Only `wheelrun.cli` prints and exits. Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class WheelrunError(Exception):
    """The root of everything that wheelrun raises on purpose.

    Args:
        message: What happened, where.
        hint: What to do about it.
        detail: Output that belongs to it and is shown as it is: a build's log, the user's traceback.

    Attributes:
        run_id: The run that was already recorded when it happened, if any.
    """

    exit_code: ClassVar[int] = 1
    category: ClassVar[str] = "cluster"
    run_id: str | None = None

    def __init__(self, message: str, *, hint: str | None = None, detail: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail


class UsageError(WheelrunError):
    """A command or call that cannot be understood."""

    exit_code = 2
    category = "configuration"


class ConfigurationError(WheelrunError):
    """The configuration, the project or the machine is not fit for what was asked; nothing was sent."""

    exit_code = 3
    category = "configuration"


class StoreError(ConfigurationError):
    """The run store cannot be read or written."""


class PackagingError(WheelrunError):
    """The wheel could not be made."""

    exit_code = 5
    category = "packaging"


class SecretError(PackagingError):
    """A file that would ship holds a secret."""


class SizeError(PackagingError):
    """What would ship is larger than the limit."""


class BuildError(PackagingError, RuntimeError):
    """A build backend ran and did not leave a valid wheel; `detail` holds its output."""


class SubmissionError(WheelrunError):
    """The target refused the submission or did not answer."""

    exit_code = 6
    category = "cluster"


class UploadError(SubmissionError):
    """An artifact could not be put where the target reads it."""

    category = "upload"


class ClusterError(SubmissionError):
    """The cluster could not take or keep the run."""


class LibraryError(SubmissionError):
    """A dependency could not be resolved or installed."""

    category = "library"


class UserCodeError(WheelrunError):
    """The user's code raised; `detail` is the user's traceback."""

    category = "user code"


class RunFailedError(WheelrunError):
    """A run ended as failed."""

    category = "user code"


class RunCancelledError(WheelrunError):
    """A run was cancelled."""

    exit_code = 4
    category = "cancelled"


class RunTimeoutError(WheelrunError):
    """A run or a step took longer than it may."""

    exit_code = 124
    category = "timeout"


def nearest(name: str, known: Iterable[str], *, likeness: float = 0.55) -> str | None:
    """Return the known name that looks most like `name`, or None if none is near.

    Args:
        name: The name.
        known: The known names.
        likeness: How alike they have to be, from 0 to 1.
    """
    import difflib

    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=likeness)
    return matches[0] if matches else None
