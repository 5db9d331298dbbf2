"""What policies want of clusters, rule by rule."""

from __future__ import annotations

import pytest

from wheelrun.emulator.compute.policies import applied
from wheelrun.emulator.errors import ApiError

SPEC = {"num_workers": 2, "spark_conf": {"spark.a.b": "1"}, "autoscale": {"max_workers": 5}, "init_scripts": [{"s": 1}]}


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("num_workers", {"type": "fixed", "value": 2}),
        ("num_workers", {"type": "range", "minValue": 2, "maxValue": 2}),
        ("num_workers", {"type": "allowlist", "values": [1, 2]}),
        ("num_workers", {"type": "blocklist", "values": [1]}),
        ("num_workers", {"type": "unlimited"}),
        ("spark_conf.spark.a.b", {"type": "fixed", "value": 1}),
        ("spark_conf.spark.a.b", {"type": "regex", "pattern": "[0-9]"}),
        ("autoscale.max_workers", {"type": "range", "maxValue": 5}),
        ("spark_conf.spark.c", {"type": "forbidden"}),
        ("custom_tags.team", {"type": "unlimited", "isOptional": True}),
        ("init_scripts.*.none", {"type": "forbidden"}),
        ("cluster_type", {"type": "fixed", "value": "all-purpose"}),
        ("dbus_per_hour", {"type": "range", "maxValue": 1}),
    ],
)
def test_what_fits(path, rule):
    assert applied({path: rule}, SPEC, defaults=False, job=False) == SPEC


@pytest.mark.parametrize(
    ("path", "rule", "problem"),
    [
        ("num_workers", {"type": "fixed", "value": 3}, 'num_workers, the value must be 3 (is "2")'),
        ("num_workers", {"type": "forbidden"}, 'num_workers, the value must not be present (is "2")'),
        ("num_workers", {"type": "range", "maxValue": 1}, 'num_workers, the value must be no greater than 1 (is "2")'),
        ("num_workers", {"type": "range", "minValue": 3}, 'num_workers, the value must be no less than 3 (is "2")'),
        ("num_workers", {"type": "allowlist", "values": [1, 3]}, 'num_workers, the value must be one of 1, 3 (is "2")'),
        ("num_workers", {"type": "blocklist", "values": [2]}, 'num_workers, the value must not be one of 2 (is "2")'),
        ("spark_conf.spark.a.b", {"type": "regex", "pattern": "x"}, 'spark_conf, spark.a.b must match x (is "1")'),
        (
            "autoscale.max_workers",
            {"type": "range", "maxValue": 4},
            'autoscale.max_workers, the value must be no greater than 4 (is "5")',
        ),
        ("custom_tags.team", {"type": "unlimited"}, "custom_tags, team must be present"),
        ("cluster_type", {"type": "fixed", "value": "job"}, 'cluster_type, the value must be job (is "all-purpose")'),
    ],
)
def test_what_does_not(path, rule, problem):
    with pytest.raises(ApiError) as caught:
        applied({path: rule}, SPEC, defaults=False, job=False)
    assert caught.value.message == f"Cluster validation error: Validation failed for {problem}"


def test_each_item_of_a_list():
    with pytest.raises(ApiError, match=r"Validation failed for init_scripts\.0\.s"):
        applied({"init_scripts.*.s": {"type": "forbidden"}}, SPEC, defaults=False, job=False)


@pytest.mark.parametrize(
    ("defaults", "expected"), [(False, {"x": 1}), (True, {"x": 1, "y": 2, "spark_conf": {"spark.z": "true"}})]
)
def test_what_it_gives(defaults, expected):
    rules = {
        "x": {"type": "fixed", "value": 1},
        "y": {"type": "range", "maxValue": 3, "defaultValue": 2, "isOptional": True},
        "spark_conf.spark.z": {"type": "unlimited", "defaultValue": "true", "isOptional": True},
    }
    assert applied(rules, {}, defaults=defaults, job=True) == expected


def test_all_that_is_wrong_is_said_at_once():
    rules = {"num_workers": {"type": "forbidden"}, "custom_tags.team": {"type": "unlimited"}}
    with pytest.raises(ApiError) as caught:
        applied(rules, SPEC, defaults=False, job=False)
    assert caught.value.message == (
        'Cluster validation error: Validation failed for num_workers, the value must not be present (is "2"); '
        "Validation failed for custom_tags, team must be present"
    )
