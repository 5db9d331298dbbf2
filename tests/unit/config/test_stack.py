from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pydantic
import pytest

from wheelrun.config import Settings, Stack, load_settings, resolve_stack, validate
from wheelrun.errors import ConfigurationError


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"WHEELRUN_HOME": str(tmp_path / "home")}


def settings(tmp_path: Path, environ: dict[str, str], text: str = "") -> Settings:
    (tmp_path / "wheelrun.toml").write_text(text)
    return load_settings(tmp_path, environ)


def test_local_always_exists(tmp_path, environ):
    assert resolve_stack(settings(tmp_path, environ), environ=environ) == Stack(
        name="local",
        orchestrator="local",
        config={},
        artifact_root=str(tmp_path / "home" / "data" / "artifacts"),
        environment={},
        conf={},
        timeout=None,
        where="target local",
    )


LAYERS = """
[defaults]
artifact_root = "s3://defaults"
timeout = 1
conf = {a = "defaults", b = "defaults", c = "defaults", d = "defaults"}
[targets.t]
orchestrator = "o"
artifact_root = "s3://target"
timeout = 2
conf = {b = "target", c = "target", d = "target"}
"""


def test_flag_over_environment_over_target_over_defaults(tmp_path, environ):
    loaded = settings(tmp_path, environ, LAYERS)

    plain = resolve_stack(loaded, "t", environ=environ)
    assert (plain.artifact_root, plain.timeout) == ("s3://target", 2)
    assert plain.conf == {"a": "defaults", "b": "target", "c": "target", "d": "target"}

    environ |= {"WHEELRUN_ARTIFACT_ROOT": "s3://env", "WHEELRUN_TIMEOUT": "3s", "WHEELRUN_CONF": "c=env d=env"}
    said = resolve_stack(loaded, "t", environ=environ)
    assert (said.artifact_root, said.timeout) == ("s3://env", 3)
    assert said.conf == {"a": "defaults", "b": "target", "c": "env", "d": "env"}

    flags = {"artifact_root": "s3://flag", "timeout": "4s", "conf": {"d": "flag"}, "environment": None}
    flagged = resolve_stack(loaded, "t", flags=flags, environ=environ)
    assert (flagged.artifact_root, flagged.timeout) == ("s3://flag", 4)
    assert flagged.conf == {"a": "defaults", "b": "target", "c": "env", "d": "flag"}

    assert resolve_stack(loaded, environ={"WHEELRUN_HOME": environ["WHEELRUN_HOME"]}).artifact_root == "s3://defaults"


def test_the_targets_name(tmp_path, environ):
    loaded = settings(
        tmp_path, environ, 'target="a"\n[defaults]\norchestrator="o"\n[targets.a]\n[targets.b]\n[targets.c]\n'
    )

    assert resolve_stack(loaded, environ=environ).name == "a"
    assert resolve_stack(loaded, environ=environ | {"WHEELRUN_TARGET": "b"}).name == "b"
    assert resolve_stack(loaded, environ=environ | {"WHEELRUN_TARGET": ""}).name == "a"
    assert resolve_stack(loaded, "c", environ=environ | {"WHEELRUN_TARGET": "b"}).name == "c"
    assert resolve_stack(loaded, "b", environ=environ).orchestrator == "o"
    assert resolve_stack(loaded, "local", environ=environ).orchestrator == "local"


def test_own_keys_stay_raw_and_flags_change_them(tmp_path, environ):
    loaded = settings(tmp_path, environ, '[targets.t]\norchestrator="o"\ncluster={a=1}\nworkers=2\n')

    stack = resolve_stack(loaded, "t", flags={"workers": "3", "master": None}, environ=environ)

    assert stack.config == {"cluster": {"a": 1}, "workers": "3"}
    assert stack.where == "wheelrun.toml [targets.t]"


def test_own_keys_of_defaults_go_to_their_orchestrator_only(tmp_path, environ):
    text = '[defaults]\nmax_parallel_steps = 4\n[targets.t]\norchestrator="o"\n'
    loaded = settings(tmp_path, environ, text)
    assert resolve_stack(loaded, "local", environ=environ).config == {"max_parallel_steps": 4}
    assert resolve_stack(loaded, "t", environ=environ).config == {}

    loaded = settings(tmp_path, environ, text.replace("max_", 'orchestrator = "o"\nmax_'))
    assert resolve_stack(loaded, "local", environ=environ).config == {}
    assert resolve_stack(loaded, "t", environ=environ).config == {"max_parallel_steps": 4}


def test_no_time_limit_is_zero(tmp_path, environ):
    loaded = settings(tmp_path, environ, LAYERS)

    assert resolve_stack(loaded, "t", flags={"timeout": 0}, environ=environ).timeout is None


def test_only_local_has_an_artifact_root_of_its_own(tmp_path, environ):
    assert (
        resolve_stack(
            settings(tmp_path, environ, '[targets.t]\norchestrator="o"\n'), "t", environ=environ
        ).artifact_root
        == ""
    )


