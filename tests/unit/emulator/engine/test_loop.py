from __future__ import annotations

import threading

from wheelrun.emulator.engine.loop import Loop


def test_what_is_posted_is_done_in_order():
    loop, done = Loop(), []
    for number in range(3):
        loop.post(lambda number=number: done.append(number))
    loop.post(loop.end)
    loop.post(lambda: done.append("too late"))
    loop.run()
    assert done == [0, 1, 2]


def test_what_is_due_later_is_done_later():
    loop, done = Loop(), []
    loop.later(0.03, loop.end)
    loop.later(0.02, lambda: done.append("second"))
    loop.later(0.01, lambda: done.append("first"))
    loop.later(0.015, lambda: done.append("never")).cancel()
    loop.post(lambda: done.append("at once"))
    loop.run()
    assert done == ["at once", "first", "second"]


def test_other_threads_wake_it():
    loop = Loop()
    threading.Timer(0.01, lambda: loop.post(loop.end)).start()
    loop.run()
