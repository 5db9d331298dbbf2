"""Submissions and collectors that meet at one wheel, in every order."""

from __future__ import annotations

import threading
import time

import pytest

from wheelrun.errors import UploadError
from wheelrun.orchestrators import leases
from wheelrun.orchestrators.leases import GOING, KEPT, USED, keep, take
from wheelrun.orchestrators.roots import Root

FOLDER = "wheels/shop/0123456789abcdef"
WHEEL = f"{FOLDER}/shop-1.0-py3-none-any.whl"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.whl"
    path.write_bytes(b"a wheel")
    return path


@pytest.fixture
def old(root, source, age):
    """A root with a wheel in it that nobody used for two hours."""
    root.put(source, WHEEL)
    age(root, WHEEL)
    return root


def limit(root):
    return root.clock() - KEPT


def waits(event: threading.Event):
    """Return a sleep that tells that it is called."""

    def sleep(_seconds: float) -> None:
        event.set()
        time.sleep(0.005)

    return sleep


def test_what_is_not_there_is_not_kept(root, source):
    assert not keep(root, WHEEL)
    root.put(source, WHEEL)
    assert keep(root, WHEEL)
    assert keep(root, WHEEL, size=7)
    assert not keep(root, WHEEL, size=8)
    assert not keep(root, f"{FOLDER}/other.whl")
    assert list(root.children(FOLDER)) == [WHEEL.rpartition("/")[2]]


def test_what_was_found_counts_as_used_now(old, source):
    assert old.put(source, WHEEL) == 0
    assert old.stat(f"{FOLDER}/{USED}").modified > limit(old) + KEPT / 2
    assert old.names(FOLDER) == [WHEEL.rpartition("/")[2]]
    assert take(old, FOLDER, before=limit(old)) is None
    assert old.exists(WHEEL)


def test_what_is_old_is_taken(old):
    old.write("wheels/shop/0123456789abcdef0/other.whl", b"x")
    assert take(old, FOLDER, before=limit(old)) == 7
    assert old.files(FOLDER) == []
    assert old.exists("wheels/shop/0123456789abcdef0/other.whl")
    assert take(old, FOLDER, before=limit(old)) is None


def test_what_is_young_is_left_without_a_trace(root, source):
    root.put(source, WHEEL)
    assert take(root, FOLDER, before=limit(root)) is None
    assert [file.name for file in root.files(FOLDER)] == [WHEEL]


def test_a_submission_before_the_collectors_look_keeps_the_wheel(old, monkeypatch):
    before, taken, marked, waiting = limit(old), [], threading.Event(), threading.Event()
    collector = threading.Thread(target=lambda: taken.append(take(old, FOLDER, before=before)))
    look, write = old.files, old.write

    def files(folder):
        marked.set()
        assert waiting.wait(30)
        return look(folder)

    def written(name, content):
        write(name, content)
        if name.endswith(USED):
            collector.start()
            assert marked.wait(30)

    monkeypatch.setattr(old, "files", files)
    monkeypatch.setattr(old, "write", written)
    assert keep(old, WHEEL, sleep=waits(waiting))
    collector.join(30)
    assert waiting.is_set()
    assert taken == [None]
    assert old.exists(WHEEL)


def test_a_submission_after_the_collectors_look_sends_the_wheel_again(old, source, monkeypatch):
    before, sent, waiting = limit(old), [], threading.Event()
    monkeypatch.setitem(keep.__kwdefaults__, "sleep", waits(waiting))
    submission = threading.Thread(target=lambda: sent.append(old.put(source, WHEEL)))
    remove = old.remove

    def removed(names):
        if not submission.ident:
            submission.start()
            assert waiting.wait(30)
        remove(names)

    monkeypatch.setattr(old, "remove", removed)
    assert take(old, FOLDER, before=before) == 7
    submission.join(30)
    assert sent == [7]
    assert old.read(WHEEL) == b"a wheel"


def test_two_collectors_leave_it_to_each_other(old, monkeypatch):
    look, results = old.files, []

    def files(folder):
        monkeypatch.setattr(old, "files", look)
        results.append(take(old, FOLDER, before=limit(old)))
        return look(folder)

    monkeypatch.setattr(old, "files", files)
    results.append(take(old, FOLDER, before=limit(old)))
    assert results[0] is None  # it saw the mark of the other, which went on
    assert results[1] == 7


def test_the_mark_of_a_dead_collector_does_not_hold_forever(old):
    old.write(f"{FOLDER}/{GOING}dead", b"")
    assert keep(old, WHEEL, dead=0.0)
    assert sorted(old.children(FOLDER)) == [USED, WHEEL.rpartition("/")[2]]


def test_a_collector_that_was_held_up_gives_up(old, monkeypatch):
    monkeypatch.setattr(leases, "_GIVEN_UP", -1.0)
    assert take(old, FOLDER, before=limit(old)) is None
    assert [file.name for file in old.files(FOLDER)] == [WHEEL]


def test_who_may_not_write_still_uses_what_is_there(old, source, monkeypatch):
    def refuse(*_):
        raise UploadError("read only")

    monkeypatch.setattr(old, "write", refuse)
    assert old.put(source, WHEEL) == 0


def test_nothing_is_lost_where_both_go_on_and_on(tmp_path, source, age):
    root = Root.open(str(tmp_path / "root"))
    root.write("x", b"")
    before, done, passes, taken = limit(root), threading.Event(), [0], []

    def collector():
        while not done.is_set():
            taken.append(take(root, FOLDER, before=before))
            passes[0] += 1

    thread = threading.Thread(target=collector)
    thread.start()
    try:
        for _ in range(30):
            root.put(source, WHEEL)
            seen = passes[0]
            while passes[0] < seen + 2 and thread.is_alive():  # a whole pass that began after it was put
                time.sleep(0.001)
            assert root.read(WHEEL) == b"a wheel"
            for file in root.files(FOLDER):
                if GOING not in file.name:
                    try:
                        age(root, file.name)
                    except FileNotFoundError:
                        break  # it was old enough, and is gone
    finally:
        done.set()
        thread.join(30)
    assert 7 in taken
