from __future__ import annotations

import pytest

from wheelrun.emulator.engine.clock import Clock
from wheelrun.emulator.engine.jobbook import JobBook, updated
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import State

BEFORE = {
    "name": "n",
    "timeout_seconds": 5,
    "tags": {"a": "1"},
    "tasks": [{"task_key": "a", "x": 1}, {"task_key": "b"}],
    "job_clusters": [{"job_cluster_key": "c"}],
}


@pytest.fixture
def book(tmp_path):
    state = State(folder=tmp_path / "state", host="h", token="t")
    yield JobBook(state, Clock(state, wall=lambda: 1000.0))
    state.close()


@pytest.mark.parametrize(
    ("new", "remove", "changed"),
    [
        ({}, [], {}),
        ({"name": "m"}, [], {"name": "m"}),
        ({"tags": {"b": "2"}}, [], {"tags": {"b": "2"}}),
        (
            {"tasks": [{"task_key": "a", "y": 2}, {"task_key": "z"}]},
            [],
            {"tasks": [{"task_key": "a", "y": 2}, {"task_key": "b"}, {"task_key": "z"}]},
        ),
        ({}, ["tasks/a"], {"tasks": [{"task_key": "b"}]}),
        ({"tasks": [{"task_key": "z"}]}, ["tasks"], {"tasks": [{"task_key": "z"}]}),
        ({"parameters": [{"name": "p"}]}, ["nothing", "environments/e"], {"parameters": [{"name": "p"}]}),
    ],
)
def test_updates(new, remove, changed):
    assert updated(BEFORE, new, remove) == BEFORE | changed


def test_a_field_that_is_removed():
    assert "timeout_seconds" not in updated(BEFORE, {}, ["timeout_seconds"])


def test_jobs_newest_first(book):
    ids = [book.create({"name": str(number)}).job_id for number in range(250)]
    assert [job.job_id for job in book.jobs()] == ids[::-1]
    assert [job.job_id for job in book.jobs(above=ids[245], newest_first=False)] == ids[246:]
    assert [job.job_id for job in book.jobs(below=ids[2])] == [ids[1], ids[0]]


def test_a_job_that_there_is_not(book):
    for call in (book.get, book.delete, lambda job_id: book.change(job_id, {}), lambda job_id: book.fired(job_id, 1)):
        with pytest.raises(ApiError, match=r"Job 5 does not exist\.") as caught:
            call(5)
        assert caught.value.status == 400


def test_a_schedule_counts_from_when_it_was_set(book):
    job = book.create({"schedule": {"a": 1}})
    assert job.since == job.created_time == 1_000_000
    book.fired(job.job_id, 5)
    assert book.change(job.job_id, {"schedule": {"a": 1}, "name": "n"}).since == 5
    assert book.change(job.job_id, {"schedule": {"a": 2}}).since == 1_000_000