def test_words_of_the_environment_are_split_like_a_shells(tmp_path, environ):
    environ |= {"WHEELRUN_CONF": "spark.a=1,2 spark.b='-Da=1 -Db=2'", "WHEELRUN_ENVIRONMENT": "A= B=x=y"}

    stack = resolve_stack(settings(tmp_path, environ), environ=environ)

    assert stack.conf == {"spark.a": "1,2", "spark.b": "-Da=1 -Db=2"}
    assert stack.environment == {"A": "", "B": "x=y"}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WHEELRUN_CONF": "spark.a"}, "WHEELRUN_CONF: 'spark.a' is not key=value"),
        ({"WHEELRUN_CONF": "'open"}, "WHEELRUN_CONF: No closing quotation"),
        ({"WHEELRUN_TIMEOUT": "soon"}, "WHEELRUN_TIMEOUT: timeout = 'soon' is not a duration such as"),
        ({"WHEELRUN_TARGET": "locale"}, "there is no target 'locale'; did you mean 'local'?"),
    ],
)
def test_a_bad_variable_is_named(variables, message, tmp_path, environ):
    with pytest.raises(ConfigurationError) as caught:
        resolve_stack(settings(tmp_path, environ), environ=environ | variables)
    assert message in caught.value.message


def test_an_unknown_target_shows_the_known_ones(tmp_path, environ):
    loaded = settings(tmp_path, environ, '[targets.staging]\norchestrator="o"\n')

    with pytest.raises(ConfigurationError, match="there is no target 'stagin'; did you mean 'staging'") as caught:
        resolve_stack(loaded, "stagin", environ=environ)
    assert "known targets: local, staging" in (caught.value.hint or "")


def test_a_target_without_orchestrator(tmp_path, environ):
    with pytest.raises(ConfigurationError, match=r"wheelrun\.toml \[targets\.t\] names no orchestrator"):
        resolve_stack(settings(tmp_path, environ, "[targets.t]\ntimeout=1\n"), "t", environ=environ)
    with pytest.raises(ConfigurationError, match="t names no orchestrator"):
        resolve_stack(settings(tmp_path, environ, "[targets.t]\n"), "t", environ=environ)


class Config(pydantic.BaseModel):
    workers: int = 1
    mode: Literal["a", "b"] = "a"
    api_token: str = ""
    size: dict[str, int] = {}

    @pydantic.field_validator("workers")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("At least one is needed")
        return value


def test_validate_reads_the_model():
    assert validate(Config, {"workers": "3", "mode": "b"}, "here") == Config(workers=3, mode="b")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"worker": 1}, "here: unknown key 'worker'; did you mean 'workers'?"),
        ({"artefact_root": "x"}, "here: unknown key 'artefact_root'; did you mean 'artifact_root'?"),
        ({"zzz": 1}, "here: unknown key 'zzz'"),
        ({"workers": "many"}, "here: workers = 'many': input should be a valid integer"),
        ({"workers": 0}, "here: workers = 0: at least one is needed"),
        ({"mode": "c"}, "here: mode = 'c': input should be 'a' or 'b'"),
        ({"size": {"x": "y"}}, "here: size.x = 'y': input should be a valid integer"),
        ({"api_token": ["x"]}, "here: api_token = a list: input should be a valid string"),
    ],
)
def test_validate_names_key_value_and_what_was_expected(table, message):
    with pytest.raises(ConfigurationError) as caught:
        validate(Config, table, "here")
    assert message in caught.value.message
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # pydantic's holds the input


class Inner(pydantic.BaseModel, extra="forbid"):
    cores: int = 1


class Outer(pydantic.BaseModel, extra="forbid"):
    one: Inner | None = None
    many: Mapping[str, Inner] = {}
    row: tuple[Inner, ...] = ()

    @pydantic.model_validator(mode="after")
    def _some(self):
        if self.one is None and not self.many and not self.row:
            raise ValueError("one of them is needed")
        return self


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "here: one of them is needed"),
        ({"one": 3}, "here: one = 3: input should be a valid dictionary"),
        ({"one": {"core": 1}}, "here: unknown key 'one.core'; did you mean 'one.cores'?"),
        ({"many": {"a": {"core": 1}}}, "here: unknown key 'many.a.core'; did you mean 'many.a.cores'?"),
        ({"row": [{"core": 1}]}, "here: unknown key 'row.0.core'; did you mean 'row.0.cores'?"),
    ],
)
def test_validate_names_what_is_wrong_in_tables_in_tables(table, message):
    with pytest.raises(ConfigurationError) as caught:
        validate(Outer, table, "here")
    assert caught.value.message.startswith(message)


def test_a_credential_is_never_echoed_whole():
    token = "".join(random.Random(1).choices("abcdef0123456789", k=36))

    with pytest.raises(ConfigurationError) as caught:
        validate(Config, {"workers": token, "size": {"password": "hunter2"}}, "here")

    assert token[:4] in caught.value.message
    assert token[:6] not in caught.value.message
    assert "hunter" not in caught.value.message


def test_a_long_value_is_cut():
    with pytest.raises(ConfigurationError) as caught:
        validate(Config, {"workers": "many words " * 50}, "here")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("name", "command"), [("emulator", "emulator"), ("cluster", "cluster"), ("connect", "cluster")]
)
def test_a_target_that_is_offered_by_what_is_not_up_says_how_to_start_it(tmp_path, environ, name, command):
    with pytest.raises(ConfigurationError, match=f"there is no target '{name}'") as caught:
        resolve_stack(settings(tmp_path, environ), name, environ=environ)
    assert caught.value.hint == f"it is there while that is up; to start it: wheelrun {command} up"


@pytest.mark.parametrize("root", ["s3://key:word@bucket/folder", "sftp://me:@word@host/x", "https://:word@host/x"])
def test_a_password_in_an_artifact_root_is_refused_before_it_is_stored(tmp_path, environ, root):
    loaded = settings(tmp_path, environ, LAYERS)

    with pytest.raises(ConfigurationError, match="target 't' holds a password") as error:
        resolve_stack(loaded, "t", flags={"artifact_root": root}, environ=environ)

    assert "word@" not in str(error.value)
