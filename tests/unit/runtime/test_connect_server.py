"""A Connect server as its client sees it, where none is needed."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from wheelrun.errors import ClusterError
from wheelrun.runtime import connect
from wheelrun.runtime.connect_server import Server, first_line, is_proxied, missing, patience, reach, release, within
from wheelrun.runtime.remote import REMOTE, SECRETS, TOKEN, Remote


def test_the_environment_is_completed_by_what_pyspark_takes_from_nowhere_else(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "4.0.0")
    environ = {REMOTE: "sc://h:7/;use_ssl=true", SECRETS: "x-api-key=k%20y", TOKEN: "t"}
    server = Server(environ)
    assert environ == {REMOTE: "sc://h:7/;use_ssl=true;x-api-key=k%20y", TOKEN: "t"}
    assert server.remote.place == "sc://h:7"


def test_an_old_client_gets_the_token_in_the_address(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "3.5.6")
    environ = {REMOTE: "sc://h:7", TOKEN: "a b"}
    Server(environ)
    assert environ == {REMOTE: "sc://h:7/;token=a%20b", TOKEN: "a b"}


def test_what_a_server_refuses_is_told_without_the_secrets():
    server = Server({REMOTE: "sc://h:7", TOKEN: "S3CR3T", SECRETS: "x-api-key=K3Y"})
    error = server.refusal(ValueError("metadata was invalid: [('x-api-key', 'K3Y'), ('token', 'S3CR3T')]\nmore"))
    said = "metadata was invalid: [('x-api-key', '****'), ('token', '****')]"
    assert error.message == f"the Connect server at sc://h:7 gives no session: {said}"
    assert "TLS" in server.refusal(ValueError("failed: UNAVAILABLE: Ssl handshake failed")).hint


def test_where_nothing_listens():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.listen()
        reach(Remote(host="127.0.0.1", port=port))
    with pytest.raises(ClusterError, match=r"no Connect server answers at .*: Connection refused"):
        reach(Remote(host="127.0.0.1", port=port))
    with pytest.raises(ClusterError, match=r"no Connect server answers at sc://no-such-host\.invalid:7"):
        reach(Remote(host="no-such-host.invalid", port=7))


def test_behind_a_proxy_nobody_knows():
    assert is_proxied({"HTTPS_PROXY": "http://p"})
    assert not is_proxied({"https_proxy": ""})


def test_what_is_missing_is_named_by_what_brings_it(monkeypatch):
    assert missing() == []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("grpc", "pandas") else object())
    assert missing() == ["grpcio", "pandas"]


def test_a_call_that_does_not_end_is_not_waited_for():
    stop = threading.Event()
    assert within(5, lambda: None)
    assert not within(0.01, lambda: stop.wait(60))
    stop.set()


@pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning")
def test_a_client_gives_up_when_its_patience_ends():
    pytest.importorskip("grpc_status")
    from pyspark.sql.connect.client import SparkConnectClient

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # nobody listens
        client = SparkConnectClient(f"sc://127.0.0.1:{free.getsockname()[1]}")
        failed = []

        def call():
            with patience(client, 0.2):
                try:
                    client.get_configs("spark.app.name")
                except Exception as error:  # noqa: BLE001 - whose kind is pyspark's business
                    failed.append(error)

        assert within(30, call)
    assert len(failed) == 1
    client.close()


@pytest.mark.parametrize(("knows", "calls"), [(True, ["stop"]), (False, ["interrupt", "stop"])], ids=["4", "3.5"])
def test_what_runs_in_a_session_ends_with_it_also_where_pyspark_only_hangs_up(knows, calls):
    client, done = SimpleNamespace(_retry_policy={}), []
    if knows:
        client.release_session = None
    release(
        SimpleNamespace(client=client, stop=lambda: done.append("stop"), interruptAll=lambda: done.append("interrupt"))
    )
    assert done == calls


def test_the_first_line_of_an_error():
    assert first_line(ValueError("\n a\nb")) == "a"
    assert first_line(ValueError()) == "ValueError"
    shown = (
        '<_InactiveRpcError of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = "no way"\n>'
    )
    assert first_line(ValueError(shown)) == "no way"


def test_only_a_scratch_folder_is_looked_into_for_sessions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    note = tmp_path / "sessions" / "mine"
    note.parent.mkdir()
    note.touch()
    connect.release_left(tmp_path, dict(os.environ))
    connect.release_left(tmp_path.relative_to(tmp_path), dict(os.environ))
    assert note.exists()


def test_the_client_is_not_imported_as_its_own_test_suite():
    code = """
import sys, warnings
warnings.simplefilter("ignore")
from wheelrun.runtime.connect_server import make_importable
make_importable()
import pyspark.sql.connect.session
print("pyspark.testing.connectutils" in sys.modules, hasattr(sys.modules["__main__"], "__file__"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("False False\n", 0), done.stderr
