from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from wheelrun.deployment import StepSpec
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.docker.config import DockerConfig
from wheelrun.orchestrators.docker.specs import check_run_args, container_spec, driver_conf
from wheelrun.step_settings import Resources


def step(**resources):
    return StepSpec(name="s", function="m:f", resources=Resources(**resources))


def spec_of(config, spec=None, user="1:1"):
    return container_spec(DockerConfig(**config), spec or step(), root=Path("/root"), user=user, labels={"own": "x"})


def test_resources_become_limits():
    spec = spec_of({}, step(cpu_count=1.5, memory="1GiB", gpu_count=2))
    assert spec["nano_cpus"] == 1_500_000_000
    assert spec["mem_limit"] == spec["memswap_limit"] == 2**30
    assert spec["device_requests"] == [{"count": 2, "capabilities": [["gpu"]]}]
    assert not {"mem_limit", "nano_cpus", "network_mode"} & set(spec_of({}))


@pytest.mark.parametrize(
    ("resources", "words"),
    [({"executors": 1}, "has no executors"), ({"memory": "1MB"}, "less than 6 MiB"), ({"memory": "x"}, "not a size")],
)
def test_what_a_container_cannot_have_is_refused(resources, words):
    with pytest.raises(ConfigurationError, match=words):
        spec_of({}, step(**resources))


def test_the_drivers_heap_fits_into_the_container():
    assert driver_conf({"a": "b"}, step(memory="1000MiB")) == {"a": "b", "spark.driver.memory": "600m"}
    own = {"spark.driver.memory": "4g"}
    assert driver_conf(own, step(memory="1000MiB")) == own
    assert driver_conf({}, step()) == {}


def test_wheelruns_own_volumes_and_labels_win():
    config = {
        "volumes": ["/a:/root/", "/b:/data:ro", "named:/named", "~/x:/home"],
        "run_args": {"labels": {"own": "y", "l": "1"}},
    }
    spec = spec_of(config)
    assert spec["volumes"] == ["/root:/root", "/b:/data:ro", "named:/named", f"{Path.home()}/x:/home"]
    assert spec["labels"] == {"own": "x", "l": "1"}


@pytest.mark.parametrize("name", ["mem_limit", "network", "user", "environment", "volumes", "command", "auto_remove"])
def test_an_argument_that_is_set_elsewhere_is_refused(name):
    with pytest.raises(pydantic.ValidationError, match=f"{name} is "):
        DockerConfig(run_args={name: 1})


@pytest.mark.parametrize("volume", ["/only", "/a:relative", ":/b", "/a:/b:ro:x"])
def test_a_volume_has_two_sides(volume):
    with pytest.raises(pydantic.ValidationError, match="is not /here:/there"):
        DockerConfig(volumes=[volume])


def test_arguments_that_the_sdk_does_not_take_are_refused():
    check_run_args({"shm_size": "1g", "hostname": "h", "ulimits": [{"name": "nofile", "soft": 1}]})
    with pytest.raises(ConfigurationError, match="docker-py has no 'shm'"):
        check_run_args({"shm": 1})
    with pytest.raises(ConfigurationError, match="run_args: "):
        check_run_args({"devices": 1, "mem_swappiness": "often"})
