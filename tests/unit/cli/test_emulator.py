from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from databricks.sdk import WorkspaceClient
from waiting import until


@pytest.fixture
def emulator(wheelrun, home):
    """Run `wheelrun emulator …`; what is up in the end is ended."""

    def run(*words):
        return wheelrun("emulator", *words)

    yield run
    run("down")


def up(emulator, *words):
    result = emulator("up", "-o", "json", *words)
    assert result.code == 0, result.err
    return result.json


def test_up_status_and_down(emulator, home):
    document = up(emulator)
    assert list(document) == ["host", "token", "web", "pid"]
    assert document["host"].startswith("http://127.0.0.1:")
    assert WorkspaceClient(host=document["host"], token=document["token"]).current_user.me().active
    assert os.getsid(document["pid"]) == document["pid"]
    assert emulator("status", "-o", "json").json == document
    assert up(emulator) == document
    shown = emulator("status")
    assert document["token"] in shown.out
    assert f"DATABRICKS_HOST={document['host']}" in shown.err
    folder = home / "data" / "emulator"
    for path in folder.rglob("*"):
        if "clusters" not in path.parts:
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert document["token"].encode() not in Path(f"/proc/{document['pid']}/cmdline").read_bytes()
    assert emulator("down", "-o", "json").json == {"ended": True}
    with pytest.raises(requests.ConnectionError):
        requests.get(document["host"], timeout=5)
    assert not Path(f"/proc/{document['pid']}/cmdline").exists() or _is_zombie(document["pid"])


def _is_zombie(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_when_none_is_up(emulator, home):
    result = emulator("status")
    assert (result.code, result.out) == (1, "")
    assert "wheelrun emulator up" in result.err
    assert emulator("status", "-o", "json").json == {"host": None, "token": None, "web": None, "pid": None}
    assert emulator("down").err == "no emulator is up\n"
    assert emulator("down", "-o", "json").json == {"ended": False}
    assert not home.exists()


def test_it_goes_on_with_what_it_had(emulator, home):
    document = up(emulator)
    WorkspaceClient(host=document["host"], token=document["token"]).workspace.mkdirs("/Shared/kept")
    emulator("down")
    again = up(emulator)
    assert (again["host"], again["token"]) == (document["host"], document["token"])
    workspace = WorkspaceClient(host=again["host"], token=again["token"])
    assert [item.path for item in workspace.workspace.list("/Shared")] == ["/Shared/kept"]
    refused = emulator("up", "--fresh")
    assert (refused.code, "`wheelrun emulator down` first" in refused.err) == (3, True)
    emulator("down")
    fresh = up(emulator, "--fresh")
    assert fresh["token"] != document["token"]
    workspace = WorkspaceClient(host=fresh["host"], token=fresh["token"])
    assert list(workspace.workspace.list("/Shared")) == []


def test_one_that_was_killed_is_started_again(emulator):
    document = up(emulator)
    os.kill(document["pid"], signal.SIGKILL)
    until(lambda: emulator("status").code == 1)
    assert emulator("down").err == "no emulator is up\n"
    again = up(emulator)
    assert again["pid"] != document["pid"]
    assert (again["host"], again["token"]) == (document["host"], document["token"])


def test_another_port_while_it_is_up_is_refused(emulator):
    port = int(up(emulator)["host"].rpartition(":")[2])
    assert emulator("up", "--port", str(port)).code == 0
    result = emulator("up", "--port", str(port - 1 if port > 1024 else port + 1))
    assert result.code == 3
    assert f"on 127.0.0.1, port {port}" in result.err


def test_a_port_that_is_taken(emulator):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = emulator("up", "--port", str(port))
    assert result.code == 6
    assert "the emulator ended before it served" in result.err
    assert f"port {port} of 127.0.0.1 cannot be served" in result.err
    assert emulator("status").code == 1


def test_the_port_of_before_is_left_to_who_has_taken_it(emulator):
    port = int(up(emulator)["host"].rpartition(":")[2])
    emulator("down")
    with socket.create_server(("127.0.0.1", port)):
        assert up(emulator)["host"] != f"http://127.0.0.1:{port}"


def test_in_the_foreground(emulator, home):
    command = [sys.executable, "-m", "wheelrun", "emulator", "up", "--foreground", "-o", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        text = ""
        while not text.endswith("}\n"):
            text += process.stdout.readline()
        document = json.loads(text)
        assert document["pid"] == process.pid
        assert requests.get(f"{document['host']}/health", timeout=5).json() == {"status": "ok"}
        assert emulator("status").code == 0
        assert emulator("up", "--foreground").code == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert emulator("status").code == 1


def test_the_profile_for_the_official_clients(emulator, home, monkeypatch):
    document = up(emulator)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(home / "data" / "emulator" / "databrickscfg"))
    assert WorkspaceClient(profile="wheelrun-emulator").config.host == document["host"]


def test_what_is_not_installed_is_named(emulator, home, monkeypatch):
    from wheelrun.emulator import standing

    monkeypatch.setattr(standing, "_NEEDED", ("json", "no_such_module", "no.such.module"))
    result = emulator("up")
    assert result.code == 3
    assert "not installed: no_such_module, no.such.module" in result.err
    assert "pip install 'wheelrun[emulator]'" in result.err
    assert not home.exists()
