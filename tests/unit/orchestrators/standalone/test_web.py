"""What the web pages of Master and Workers say, read from servers that answer as they do."""

from __future__ import annotations

import json
import urllib.parse

import pytest

from wheelrun.errors import ClusterError
from wheelrun.orchestrators.log_lines import Tail
from wheelrun.orchestrators.standalone.web import INTERVAL, Views, driver_log, parse_view

PAGE = {
    "workers": [
        {"id": "w1", "state": "ALIVE", "cores": 4, "coresfree": 1, "webuiaddress": "http://h:1"},
        {"id": "w2", "state": "DEAD", "cores": 4, "coresfree": 4, "webuiaddress": "http://h:2"},
    ],
    "activedrivers": [{"id": "d1", "state": "RUNNING", "worker": "w1"}, {"id": "d2", "state": "SUBMITTED"}],
    "completeddrivers": [{"id": "d0", "state": "FINISHED", "worker": "w1"}],
}


def test_a_masters_page():
    view = parse_view(json.dumps(PAGE).encode())
    assert view.drivers == {"d0": "FINISHED", "d1": "RUNNING", "d2": "SUBMITTED"}
    assert (view.cores_free, view.cores) == (1, 4)
    assert view.workers[view.on["d1"]] == "http://h:1"


@pytest.mark.parametrize("content", [b"<html>", b"[]", b"{}"])
def test_a_page_that_is_none(content):
    with pytest.raises(ClusterError, match="not understood"):
        parse_view(content)


def test_a_master_is_asked_once_per_interval_however_many_runs_are_followed(serving):
    now = [100.0]
    with serving(lambda _: (200, json.dumps(PAGE).encode())) as (address, seen):
        views = Views(clock=lambda: now[0])
        for _ in range(20):
            views.get(address)
        assert [call.path for call in seen] == ["/json/"]
        now[0] += INTERVAL + 0.01
        for _ in range(20):
            views.get(address)
        assert [call.path for call in seen] == ["/json/"] * 2


def test_a_master_that_is_away_is_asked_once_per_interval_too(serving):
    now = [100.0]
    with serving(lambda _: (200, b"oops")) as (address, seen):
        views = Views(clock=lambda: now[0])
        for _ in range(3):
            with pytest.raises(ClusterError):
                views.get(address)
        assert len(seen) == 1


def worker(log):
    """A worker's log page: ranges of the bytes as text, as `WorkerPage` gives them."""

    def answer(call):
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(call.path).query))
        start = min(int(query["offset"]), len(log))
        end = min(start + int(query["byteLength"]), len(log))
        text = log[start:end].decode("utf-8", "replace").encode()
        return 200, f"==== Bytes {start}-{end} of {len(log)} of /logs/{query['logType']} ====\n".encode() + text

    return answer


@pytest.mark.parametrize(
    "log",
    [
        b"",
        b"one\ntwo\nno end",
        "grüße, 世界 🚀\n".encode() * 9000,
        b"x" * 200_000 + b"\nlast\n",
    ],
    ids=["empty", "short", "characters of several bytes", "long lines"],
)
def test_a_log_by_ranges_is_the_log(serving, log):
    with serving(worker(log)) as (address, _):
        tail = Tail(driver_log(address, "d1", "stdout"), "stdout")
        lines = [line.text for line in (*tail.read(), *tail.rest())]
    assert lines == log.decode().splitlines()


def test_bytes_that_are_no_text_do_not_shift_what_follows(serving):
    log = b"before \xff\xfe\n" + b"y" * 70_000 + b"\nafter\n"
    with serving(worker(log)) as (address, _):
        tail = Tail(driver_log(address, "d1", "stdout"), "stdout")
        lines = [line.text for line in tail.read()]
    assert lines[1:] == ["y" * 70_000, "after"]


def test_a_log_that_grows(serving):
    log = bytearray(b"one\ntw")
    with serving(lambda call: worker(bytes(log))(call)) as (address, _):
        tail = Tail(driver_log(address, "d1", "stdout"), "stdout")
        assert [line.text for line in tail.read()] == ["one"]
        log += b"o\nthree"
        assert [line.text for line in tail.read()] == ["two"]
        assert [line.text for line in tail.rest()] == ["three"]
