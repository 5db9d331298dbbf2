from __future__ import annotations

import pytest

from wheelrun.emulator.engine.references import Context, ReferenceFailedError, Told, resolved

TOLD = {
    "load": Told(
        run_id=31, result="SUCCESS", code="SUCCESS", count=2, values=lambda: {"rows": 5, "name": "é", "a.b": [1, "x"]}
    ),
    "my task": Told(run_id=32, result="UPSTREAM_FAILED", code="SKIPPED", count=1, values=dict),
}
CONTEXT = Context(
    job={"id": 1, "name": "nightly", "run_id": 2, "repair_count": 0},
    started=1767323045678,  # 2026-01-02T03:04:05Z, a Friday
    trigger="ONE_TIME",
    parameters={"day": "2026-01-01", "a.b-c": "dots"},
    workspace={"id": "0", "url": "http://host"},
    task={"name": "train", "run_id": 33, "execution_count": 3},
    tell=TOLD.get,
    iteration={"input": {"country": "DE", "years": [1, 2], "until": None}},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("{{job.id}}/{{job.run_id}}/{{ job.name }}", "1/2/nightly"),
        ("{{job.repair_count}}", "0"),
        ("--day={{job.parameters.day}}", "--day=2026-01-01"),
        ("{{job.parameters.a.b-c}}", "dots"),
        ("{{job.parameters.`a.b-c`}}", "dots"),
        ("{{job.start_time.iso_date}}", "2026-01-02"),
        ("{{job.start_time.iso_datetime}}", "2026-01-02T03:04:05Z"),
        ("{{job.start_time.iso_weekday}} {{job.start_time.is_weekday}}", "5 true"),
        ("{{job.start_time.year}}-{{job.start_time.month}}-{{job.start_time.day}}", "2026-1-2"),
        ("{{job.start_time.hour}}:{{job.start_time.minute}}:{{job.start_time.second}}", "3:4:5"),
        ("{{job.start_time.timestamp_ms}}", "1767323045678"),
        ("{{job.trigger.type}} {{job.trigger.time.iso_date}}", "one_time 2026-01-02"),
        ("{{task.name}} {{task.run_id}} {{task.execution_count}}", "train 33 3"),
        ("{{tasks.load.values.rows}} {{tasks.load.values.name}}", "5 é"),
        ("{{tasks.load.values.a.b}}", '[1, "x"]'),
        ("{{tasks.load.result_state}} {{tasks.load.run_id}} {{tasks.load.error_code}}", "success 31 SUCCESS"),
        ("{{tasks.`my task`.result_state}}", "upstream_failed"),
        ("{{workspace.url}}", "http://host"),
        ("{{input.country}} {{input.years}}", "DE [1, 2]"),
        ("{{input}}", '{"country": "DE", "years": [1, 2], "until": null}'),
        ("{{input.until}}", "null"),
        ("{{job_id}} {{run_id}} {{parent_run_id}} {{task_key}} {{start_date}}", "1 33 2 train 2026-01-02"),
        ("{{nothing.known}} {{secrets/scope/key}} {{}} {a}", "{{nothing.known}} {{secrets/scope/key}} {{}} {a}"),
    ],
)
def test_references_are_replaced(text, expected):
    assert resolved(text, CONTEXT) == expected


def test_in_lists_and_objects():
    given = {"a": ["{{job.id}}", 5], "b": {"c": "{{task.name}}"}, "d": None}
    assert resolved(given, CONTEXT) == {"a": ["1", 5], "b": {"c": "train"}, "d": None}


@pytest.mark.parametrize(
    "text",
    [
        "{{job.naem}}",
        "{{job.parameters.nothing}}",
        "{{job.start_time.fortnight}}",
        "{{job.start_time}}",
        "{{task.nothing}}",
        "{{tasks.nobody.values.x}}",
        "{{tasks.load.values.nothing}}",
        "{{tasks.load}}",
        "{{input.nothing}}",
        "{{input.country.more}}",
    ],
)
def test_what_there_is_not(text):
    with pytest.raises(ReferenceFailedError, match="could not be resolved") as caught:
        resolved(f"a {text}", CONTEXT)
    assert text in str(caught.value)


def test_what_a_reference_gives_is_not_looked_at_again():
    context = CONTEXT.with_parameters({"day": "{{job.start_time.iso_date}}"})
    assert resolved("{{job.parameters.day}}", context) == "2026-01-02"
    assert resolved("{{input}}", CONTEXT.of_task({}, tell=TOLD.get, iteration={"input": "{{job.id}}"})) == "{{job.id}}"


def test_an_input_that_is_null_is_none_outside_of_an_iteration():
    assert resolved("{{input}}", CONTEXT.of_task({}, tell=TOLD.get, iteration={"input": None})) == "null"
    with pytest.raises(ReferenceFailedError, match="input"):
        resolved("{{input}}", CONTEXT.of_task({}, tell=TOLD.get, iteration={}))
