"""Jobs that are what they are to be, and lines that are put together."""

from __future__ import annotations

import pytest

from wheelrun.orchestrators.databricks.api import RefusedError, connect
from wheelrun.orchestrators.databricks.config import OWN_TAG
from wheelrun.orchestrators.databricks.follow import Lines
from wheelrun.orchestrators.databricks.jobs import Jobs, covers
from wheelrun.runtime.parts import Part


@pytest.mark.parametrize(
    ("found", "wanted", "is_covered"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ({"a": {"b": 1, "c": 0}}, {"a": {"b": 1}}, True),
        (
            {"tasks": [{"task_key": "y", "x": 1}, {"task_key": "z", "more": 0}]},
            {"tasks": [{"task_key": "z"}, {"task_key": "y"}]},
            True,
        ),
        ({"tasks": [{"task_key": "y"}, {"task_key": "z"}]}, {"tasks": [{"task_key": "y"}]}, False),
        ({"words": ["a", "b"]}, {"words": ["b", "a"]}, False),
        ({}, {"tasks": []}, False),
        ({"n": "1"}, {"n": 1}, False),
    ],
)
def test_settings_that_the_service_adds_do_not_matter(found, wanted, is_covered):
    assert covers(found, wanted) is is_covered


def test_lines_are_put_together_across_parts():
    lines = Lines("stdout")
    texts = []
    for number, data in enumerate([b"on", b"e\ntw", b"o\r\n", b"three"]):
        texts += [line.text for line in lines.add(Part(1, "stdout", number, len(data)), data)]
    assert texts == ["one", "two"]
    assert [line.text for line in lines.add(Part(2, "stdout", 0, 5), b"four\n")] == ["three", "four"]
    assert list(lines.rest()) == []


CONDITION = {"task_key": "a", "condition_task": {"op": "EQUAL_TO", "left": "a", "right": "a"}}
SETTINGS = {"name": "pipeline", "tags": {OWN_TAG: "submitted"}, "tasks": [CONDITION]}


def now(job_id):
    return {"job_id": job_id}


class Raced(Jobs):
    """The jobs of a workspace in which another client does something after a number of looks for a job."""

    def __init__(self, api, after, other):
        super().__init__(api)
        self.looks, self.after, self.other = 0, after, other

    def find(self, name):
        found = super().find(name)
        self.looks += 1
        if self.looks == self.after:
            self.other(self)
        return found


def test_a_job_that_another_client_takes_away_is_made_again(emulator):
    ours = Jobs(connect())
    ours.settle(SETTINGS)
    jobs = Raced(connect(), 1, lambda jobs: jobs.delete(ours.find("pipeline")["job_id"]))
    *_, job, run = jobs.start(SETTINGS, now)
    assert job["job_was"] == "created"
    assert jobs.run(run["service_run"]).job_id == job["job"]


def test_a_refusal_that_is_about_something_else_is_told(emulator):
    with pytest.raises(RefusedError, match="Unknown field 'nope'"):
        list(Jobs(connect()).start(SETTINGS, lambda job_id: {"job_id": job_id, "nope": 1}))


def test_a_job_of_the_same_name_stays_while_another_client_runs_it(emulator):
    first = {}

    def create_before(jobs):
        first["job"] = connect().post("/api/2.2/jobs/create", SETTINGS)["job_id"]

    def run_the_newer(jobs):
        (newer,) = {job["job_id"] for job in jobs.own("submitted")} - {first["job"]}
        first["run"] = jobs.run_now(now(newer))

    class Both(Raced):
        def find(self, name):
            if self.looks == 1:
                run_the_newer(self)
            return super().find(name)

    jobs = Both(connect(), 1, create_before)
    assert jobs.settle(SETTINGS) == (first["job"], "unchanged")
    assert jobs.run(first["run"]).job_id in {job["job_id"] for job in jobs.own("submitted")}
