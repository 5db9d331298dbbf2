from __future__ import annotations

import pytest

from wheelrun.emulator.engine import given
from wheelrun.emulator.engine.references import Context

CONTEXT = Context(
    job={"id": 1}, started=0, trigger="ONE_TIME", parameters={"day": "today", "items": '["a", 1]'}, workspace={}
)


def wheel(**parameters):
    return {"task_key": "t", "python_wheel_task": {"package_name": "p", "entry_point": "e", **parameters}}


def test_references_in_parameters():
    task = given.command(wheel(parameters=["{{job.parameters.day}}"]), {}, CONTEXT)
    assert task == {"python_wheel_task": {"package_name": "p", "entry_point": "e", "parameters": ["today"]}}


def test_parameters_that_were_sent_stand_in_for_the_tasks():
    task = given.command(wheel(named_parameters={"a": "1"}), {"python_params": ["x"]}, CONTEXT)
    assert task["python_wheel_task"] == {"package_name": "p", "entry_point": "e", "parameters": ["x"]}
    script = {"task_key": "t", "spark_python_task": {"python_file": "/f.py", "parameters": ["a"]}}
    assert given.command(script, {"python_params": ["x"]}, CONTEXT)["spark_python_task"]["parameters"] == ["x"]


def test_a_task_with_parameters_by_name_gets_the_jobs_too():
    task = given.command(wheel(named_parameters={"day": "mine", "a": "1"}), {}, CONTEXT)
    assert task["python_wheel_task"]["named_parameters"] == {"day": "today", "a": "1", "items": '["a", 1]'}
    sent = given.command(wheel(parameters=["a"]), {"python_named_params": {"b": "2"}}, CONTEXT)["python_wheel_task"]
    assert sent["named_parameters"]["b"] == "2"
    assert "parameters" not in sent


@pytest.mark.parametrize(
    ("left", "op", "right", "expected"),
    [
        ("12.0", "EQUAL_TO", "12", False),
        ("a", "EQUAL_TO", "a", True),
        ("a", "NOT_EQUAL", "a", False),
        ("12.0", "GREATER_THAN_OR_EQUAL", "12", True),
        ("10.0", "GREATER_THAN_OR_EQUAL", "12", False),
        ("9", "LESS_THAN", "10", True),
        ("10", "LESS_THAN_OR_EQUAL", "9", False),
        ("10", "GREATER_THAN", "9", True),
    ],
)
def test_conditions(left, op, right, expected):
    assert given.holds({"left": left, "op": op, "right": right}) is expected


def test_numbers_are_compared_with_numbers_only():
    with pytest.raises(ValueError, match="compares 'a' with '1' as numbers"):
        given.holds({"left": "a", "op": "LESS_THAN", "right": "1"})


def each(inputs):
    return {"task_key": "t", "for_each_task": {"inputs": inputs, "task": wheel()}}


def test_inputs():
    assert given.inputs(each('[1, {"a": 2}]'), CONTEXT) == [1, {"a": 2}]
    assert given.inputs(each("{{job.parameters.items}}"), CONTEXT) == ["a", 1]


@pytest.mark.parametrize(
    ("text", "message"), [("[1", "not JSON"), ('{"a": 1}', "not an array"), (str([0] * 5001), "5001 inputs")]
)
def test_what_are_no_inputs(text, message):
    with pytest.raises(ValueError, match=message):
        given.inputs(each(text), CONTEXT)
