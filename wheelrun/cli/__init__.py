"""The command line. Only this package prints and exits.

`main` answers `--version` by itself, so that it costs no more than Python's own start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INTERRUPTED = 130
BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; see `wheelrun.cli.app` for the codes.

    Args:
        arguments: The words after `wheelrun`; by default the process's.
    """
    import sys

    words = sys.argv[1:] if arguments is None else list(arguments)
    if sys.stdin is None or sys.stdout is None or sys.stderr is None:
        _open_streams()
    try:
        if words == ["--version"]:
            from wheelrun._version import __version__

            sys.stdout.write(f"wheelrun {__version__}\n")
            code = 0
        else:
            from wheelrun.cli.app import run

            code = run(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        import os

        # What is still buffered would be written, and refused, once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


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
