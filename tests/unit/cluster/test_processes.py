"""Parts that are no JVM: what starting, finding and ending does is the same."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys

import pytest
from waiting import until

from wheelrun.cluster import conf, processes
from wheelrun.cluster.cluster import _undone
from wheelrun.errors import ClusterError
from wheelrun.runtime import standing
from wheelrun.runtime.standing import last_lines

WAITS = "import signal; signal.pause()"


def start(folder, code=WAITS, part="worker-1", *, ready=True):
    """Start a part that says when it is ready, and wait for that."""
    environ = conf.environment(part, folder, os.environ, spark_home="", java={})
    if ready:
        before, pause, _ = code.rpartition("signal.pause()")
        code = f"{before}print('ready', flush=True); {pause}"
    pid = processes.start(part, folder, [sys.executable, "-c", code], environ)
    if ready:
        until(lambda: "ready" in last_lines(folder.log(part)))
    return pid


def test_a_part_holds_its_lock_as_long_as_it_lives(folder):
    assert not folder.is_alive("worker-1")
    pid = start(folder)
    assert folder.is_alive("worker-1")
    assert processes.belonging(folder) == [pid]
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not folder.is_alive("worker-1"))
    until(lambda: processes.belonging(folder) == [])


def test_its_children_do_not_hold_it(folder):
    code = "import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); "
    pid = start(folder, code + "signal.pause()")
    until(lambda: len(processes.belonging(folder)) == 2)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not folder.is_alive("worker-1"))
    assert processes.end(folder) == 1


@pytest.mark.parametrize(
    "spawn",
    [
        "subprocess.Popen(child, env={})",
        "subprocess.Popen(child, start_new_session=True)",
        "subprocess.Popen(child, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)",
    ],
    ids=["without an environment", "in a session of its own", "detached"],
)
def test_everything_below_a_part_is_found_when_the_part_is_gone(folder, spawn):
    child = "child = [sys.executable, '-c', 'import signal; signal.pause()']"
    code = f"import signal, subprocess, sys; {child}; subprocess.Popen(child); {spawn}; signal.pause()"
    pid = start(folder, code)
    assert len(until(lambda: (found := processes.belonging(folder)) and len(found) == 3 and found)) == 3
    os.kill(pid, signal.SIGKILL)
    until(lambda: len(processes.belonging(folder)) == 2)
    assert processes.end(folder) == 2
    assert processes.belonging(folder) == []


def test_what_ignores_the_question_is_killed(folder):
    start(folder, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()")
    assert processes.end(folder, grace=0.3) == 1
    assert not folder.is_alive("worker-1")


def test_only_the_parts_that_were_named(folder):
    first, second = start(folder), start(folder, part="worker-2")
    assert processes.belonging(folder, ["worker-1"]) == [first]
    assert processes.end(folder, ["worker-1"]) == 1
    assert processes.belonging(folder) == [second]
    assert processes.end(folder, []) == 0
    assert folder.is_alive("worker-2")


def test_strangers_are_left_alone(folder, tmp_path):
    from wheelrun.cluster.folder import Folder

    other = Folder(tmp_path / "data with a space" / "cluster-2")
    with subprocess.Popen([sys.executable, "-c", WAITS]) as stranger:
        neighbour = start(other)
        try:
            start(folder)
            assert processes.end(folder) == 1
            assert stranger.poll() is None
            assert processes.belonging(other) == [neighbour]
        finally:
            stranger.kill()
            processes.end(other)


def test_a_part_that_is_there_is_not_started_again(folder, monkeypatch):
    monkeypatch.setattr(standing, "LOCK_TIMEOUT", 0.05)
    start(folder)
    with pytest.raises(ClusterError, match="the worker-1 is already there"):
        start(folder, ready=False)


def test_what_cannot_be_started(folder):
    with pytest.raises(ClusterError, match=r"the master cannot be started: .*nothing: No such file"):
        processes.start("master", folder, [str(folder.path / "nothing")], {})
    assert not folder.is_alive("master")


def test_the_log_goes_on_and_is_the_owners_only(folder):
    for word in ("one", "two"):
        start(folder, f"print('{word}')", ready=False)
        until(lambda: not folder.is_alive("worker-1"))
    assert last_lines(folder.log("worker-1")).split() == ["one", "two"]
    assert last_lines(folder.log("worker-1"), 1) == "two"
    assert last_lines(folder.log("nobody")) == ""
    assert stat.S_IMODE(folder.log("worker-1").stat().st_mode) == 0o600


def test_ps_says_the_same_as_proc(folder):
    pid = start(folder)
    entry = f"{conf.CLUSTER_VARIABLE}={folder.mark}".encode()
    for listing in (processes._from_proc, processes._from_ps):
        assert [found for found, text, between in listing() if processes._says(text, entry, between)] == [pid]


def test_what_fails_ends_what_it_started_and_no_more(folder):
    def fail(*, fresh):
        with _undone(folder, fresh=fresh) as started:
            started.append("worker-2")
            start(folder, part="worker-2")
            raise KeyboardInterrupt

    start(folder)
    with pytest.raises(KeyboardInterrupt):
        fail(fresh=False)
    assert folder.is_alive("worker-1")
    assert not folder.is_alive("worker-2")
    with pytest.raises(KeyboardInterrupt):
        fail(fresh=True)
    assert processes.belonging(folder) == []
