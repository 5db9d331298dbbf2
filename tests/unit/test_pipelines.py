"""Steps and pipelines: called plainly they run; composed they record."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.outputs import Output, name_outputs
from wheelrun.pipelines import compose, pipeline, step
from wheelrun.signatures import session_parameters
from wheelrun.step_settings import Resources, RunIf, StepSettings


class Halves(NamedTuple):
    low: list[int]
    high: list[int]


@step
def numbers(n: int) -> list[int]:
    return list(range(n))


@step(outputs=("low", "high"))
def halves(values: list[int]):
    middle = len(values) // 2
    return values[:middle], values[middle:]


@step
def typed_halves(values: list[int]) -> Halves:
    return Halves(values[:1], values[1:])


@step
def total(values: list[int], more: tuple[list[int], ...] = ()) -> int:
    return sum(values) + sum(sum(part) for part in more)


@pipeline
def whole(n: int = 4) -> int:
    low, high = halves(numbers(n))
    return total(low, more=(high,))


def test_a_step_and_a_pipeline_just_run_when_called():
    assert numbers(3) == [0, 1, 2]
    assert whole(5) == 10


def test_several_outputs_are_named_in_a_plain_call():
    parts = halves([1, 2, 3])
    assert parts.low == [1]
    assert parts.high == [2, 3]


def test_named_tuple_annotation_names_the_outputs():
    assert typed_halves.outputs == ("low", "high")


def test_compose_records_calls_in_order_with_handles():
    calls, result = compose(whole, {"n": 4})
    assert [call.name for call in calls] == ["numbers", "halves", "total"]
    assert isinstance(result, Output)
    assert (result.step, result.name) == ("total", "result")
    assert calls[0].arguments == {"n": 4}


def test_the_same_step_twice_is_numbered():
    @pipeline
    def twice():
        return total(numbers(1)), total(numbers(2))

    calls, _ = compose(twice, {})
    assert [call.name for call in calls] == ["numbers", "total", "numbers_2", "total_2"]


def test_two_steps_of_one_given_name_are_refused():
    @pipeline
    def clash():
        named = numbers.with_options(name="load")
        return named(1), named(2)

    with pytest.raises(ConfigurationError, match="two steps are named 'load'"):
        compose(clash, {})


def test_after_orders_without_feeding():
    @pipeline
    def ordered():
        first = numbers(1)
        return total.after(first)([1])

    calls, _ = compose(ordered, {})
    assert [call.name for call in calls[1].after] == ["numbers"]
    assert ordered() == 1


def test_a_pipeline_inside_a_pipeline_adds_its_steps():
    @pipeline
    def outer():
        return total([whole(2)])

    calls, _ = compose(outer, {})
    assert [call.name for call in calls] == ["numbers", "halves", "total", "total_2"]


def test_a_pipeline_that_contains_itself_is_refused():
    @pipeline
    def endless():
        return endless()

    with pytest.raises(ConfigurationError, match="calls itself"):
        compose(endless, {})


@pytest.mark.parametrize(
    "use",
    [lambda out: bool(out), lambda out: out + 1, lambda out: list(out), lambda out: out[0], lambda out: out > 1],
    ids=["bool", "add", "iterate", "index", "compare"],
)
def test_using_a_value_that_is_not_known_yet_says_so(use):
    @pipeline
    def wrong():
        return use(numbers(1))

    with pytest.raises(ConfigurationError, match="not known while its pipeline is being composed"):
        compose(wrong, {})


def test_a_missing_argument_names_step_and_argument():
    @pipeline
    def wrong():
        return numbers()  # type: ignore[call-arg]

    with pytest.raises(ConfigurationError, match="step 'numbers': argument 'n' is missing"):
        compose(wrong, {})


def test_an_unknown_output_names_the_known_ones():
    @pipeline
    def wrong():
        return halves([1]).middle

    with pytest.raises(AttributeError, match="has no output 'middle'; it has low, high"):
        compose(wrong, {})


def test_settings_are_checked_and_nearest_names_are_shown():
    with pytest.raises(ConfigurationError) as error:
        step(retry=3)(lambda: None)
    assert error.value.hint == "did you mean 'retries'?"
    with pytest.raises(ConfigurationError, match="must not be negative"):
        StepSettings(retries=-1)
    with pytest.raises(ConfigurationError, match="run_if must be one of"):
        StepSettings(run_if="sometimes")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="more than 0 seconds"):
        StepSettings(timeout=0)
    assert StepSettings(timeout=timedelta(minutes=2)).timeout == 120.0  # type: ignore[arg-type]


def test_a_pipeline_fills_in_what_its_steps_leave_open():
    @step(cache=False, environment={"A": "step"})
    def plain() -> int:
        return 1

    @pipeline(cache=True, retries=2, timeout=60, environment={"A": "pipeline", "B": "pipeline"})
    def options():
        plain()
        return numbers(1)

    (first, second), _ = compose(options, {})
    settings = first.options.settings_of(first.step)
    assert settings.cache is False
    assert settings.environment == {"A": "step", "B": "pipeline"}
    assert second.options.settings_of(second.step).cache is True
    assert second.options.settings_of(second.step).retries == 2


@pytest.mark.parametrize("value", [(1,), {"low": 1}, 5], ids=["too few", "wrong keys", "one value"])
def test_outputs_that_are_not_the_declared_ones_are_refused(value):
    with pytest.raises((ValueError, TypeError), match="declares"):
        name_outputs("s", ("low", "high"), value)


def test_a_mapping_gives_outputs_by_key():
    assert tuple(name_outputs("s", ("low", "high"), {"high": 2, "low": 1})) == (1, 2)


def test_session_parameters_are_found_by_annotation_also_as_text():
    def by_text(spark: SparkSession, optional: SparkSession | None, other: int): ...

    assert session_parameters(by_text) == ("spark", "optional")
    assert session_parameters(lambda spark: None) == ()


def test_resources_know_when_they_are_empty():
    assert Resources().empty
    assert not Resources(memory="8GiB").empty


def test_run_if_takes_text():
    assert StepSettings(run_if="always").run_if is RunIf.ALWAYS  # type: ignore[arg-type]


# what pyspark calls a session, without pyspark
SparkSession = type("SparkSession", (), {"__module__": "pyspark.sql.session"})


@step
def with_session(spark: SparkSession, n: int, m: int = 0):
    return spark, n, m


def test_the_session_is_left_out_of_the_arguments_of_a_composition():
    @pipeline
    def composed(n: int):
        return with_session(n, m=2)

    calls, _ = compose(composed, {"n": 1})
    assert calls[0].arguments == {"n": 1, "m": 2}


def test_a_plain_call_gives_the_session_or_leaves_it_out(monkeypatch):
    made = SparkSession()
    monkeypatch.setattr("wheelrun.signatures.spark_session", lambda: made)
    mine = SparkSession()
    assert with_session(mine, 1) == (mine, 1, 0)
    assert with_session(1, m=3) == (made, 1, 3)
    assert with_session(spark=mine, n=1) == (mine, 1, 0)
    stand_in = object()
    assert with_session(stand_in, 1, 2) == (stand_in, 1, 2)
