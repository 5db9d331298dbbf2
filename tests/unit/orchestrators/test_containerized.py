from __future__ import annotations

import pydantic
import pytest

from wheelrun.deployment import Deployment, StepSpec
from wheelrun.orchestrators.containerized import SHARED, ImageSettings
from wheelrun.orchestrators.docker.config import DockerConfig
from wheelrun.orchestrators.docker.orchestrator import LocalDockerOrchestrator


def deployment(*names):
    return Deployment(name="d", entry="m:f", steps=tuple(StepSpec(name=name, function="m:f") for name in names))


def orchestrator(**config):
    return LocalDockerOrchestrator(DockerConfig(**config))


def builds(found):
    return [(build.step_name, build.settings.image) for build in found]


def test_steps_that_differ_in_nothing_share_one_build():
    found = orchestrator(image="base", steps={"a": {"image": "base"}}).get_docker_builds(deployment("a", "b"))
    assert builds(found) == [(None, "base")]


def test_a_step_that_differs_has_a_build_of_its_own():
    found = orchestrator(image="base", steps={"b": {"image": "other"}}).get_docker_builds(deployment("a", "b", "c"))
    assert builds(found) == [(None, "base"), ("b", "other")]


def test_where_all_differ_nothing_is_shared():
    steps = {"a": {"labels": {"l": "1"}}, "b": {"platform": "linux/arm64"}}
    assert [name for name, _ in builds(orchestrator(steps=steps).get_docker_builds(deployment("a", "b")))] == ["a", "b"]


def test_a_steps_dockerfile_takes_the_place_of_the_targets_image():
    config = DockerConfig(image="base", platform="linux/amd64", steps={"a": {"dockerfile": "D"}})
    settings = config.image_settings("a")
    assert (settings.image, str(settings.dockerfile), settings.platform) == (None, "D", "linux/amd64")


def test_the_image_of_a_step_and_of_those_that_share():
    docker = orchestrator(image="base", steps={"b": {"image": "other"}})
    docker.images = {SHARED: "sha256:1", "b": "sha256:2"}
    run = deployment("a", "b")
    assert docker.get_image(run) == docker.get_image(run, "a") == "sha256:1"
    assert docker.get_image(run, "b") == "sha256:2"


def test_without_a_build_there_is_no_image():
    with pytest.raises(RuntimeError, match="no image was built for step 'a' of deployment 'd'"):
        orchestrator().get_image(deployment("a"), "a")


def test_image_and_dockerfile_exclude_each_other():
    with pytest.raises(pydantic.ValidationError, match="exclude each other"):
        ImageSettings(image="a", dockerfile="b")


@pytest.mark.parametrize("name", ["a\nRUN x", "a b", "-x", ""])
def test_a_name_that_is_none_of_an_image_is_refused(name):
    with pytest.raises(pydantic.ValidationError):
        ImageSettings(image=name)
