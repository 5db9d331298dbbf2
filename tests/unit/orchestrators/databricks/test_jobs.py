"""Jobs that are what they are to be, and lines that are put together."""

from __future__ import annotations

import pytest

from wheelrun.orchestrators.databricks.follow import Lines
from wheelrun.orchestrators.databricks.jobs import covers
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
