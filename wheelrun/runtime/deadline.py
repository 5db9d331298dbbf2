"""Ending a step that takes too long, from inside its process."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class StepTimeout(BaseException):
    """A step took longer than it may."""


@contextlib.contextmanager
def deadline(seconds: float | None, cancel: Callable[[], None]) -> Iterator[None]:
    """Raise `StepTimeout` in the body if it takes longer than `seconds`.

    In the main thread a signal interrupts also a blocking call; in another thread the exception comes when Python code
    runs again. Code that never returns to Python is ended from outside, by whoever watches the process.

    Args:
        seconds: The limit; None for none.
        cancel: Called first, to cancel what the body waits for elsewhere.
    """
    if seconds is None:
        yield
    elif threading.current_thread() is threading.main_thread():
        with _by_signal(seconds, cancel):
            yield
    else:
        with _by_exception(seconds, cancel):
            yield


@contextlib.contextmanager
def _by_signal(seconds: float, cancel: Callable[[], None]) -> Iterator[None]:
    def raise_timeout(_signal: int, _frame: FrameType | None) -> None:
        raise StepTimeout

    before = signal.signal(signal.SIGALRM, raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except StepTimeout:
        cancel()
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _by_exception(seconds: float, cancel: Callable[[], None]) -> Iterator[None]:
    thread = threading.get_ident()
    lock, over = threading.Lock(), False

    def interrupt() -> None:
        with lock:
            if over:
                return
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(StepTimeout))
        cancel()

    timer = threading.Timer(seconds, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()
