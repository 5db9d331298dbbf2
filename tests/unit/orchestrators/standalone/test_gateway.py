"""The REST gateway's client, against HTTP servers that answer well, badly, or not at all."""

from __future__ import annotations

import json
import socket

import pytest

from wheelrun.errors import ClusterError
from wheelrun.orchestrators.standalone.gateway import Address, Gateway, LostAnswerError, RefusedError

CREATED = {"action": "CreateSubmissionResponse", "success": True, "submissionId": "driver-1"}
STANDBY = {
    "action": "SubmissionStatusResponse",
    "success": False,
    "message": "Exception: Current state is not alive: STANDBY.",
}


def always(table, status=200):
    return lambda _: (status, json.dumps(table).encode())


def closed_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def test_create_sends_the_body_and_gives_the_drivers_id(serving):
    with serving(always(CREATED)) as (address, seen):
        assert Gateway(addresses=[address], token=lambda: "t0").create({"a": 1}) == "driver-1"
    method, path, headers, body = seen[0]
    assert (method, path, json.loads(body)) == ("POST", "/v1/submissions/create", {"a": 1})
    assert headers["Authorization"] == "Bearer t0"


def test_a_refusal_says_why(serving):
    refusal = {"action": "ErrorResponse", "message": "Failed to validate\nmore", "success": False}
    with serving(always(refusal, 400)) as (address, _), pytest.raises(RefusedError, match="Failed to validate"):
        Gateway(addresses=[address]).create({})


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_key_is_told(serving, status):
    with serving(always({}, status)) as (address, _), pytest.raises(RefusedError) as error:
        Gateway(addresses=[address]).create({})
    assert "rest_key_file" in error.value.hint


@pytest.mark.parametrize(
    "answer",
    [lambda _: (500, b"<html>oops</html>"), lambda _: (200, b"garbage"), lambda _: (200, b"[]"), lambda _: None],
    ids=["500", "garbage", "another service", "hangs up"],
)
def test_an_answer_that_is_none_leaves_it_open_whether_a_driver_was_made(serving, answer):
    with serving(answer) as (address, seen), pytest.raises(LostAnswerError):
        Gateway(addresses=[address, address]).create({})
    assert len(seen) == 1  # it is not sent a second time


def test_a_master_that_is_down_is_passed_over(serving):
    with serving(always(CREATED)) as (address, _):
        assert Gateway(addresses=[f"http://127.0.0.1:{closed_port()}", address]).create({}) == "driver-1"


def test_a_master_on_standby_is_passed_over(serving):
    with serving(always(STANDBY)) as (standby, _), serving(always(CREATED)) as (leader, _):
        assert Gateway(addresses=[standby, leader]).create({}) == "driver-1"


def test_no_master_at_all():
    ports = [closed_port(), closed_port()]
    with pytest.raises(ClusterError) as error:
        Gateway(addresses=[f"http://127.0.0.1:{port}" for port in ports]).create({})
    assert not isinstance(error.value, LostAnswerError)
    assert all(str(port) in error.value.message for port in ports)
    assert "spark.master.rest.enabled" in error.value.hint


def test_status(serving):
    known = {"action": "SubmissionStatusResponse", "success": True, "driverState": "RUNNING", "workerId": "w"}
    unknown = {"action": "SubmissionStatusResponse", "success": False, "submissionId": "driver-1"}
    with serving(always(known)) as (address, seen):
        status = Gateway(addresses=[address]).status("driver-1")
    assert (status.state, status.worker) == ("RUNNING", "w")
    assert seen[0][:2] == ("GET", "/v1/submissions/status/driver-1")
    with serving(always(unknown)) as (address, _):
        assert Gateway(addresses=[address]).status("driver-1") is None


def test_what_a_worker_says_of_a_driver_comes_without_its_frames(serving):
    message = "Exception from the cluster:\njava.io.IOException: full\n\tsun.nio.write0(Native Method)\n\torg.apache"
    answer = {"action": "S", "success": True, "driverState": "ERROR", "message": message}
    with serving(always(answer)) as (address, _):
        assert Gateway(addresses=[address]).status("driver-1").message == "java.io.IOException: full"


@pytest.mark.parametrize("success", [True, False])
def test_kill(serving, success):
    with serving(always({"action": "KillSubmissionResponse", "success": success})) as (address, seen):
        assert Gateway(addresses=[address]).kill("driver-1") is success
    assert seen[0][:2] == ("POST", "/v1/submissions/kill/driver-1")


@pytest.mark.parametrize(
    ("master", "hosts"),
    [
        ("spark://a:7077", (("a", 7077),)),
        ("spark://a:1,b.c:2", (("a", 1), ("b.c", 2))),
        ("spark://[::1]:7077", (("[::1]", 7077),)),
        ("yarn", None),
        ("spark://a", None),
        ("spark://user:secret@a:7077", None),
    ],
)
def test_addresses(master, hosts):
    address = Address.parse(master)
    assert (address and address.hosts) == hosts


def test_masters_addresses_at_another_port():
    assert Address.parse("spark://a:1,b:2").at("http", 6066) == ("http://a:6066", "http://b:6066")
