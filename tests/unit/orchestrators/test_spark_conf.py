"""Resources, environment and code as Spark's settings."""

from __future__ import annotations

import pytest

from wheelrun.deployment import StepSpec
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.spark_conf import (
    SETTINGS,
    agree,
    archives,
    executor_environment,
    mebibytes,
    resource_conf,
    split,
    together,
)
from wheelrun.step_settings import Resources


def conf(honoured=tuple(SETTINGS), **asked):
    return resource_conf(Resources(**asked), honoured=honoured, target="t")


@pytest.mark.parametrize(
    ("size", "written"), [("8GiB", "8192m"), ("8GB", "7629m"), ("512MB", "488m"), ("2g", "2048m"), ("1MiB", "1m")]
)
def test_units(size, written):
    assert mebibytes(size) == written
    assert conf(memory=size) == {"spark.driver.memory": written}


def test_every_field_has_a_setting():
    assert set(SETTINGS) == set(Resources.__dataclass_fields__)
    assert conf(cpu_count=2.0, executors=3, executor_cpu_count=4, executor_memory="1g", gpu_count=1) == {
        "spark.driver.cores": "2",
        "spark.executor.instances": "3",
        "spark.executor.cores": "4",
        "spark.executor.memory": "1024m",
        "spark.driver.resource.gpu.amount": "1",
    }


@pytest.mark.parametrize("asked", [{"cpu_count": 0.5}, {"memory": "10kB"}, {"memory": "much"}, {"executors": 0}])
def test_what_spark_does_not_take_is_refused(asked):
    with pytest.raises(ConfigurationError, match=next(iter(asked))):
        conf(**asked)


def test_what_the_master_does_not_honour_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="target 't' cannot honour gpu_count = 1"):
        conf(honoured=("memory",), gpu_count=1)


def test_steps_that_share_an_application_get_the_most_of_each():
    steps = [
        StepSpec(name="a", function="m:a", resources=Resources(memory="1GiB", cpu_count=4)),
        StepSpec(name="b", function="m:b", resources=Resources(memory="1500MB")),
        StepSpec(name="c", function="m:c"),
    ]
    assert together(steps) == Resources(memory="1500MB", cpu_count=4)


def test_executors_get_the_environment_and_the_code():
    settings = executor_environment({"A": "1", "PYTHONPATH": "/x"}, ["p.zip", "w.zip"])
    assert settings == {
        "spark.executorEnv.A": "1",
        "spark.executorEnv.PYTHONPATH": "wheelrun_code_0:wheelrun_code_1:/x",
    }
    assert archives(["/r/p.zip", "/r/w.zip"], "mine.tgz#m") == (
        "/r/p.zip#wheelrun_code_0,/r/w.zip#wheelrun_code_1,mine.tgz#m"
    )


def test_secrets_are_told_apart():
    shown, secret = split({"spark.a": "1", "spark.hadoop.fs.s3a.secret.key": "s", "spark.executorEnv.MY_TOKEN": "t"})
    assert shown == {"spark.a": "1"}
    assert set(secret) == {"spark.hadoop.fs.s3a.secret.key", "spark.executorEnv.MY_TOKEN"}


def test_a_setting_that_contradicts_a_key_of_the_target_is_refused():
    own = {"spark.master": ("master", "spark://a:7077")}
    agree({"spark.master": "spark://a:7077", "spark.app.name": "x"}, own, target="t")
    agree({}, own, target="t")

    with pytest.raises(ConfigurationError, match=r"spark\.master = 'yarn' is at odds with master = 'spark://a:7077'"):
        agree({"spark.master": "yarn"}, own, target="t")
