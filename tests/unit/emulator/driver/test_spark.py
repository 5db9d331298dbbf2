"""How a task comes to the cluster's Spark; what it then does with it, the integration tests show."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

import pytest

from wheelrun.emulator.driver.dbruntime.spark import Attaching, gateway_of


@pytest.fixture
def emulator():
    """The emulator's end of a socket, and the descriptor of the task's."""
    own, theirs = socket.socketpair()
    with own, theirs:
        yield own, theirs.fileno()


@contextlib.contextmanager
def answering(own, text):
    """Answer a request with a text; yield what was asked."""
    asked = []

    def answer():
        asked.append(own.recv(100))
        own.sendall(text)
        own.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=answer)
    thread.start()
    yield asked
    thread.join()


def test_a_gateway(emulator):
    own, channel = emulator
    with answering(own, b'{"port": 1, "secret": "s", "tag": "t"}\n') as asked:
        assert gateway_of(channel) == {"port": 1, "secret": "s", "tag": "t"}
    assert asked == [b"open\n"]
    own.setblocking(False)
    with pytest.raises(BlockingIOError):  # it stays open as long as the task runs
        own.recv(1)


@pytest.mark.parametrize("answer", [b"", b'{"problem": "no heap"}\n'], ids=["the cluster ends", "no Spark"])
def test_no_gateway(emulator, answer):
    own, channel = emulator
    with answering(own, answer), pytest.raises(RuntimeError, match="could not be started"):
        gateway_of(channel)


@pytest.mark.parametrize("variable", ["SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED"])
def test_who_connects_to_a_server_is_left_alone(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    assert Attaching(-1).find_spec("pyspark", None) is None


def test_other_packages_are_left_alone():
    assert Attaching(-1).find_spec("json", None) is None


def test_it_comes_with_the_import(tmp_path, monkeypatch, emulator):
    """A package of that name stands in, which cannot be attached: it is there already when a gateway is asked for."""
    own, channel = emulator
    (tmp_path / "pyspark.py").write_text("LOADED = True\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", [Attaching(channel), *sys.meta_path])
    with answering(own, b"{}\n"), pytest.raises(RuntimeError, match="could not be started"):
        import pyspark  # noqa: F401
    assert not [each for each in sys.meta_path if isinstance(each, Attaching)]
