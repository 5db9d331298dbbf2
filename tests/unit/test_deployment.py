"""Deployments: JSON both ways, checked; order, references, cache keys."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelrun.deployment import Deployment, StepSpec, WheelRef, references
from wheelrun.errors import ConfigurationError
from wheelrun.step_settings import Resources, RunIf

names = st.text(min_size=1, max_size=12)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5).filter(lambda k: k != "$output"), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def deployments(draw):
    chosen = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    steps = []
    for index, name in enumerate(chosen):
        upstream = draw(st.lists(st.sampled_from(chosen[:index]), unique=True)) if index else []
        arguments = draw(st.dictionaries(st.text(min_size=1, max_size=5), trees, max_size=3))
        if upstream:
            arguments["ref"] = {"$output": [upstream[0], "result"]}
        steps.append(
            StepSpec(
                name=name,
                function="m:f",
                upstream=tuple(upstream),
                arguments=arguments,
                run_if=draw(st.sampled_from(RunIf)),
                retries=draw(st.integers(0, 5)),
                timeout=draw(st.none() | st.floats(0.1, 1e6)),
                cache=draw(st.booleans()),
                resources=Resources(memory=draw(st.none() | st.just("8GiB"))),
                environment=draw(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=2)),
            )
        )
    return Deployment(
        name=draw(names),
        entry="m:f",
        steps=tuple(steps),
        parameters=draw(st.dictionaries(names, trees, max_size=3)),
        argv=tuple(draw(st.lists(st.text(max_size=5), max_size=3))),
        wheel=draw(st.none() | st.just(WheelRef(file="a.whl", name="a", version="1", digest="0" * 64))),
        conf=draw(st.dictionaries(names, st.text(max_size=5), max_size=2)),
    )


@given(deployments())
def test_json_round_trip(deployment):
    text = deployment.to_json()
    again = Deployment.from_json(text)
    assert again == deployment
    assert again.to_json() == text
    assert again.digest == deployment.digest


def spec(name, *upstream, **changes):
    return StepSpec(name=name, function="m:f", upstream=upstream, **changes)


def made(*steps):
    return Deployment(name="d", entry="m:f", steps=steps)


def test_steps_are_put_in_order():
    assert [s.name for s in made(spec("c", "b"), spec("b", "a"), spec("a")).steps] == ["a", "b", "c"]


def test_an_order_that_holds_is_kept():
    assert [s.name for s in made(spec("b"), spec("a"), spec("c", "b")).steps] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((spec("a", "b"), spec("b", "a")), "'a', 'b' wait for each other in a cycle"),
        ((spec("a", "a"),), "cycle"),
        ((spec("a"), spec("a")), "2 steps are named 'a'"),
        ((spec("a", "x"),), "depends on 'x', which is not in the deployment"),
        ((spec("a"), spec("b", arguments={"v": {"$output": ["a", "result"]}})), "does not depend on it"),
        ((spec("a"), spec("b", "a", arguments={"v": {"$output": ["a", "other"]}})), "has no output 'other'"),
    ],
)
def test_steps_that_do_not_fit_together_are_refused(steps, message):
    with pytest.raises(ConfigurationError, match=message):
        made(*steps)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 1}', '{"format": 1, "name": "d", "entry": "e", "steps": [{"nam": 1}]}',
     '{"format": 1, "name": "d", "entry": "e", "steps": [], "color": 1}'],
)  # fmt: skip
def test_what_is_not_a_deployment_is_refused(text):
    with pytest.raises(ConfigurationError):
        Deployment.from_json(text)


def test_a_newer_format_is_refused_with_what_to_do():
    table = {**made(spec("a")).to_dict(), "format": 99}
    with pytest.raises(ConfigurationError) as error:
        Deployment.from_json(json.dumps(table))
    assert "newer wheelrun" in error.value.message
    assert error.value.hint


def test_references_are_found_wherever_they_stand():
    tree = {"a": [{"$output": ["s", "x"]}], "b": {"$tuple": [{"$output": ["t", "y"]}]}}
    assert list(references(tree)) == [("s", "x"), ("t", "y")]


def test_step_keys_change_with_what_decides_the_outputs_and_with_nothing_else():
    wheel = WheelRef(file="a.whl", name="a", version="1", digest="0" * 64)
    base = replace(made(spec("a", arguments={"n": 1}), spec("b", "a")), wheel=wheel)
    keys = base.step_keys()
    other_wheel = replace(base, wheel=replace(wheel, digest="1" * 64)).step_keys()
    other_argument = replace(base, steps=(spec("a", arguments={"n": 2}), spec("b", "a"))).step_keys()
    other_retries = replace(base, steps=(spec("a", arguments={"n": 1}, retries=3), spec("b", "a"))).step_keys()
    assert not set(keys.values()) & set(other_wheel.values())
    assert other_argument["a"] != keys["a"]
    assert other_argument["b"] != keys["b"]
    assert other_retries == keys
    sibling = replace(base, also=(replace(wheel, name="sibling"),))
    assert not set(keys.values()) & set(sibling.step_keys().values())
    travelling = replace(base, also=(replace(wheel, name="wheelrun"),))  # the same, on a cluster
    assert travelling.step_keys() == keys


def test_step_by_name():
    assert made(spec("a")).step("a").name == "a"
    with pytest.raises(ConfigurationError, match="no step 'b'"):
        made(spec("a")).step("b")
