"""What a gateway is sent."""

from __future__ import annotations

import pytest

from wheelrun.config import Stack
from wheelrun.deployment import Deployment, StepSpec, WheelRef
from wheelrun.orchestrators.standalone.orchestrator import StandaloneConfig, StandaloneOrchestrator

WHEEL = WheelRef(file="shop-1.0-py3-none-any.whl", name="shop", version="1.0", digest="d" * 64)


@pytest.fixture
def properties(tmp_path, environ):
    """Return the properties of a driver's JVM for Spark settings of the target."""

    def prepare(**conf):
        stack = Stack(
            name="t",
            orchestrator="spark-standalone",
            config={},
            artifact_root=str(tmp_path / "root"),
            environment={},
            conf={name.replace("_", "."): value for name, value in conf.items()},
            timeout=None,
        )
        deployment = Deployment(
            name="daily", entry="jobs:a", steps=(StepSpec(name="a", function="jobs:a"),), wheel=WHEEL
        )
        made = StandaloneOrchestrator(StandaloneConfig(master="spark://m:7077"), name="t", environ=environ)
        return made.prepare(deployment, stack, "RUN").content["body"]["sparkProperties"]

    return prepare


def test_a_drivers_jvm_is_given_what_spark_needs_of_java_17(properties):
    """Before Spark 4, a gateway does not see to it by itself."""
    options = properties()["spark.driver.defaultJavaOptions"].split()
    assert options[0] == "-XX:+IgnoreUnrecognizedVMOptions"  # Java 8 knows none of the others
    assert "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED" in options


def test_options_of_the_target_come_behind_it(properties):
    made = properties(spark_driver_defaultJavaOptions="-Da=1", spark_driver_extraJavaOptions="-Db=2")
    assert made["spark.driver.defaultJavaOptions"].endswith("=ALL-UNNAMED -Da=1")
    assert "-Db=2" in made["spark.driver.extraJavaOptions"]
