"""What is set around a step while it runs, and put back."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping

from wheelrun.runtime.tracebacks import user_traceback


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables, and put the old values back at the end."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def only_this_process() -> Iterator[None]:
    """End a process that the user's code forked, and that comes out of that code, as Python would end it.

    Otherwise it would tell of the step, store outputs and run the next steps a second time.
    """
    here = os.getpid()
    status = 0
    try:
        yield
    except SystemExit as error:
        if os.getpid() == here:
            raise
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        if os.getpid() == here:
            raise
        status = 1
        with contextlib.suppress(Exception):
            sys.stderr.write(user_traceback(error))
    finally:
        if os.getpid() != here:
            flush()
            os._exit(status & 0xFF)


def flush() -> None:
    """Flush what was printed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a stream that the user's code closed or replaced is theirs
            stream.flush()
