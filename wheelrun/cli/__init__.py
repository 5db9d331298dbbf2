"""The command line. Only this package prints and exits.

`main` answers `--version` by itself, so that it costs no more than Python's own start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
BROKEN_PIPE = 141
UNFIT = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see `wheelrun.cli.app` for the codes.

    Args:
        arguments: The words after `wheelrun`; by default the process's.
    """
    import sys

    code = 0
    words = sys.argv[1:] if arguments is None else list(arguments)
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        _open_streams()
    try:
        if words == ["--version"]:
            from wheelrun._version import __version__

            sys.stdout.write(f"wheelrun {__version__}\n")
        else:
            from wheelrun.cli.app import run

            code = run(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError:
        code = BROKEN_PIPE
    except OSError as error:  # what was still buffered has no room
        sys.stderr.write(f"error: standard output cannot be written: {error.strerror}\n")
        code = code or UNFIT
    _give_up_on_what_cannot_be_written()
    return code


def _give_up_on_what_cannot_be_written() -> None:
    """Take away what is still buffered and cannot be written: Python would try once more when it ends, and say so."""
    import sys

    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # noqa: PERF203 - of two streams
            import os

            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_streams() -> None:
    """Open what was closed when Python started, so that no file of ours takes the place of a standard stream."""
    import os
    import sys

    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8")
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8")
