from __future__ import annotations

import threading
import time

import pytest
import requests
from databricks.sdk.errors import PermissionDenied

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.faults import Faults, FaultSpec

ME = "/api/2.0/preview/scim/v2/Me"
MKDIRS = "/api/2.0/workspace/mkdirs"


class Emulated:
    def __init__(self, state):
        self.state = state
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {state.token}"

    def call(self, method, path, **options):
        return self.session.request(method, self.state.host + path, timeout=10, **options)

    def order(self, **fields):
        answer = self.call("POST", "/emulator/faults", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def calls(self):
        found = self.call("GET", "/emulator/requests").json()["requests"]
        return [(item["method"], item["path"], item["status"]) for item in found]


@pytest.fixture
def emulated(emulator):
    emulated = Emulated(emulator)
    yield emulated
    emulated.session.close()


def test_a_status_as_often_as_ordered(emulated):
    emulated.order(path="/api/*/scim/*", status=503, count=2, retry_after=7)
    answers = [emulated.call("GET", ME) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[0].json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert emulated.call("GET", "/emulator/faults").json()["faults"][0]["happened"] == 2


def test_the_official_client_tries_again(emulated, workspace):
    emulated.order(path=ME, status=429, count=1, retry_after=0)
    emulated.order(path=ME, status="drop-before", count=1)
    assert workspace.current_user.me().active
    assert [status for _, _, status in emulated.calls() if status != 200] == [429, None]


def test_a_refusal_is_one_for_the_official_client(emulated, workspace):
    emulated.order(path=ME, status=403)
    with pytest.raises(PermissionDenied, match="A fault that was ordered"):
        workspace.current_user.me()


@pytest.mark.parametrize(("status", "effect"), [("drop-before", False), ("drop-after", True), (500, False)])
def test_what_is_refused_or_cut_before_has_no_effect(emulated, workspace, status, effect):
    emulated.order(path=MKDIRS, method="post", status=status)
    if isinstance(status, int):
        assert emulated.call("POST", MKDIRS, json={"path": "/Shared/a"}).status_code == status
    else:
        with pytest.raises(requests.ConnectionError):
            emulated.call("POST", MKDIRS, json={"path": "/Shared/a"})
    assert [item.path for item in workspace.workspace.list("/Shared")] == (["/Shared/a"] if effect else [])


def test_only_the_connection_that_is_meant_is_cut(emulated):
    emulated.order(path=ME, status="drop-before", count=1, delay_ms=300)
    other = Emulated(emulated.state)
    assert other.call("GET", "/health").status_code == 200
    cut = []

    def called():
        with pytest.raises(requests.ConnectionError) as caught:
            emulated.call("GET", ME)
        cut.append(caught.value)

    thread = threading.Thread(target=called)
    thread.start()
    while not other.calls():
        time.sleep(0.01)
    assert other.call("GET", ME).status_code == 200
    thread.join()
    assert cut
    other.session.close()


def test_an_upload_is_cut_too(emulated):
    path = "/api/2.0/fs/files/Volumes/main/default/wheelrun/a"
    emulated.order(path=path, status="drop-after", count=1)
    with pytest.raises(requests.ConnectionError):
        emulated.call("PUT", path, data=b"0" * (1 << 20))
    assert len(emulated.call("GET", path).content) == 1 << 20
    emulated.order(path=path, status="drop-before", count=1)
    with pytest.raises(requests.ConnectionError):
        emulated.call("GET", path)


def test_a_delay_alone_changes_nothing_else(emulated):
    emulated.order(path=ME, delay_ms=50, count=1)
    answer = emulated.call("GET", ME)
    assert (answer.status_code, answer.elapsed.total_seconds() >= 0.05) == (200, True)


def test_the_dice_are_the_same_each_time():
    def happened(seed):
        faults = Faults()
        faults.add(FaultSpec(path="*", status=500, probability=0.3, seed=seed))
        return [faults.next("GET", "/a") is not None for _ in range(1000)]

    assert happened(1) == happened(1)
    assert happened(1) != happened(2)
    assert 250 < sum(happened(1)) < 350


def test_the_first_that_happens_counts():
    faults = Faults()
    faults.add(FaultSpec(path="/a", method="POST", status=500))
    faults.add(FaultSpec(path="/a*", status=501, count=1))
    faults.add(FaultSpec(path="*", status=502))
    assert [faults.next("GET", path)[1].status for path in ("/a", "/a", "/b")] == [501, 502, 502]
    assert faults.next("POST", "/a")[1].status == 500


def test_the_calls_are_noted_and_forgotten(emulated):
    emulated.call("GET", ME)
    emulated.call("GET", "/api/2.0/nothing?token=secret")
    assert emulated.calls() == [("GET", ME, 200), ("GET", "/api/2.0/nothing", 404)]
    emulated.call("DELETE", "/emulator/requests")
    assert emulated.calls() == []


def test_faults_end_when_told_and_spare_the_emulators_own_calls(emulated):
    emulated.order(path="*", status=500)
    assert emulated.call("GET", ME).status_code == 500
    assert emulated.call("GET", "/health").status_code == 200
    assert emulated.call("DELETE", "/emulator/faults").status_code == 200
    assert emulated.call("GET", ME).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"path": "jobs"},
        {"path": "/", "status": 200},
        {"path": "/", "status": "drop"},
        {"path": "/", "status": True},
        {"path": "/", "probability": 2},
        {"path": "/", "count": -1},
        {"path": "/", "delay_ms": "1"},
        {"path": "/", "nope": 1},
    ],
)
def test_what_is_no_fault(fields):
    with pytest.raises(ApiError):
        FaultSpec.of(fields)
