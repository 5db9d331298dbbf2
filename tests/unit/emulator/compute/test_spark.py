"""A cluster's Spark from the emulator's side: what stands in for it is a process that answers as it does."""

from __future__ import annotations

import json
import os
import sys

import pytest
from waiting import until

from wheelrun.emulator.compute.spark import Spark
from wheelrun.emulator.launch.supervisor import Order

STAND_IN = """
import json, os, socket, sys

print("it starts", flush=True)
{begin}
with socket.socket(fileno=int(sys.argv[-1])) as connection, connection.makefile("rw") as stream:
    for line in stream:
        ((order, task),) = json.loads(line).items()
        with open("orders", "a") as orders:
            orders.write(f"{{order}} {{task}}\\n")
        {answer}
        stream.write(json.dumps({{order: {{"port": os.getpid(), "task": task}}}}) + "\\n")
        stream.flush()
"""
DIES = "print('no heap', flush=True); sys.exit(3)"


@pytest.fixture
def spark(tmp_path):
    """Makes a Spark of which the stand-in does something at its start, and before each answer."""
    made = []

    def make(begin="", answer=""):
        logs = tmp_path / "logs"
        logs.mkdir()

        def order():
            code = STAND_IN.format(begin=begin, answer=answer)
            return Order(command=[sys.executable, "-c", code], environ={}, cwd=str(tmp_path), logs=str(logs))

        made.append(Spark(order))
        return made[0]

    yield make
    for one in made:
        one.end()


def asked(lease):
    """Ask for Spark as a task does."""
    lease.theirs.sendall(b"open\n")
    with lease.theirs.makefile() as stream:
        return json.loads(stream.readline())


def orders(folder):
    return (folder / "orders").read_text().splitlines()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_starts_when_a_task_asks(spark, tmp_path):
    with spark().lent("1") as lease:
        pass
    assert lease.trouble is None
    assert not list((tmp_path / "logs").iterdir())


def test_tasks_share_it(spark, tmp_path):
    shared = spark()
    with shared.lent("1") as one, shared.lent("2") as two:
        first, second = asked(one), asked(two)
    with shared.lent("3") as three:
        third = asked(three)
    assert [each["task"] for each in (first, second, third)] == ["1", "2", "3"]
    assert first["port"] == second["port"] == third["port"]
    assert orders(tmp_path) == ["open 1", "open 2", "close 2", "close 1", "open 3", "close 3"]


def test_one_that_dies_is_told_and_started_again(spark, tmp_path):
    shared = spark(answer=f"if order == 'close' and task == '1': {DIES}")
    with shared.lent("1") as lease:
        first = asked(lease)
    assert lease.trouble.code == "DRIVER_ERROR"
    assert lease.trouble.words == "it starts\nno heap"
    with shared.lent("2") as lease:
        second = asked(lease)
    assert lease.trouble is None
    assert first["port"] != second["port"]


def test_one_that_cannot_start(spark):
    with spark(begin=DIES).lent("1") as lease:
        answer = asked(lease)
    assert answer == {"problem": "it starts\nno heap"}
    assert (lease.trouble.code, lease.trouble.words) == ("CLUSTER_ERROR", "it starts\nno heap")


def test_one_that_does_not_answer_is_ended(spark):
    shared = spark(answer="if order == 'close': import time; time.sleep(1000)")
    with shared.lent("1") as lease:
        first = asked(lease)
        shared._process._own.settimeout(0.1)  # that it takes to start is not what this is about
    with shared.lent("2") as lease:
        assert asked(lease)["port"] != first["port"]


def test_a_task_that_ends_before_it_has_started(spark, tmp_path):
    shared = spark(begin="import time\nwhile not os.path.exists('go'): time.sleep(0.01)")
    with shared.lent("1") as lease:
        lease.theirs.sendall(b"open\n")
    assert lease.trouble is None
    (tmp_path / "go").touch()
    with shared.lent("2") as lease:
        asked(lease)
    until(lambda: sorted(orders(tmp_path)) == ["close 1", "close 2", "open 1", "open 2"])


def test_its_end(spark):
    shared = spark()
    with shared.lent("1") as lease:
        pid = asked(lease)["port"]
        shared.end()
    assert not is_alive(pid)
    with shared.lent("2") as lease:
        assert asked(lease) == {"problem": "the cluster is being terminated"}
