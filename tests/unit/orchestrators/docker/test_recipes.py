from __future__ import annotations

import dataclasses
import tarfile
import zipfile

import pytest

from wheelrun.errors import ConfigurationError, PackagingError
from wheelrun.orchestrators.containerized import ImageSettings
from wheelrun.orchestrators.docker.recipes import Code, code_recipe, dockerfile_tag, environment_recipe, folders_of_code


def archive(path, **files):
    with zipfile.ZipFile(path, "w") as content:
        for name, text in files.items():
            content.writestr(name, text)
    return path


@pytest.fixture
def code(tmp_path):
    return Code(
        keeper="host:0:/home",
        project="shop",
        wheels=(archive(tmp_path / "shop.whl", **{"shop/a.py": "a = 1"}), archive(tmp_path / "own.whl", b="2")),
        digests=("one", "own"),
        dependencies=None,
        dependencies_digest="",
        python="python3",
        python_version="3.11",
        user="1000:100",
    )


def environment(code, settings=None, **changes):
    values = {"base": "python:3.11-slim", "base_id": "sha256:1", "packages": ("pyspark==4.0.0",), **changes}
    return environment_recipe(settings or ImageSettings(), code, **values)


def test_the_environment_has_a_user_packages_and_dependencies(code, tmp_path):
    code = dataclasses.replace(code, dependencies=archive(tmp_path / "b.zip", d="3"), dependencies_digest="d")
    recipe = environment(code, ImageSettings(build_args={"PIP_INDEX_URL": "https://x"}))
    lines = recipe.dockerfile.splitlines()
    assert "FROM python:3.11-slim" in lines
    assert "ARG PIP_INDEX_URL" in lines
    assert any(
        line.startswith("RUN [") and line.endswith('"3.11", "1000", "100", "/opt/wheelrun/home"]') for line in lines
    )
    assert any('"pip", "install"' in line and line.endswith('"pyspark==4.0.0"]') for line in lines)
    assert "COPY dependencies /opt/wheelrun/dependencies" in lines
    assert "https://x" not in recipe.dockerfile


def test_what_is_not_wanted_leaves_no_line(code):
    dockerfile = environment(dataclasses.replace(code, user="spark"), packages=()).dockerfile
    assert "COPY" not in dockerfile
    assert "pip" not in dockerfile
    assert '"", "", "", "/opt/wheelrun/home"]' in dockerfile


@pytest.mark.parametrize(
    ("of_code", "of_recipe"),
    [
        ({"user": "2:2"}, {}),
        ({"keeper": "another"}, {}),
        ({"dependencies_digest": "other"}, {}),
        ({}, {"base_id": "sha256:2"}),
        ({}, {"packages": ()}),
        ({}, {"settings": ImageSettings(platform="linux/arm64")}),
    ],
)
def test_the_environments_name_changes_with_what_goes_into_it(code, of_code, of_recipe):
    assert environment(code).tag == environment(code).tag
    assert environment(dataclasses.replace(code, **of_code), **of_recipe).tag != environment(code).tag


def test_a_changed_wheel_changes_the_code_alone(code):
    changed = dataclasses.replace(code, digests=("two", "own"))
    settings = ImageSettings()
    assert environment(changed).tag == environment(code).tag
    assert code_recipe(settings, code, environment="e").tag != code_recipe(settings, changed, environment="e").tag
    assert code_recipe(settings, code, environment="e").tag.startswith("wheelrun/shop:")


def test_a_context_holds_what_the_wheels_hold_the_same_bytes_each_time(code):
    recipe = code_recipe(ImageSettings(), code, environment="e")
    with recipe.context() as file:
        first = file.read()
        file.seek(0)
        with tarfile.open(fileobj=file) as inside:
            names = [member.name for member in inside if member.isfile()]
    with recipe.context() as file:
        assert file.read() == first
    assert names == ["Dockerfile", "code/0/shop/a.py", "code/1/b"]


def test_a_name_that_leads_out_is_refused(code, tmp_path):
    bad = archive(tmp_path / "bad.whl", **{"../out": "x"})
    recipe = code_recipe(ImageSettings(), dataclasses.replace(code, wheels=(bad,)), environment="e")
    with pytest.raises(PackagingError, match="may lead out"), recipe.context():
        pass


def test_a_build_argument_needs_a_name(code):
    with pytest.raises(ConfigurationError, match="not a name of a build argument"):
        environment(code, ImageSettings(build_args={"A\nRUN x": "1"}))


def test_the_name_of_a_dockerfiles_image_changes_with_its_context(tmp_path):
    settings = ImageSettings(dockerfile="Dockerfile")
    (tmp_path / "Dockerfile").write_text("FROM x")
    (tmp_path / "beside").write_text("1")
    names = ["Dockerfile", "beside"]
    before = dockerfile_tag(settings, "me", tmp_path, names)
    assert dockerfile_tag(settings, "me", tmp_path, reversed(names)) == before
    (tmp_path / "beside").write_text("2")
    assert dockerfile_tag(settings, "me", tmp_path, names) != before
    assert dockerfile_tag(settings, "me", tmp_path, ["Dockerfile"]) != before


def test_the_order_of_the_path():
    assert folders_of_code(2, dependencies=True) == [
        "/opt/wheelrun/code/0",
        "/opt/wheelrun/code/1",
        "/opt/wheelrun/dependencies",
    ]
