"""Which driver has a run."""

from __future__ import annotations

import pytest

from wheelrun.runtime.drive import Pulse
from wheelrun.runtime.shelf import FolderShelf
from wheelrun.runtime.ticket import Ticket


def shelf(folder, start=1):
    return FolderShelf(Ticket(root=str(folder), run_id="r", deployment_id="d", start=start, code=()))


def driver(name):
    return {"id": name, "host": "h", "pid": 1}


def test_one_driver_has_a_start(tmp_path):
    assert shelf(tmp_path).take(driver("d1"))
    assert not shelf(tmp_path).take(driver("d2"))


def test_a_driver_that_the_cluster_starts_again_keeps_its_claim(tmp_path):
    assert shelf(tmp_path).take(driver("d1"))
    assert shelf(tmp_path).take(driver("d1"))


def test_a_driver_of_an_earlier_start_that_comes_late_gives_way(tmp_path):
    assert shelf(tmp_path, start=2).take(driver("d2"))
    assert not shelf(tmp_path, start=1).take(driver("d1"))
    assert shelf(tmp_path, start=3).take(driver("d3"))


def test_a_wish_to_end_is_no_claim(tmp_path):
    first = shelf(tmp_path)
    wish = first.root.run("r").cancel(1)
    wish.parent.mkdir(parents=True)
    wish.touch()
    assert first.take(driver("d1"))


@pytest.fixture
def pulse(tmp_path):
    import os

    return Pulse(tmp_path / "heartbeat", tmp_path / "claims" / "1.cancel", os.getppid())


def test_a_pulse_is_seen(pulse):
    assert pulse() == ""
    assert float(pulse.heartbeat.read_text()) > 0


def test_a_wish_to_end_is_heard(pulse):
    pulse.wish.parent.mkdir()
    pulse.wish.touch()
    assert pulse() == "cancelled"


def test_a_driver_whose_jvm_has_ended_ends(pulse):
    pulse.parent = -1
    assert pulse() == "orphaned"
