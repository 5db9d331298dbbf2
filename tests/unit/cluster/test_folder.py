from __future__ import annotations

import json
import stat
import threading
from dataclasses import replace

import pytest

from wheelrun.cluster.folder import State
from wheelrun.errors import ConfigurationError


def test_a_state_comes_back(folder, state):
    state = replace(state.with_pid("master", 12), ready=True)
    assert folder.read() is None
    folder.write(state)
    assert folder.read() == state
    assert stat.S_IMODE((folder.path / "cluster.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "change",
    [
        lambda table: "nonsense",
        lambda table: "[]",
        lambda table: json.dumps({**table, "format": 99}),
        lambda table: json.dumps({key: value for key, value in table.items() if key != "ports"}),
        lambda table: json.dumps({**table, "ports": {}}),
        lambda table: json.dumps({**table, "size": {"workers": 1}}),
    ],
)
def test_what_is_no_state_is_none(folder, state, change):
    text = change(json.loads(state.to_json()))
    with pytest.raises(ValueError):
        State.from_json(text)
    (folder.path / "cluster.json").write_text(text)
    assert folder.read() is None


def test_the_addresses(folder, state):
    cluster = folder.cluster(state.with_pid("worker-2", 77))
    assert cluster.master == "spark://127.0.0.1:7000"
    assert cluster.rest == "http://127.0.0.1:7001"
    assert cluster.web == "http://127.0.0.1:7002"
    assert cluster.workers == ("http://127.0.0.1:7003", "http://127.0.0.1:7004")
    assert cluster.connect == "sc://localhost:7005"
    assert [part.name for part in cluster.parts] == ["master", "worker-1", "worker-2", "connect"]
    assert [part.pid for part in cluster.parts] == [0, 0, 77, 0]
    assert not cluster.healthy


def test_without_a_connect_server(folder, state):
    cluster = folder.cluster(replace(state, size=replace(state.size, connect=False)))
    assert cluster.connect == ""
    assert [part.name for part in cluster.parts] == ["master", "worker-1", "worker-2"]


def test_logs_and_work_stay(folder, state):
    for path in (
        folder.log("master"),
        folder.lock("master"),
        folder.conf("master") / "x",
        folder.work("worker-1") / "y",
    ):
        path.parent.mkdir(parents=True)
        path.touch()
    folder.rest_key.touch()
    folder.write(state)
    folder.clear()
    assert sorted(path.name for path in folder.path.iterdir()) == ["logs", "work"]
    folder.clear()


def test_one_operation_at_a_time(folder):
    waited, entered = threading.Event(), []

    def second():
        with folder.operation(waited.set):
            entered.append("second")

    with folder.operation(lambda: pytest.fail("nobody else is there")):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(30)
        entered.append("first")
    thread.join(30)
    assert entered == ["first", "second"]


def test_a_folder_that_cannot_be_made(tmp_path):
    from wheelrun.cluster.folder import Folder

    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made"), Folder(tmp_path / "file" / "x").operation(print):
        pass


def test_the_folder_is_the_owners_only(folder):
    folder.path.chmod(0o755)
    with folder.operation(lambda: None):
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
