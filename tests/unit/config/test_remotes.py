"""Connect servers in targets: where address and token come from, and that no secret stays where it would be stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from wheelrun.config import Settings, resolve_stack
from wheelrun.config.remotes import given_again
from wheelrun.config.settings import target_table
from wheelrun.errors import ConfigurationError
from wheelrun.runtime.remote import REMOTE, SECRETS, TOKEN


def stack_of(table=None, *, flags=None, environ=None, target="t"):
    targets = {
        "local": target_table({}, "", Path()),
        "t": target_table({"orchestrator": "spark-connect", **(table or {})}, "here [targets.t]", Path()),
    }
    settings = Settings(targets=targets, defaults=target_table({}, "", Path()))
    return resolve_stack(settings, target, flags=flags, environ={"WHEELRUN_HOME": "/home", **(environ or {})})


def test_the_token_of_an_address_moves_to_the_variables():
    stack = stack_of({"remote": "sc://h:7/;token=a%20b;use_ssl=true;x-api-key=k"})
    assert stack.config["remote"] == "sc://h:7/;use_ssl=true"
    assert stack.environment == {TOKEN: "a b", SECRETS: "x-api-key=k"}


def test_addresses_anywhere_lose_their_token():
    flags = {"environment": {REMOTE: "sc://h/;token=a"}, "conf": {"spark.remote": "sc://h/;token=b"}}
    stack = stack_of(flags=flags, target="local")
    assert stack.environment == {REMOTE: "sc://h:15002", TOKEN: "a"}
    assert stack.conf == {"spark.remote": "sc://h:15002"}


@pytest.mark.parametrize(
    ("table", "flags", "environ", "remote", "environment"),
    [
        ({}, {}, {}, None, {}),
        ({}, {}, {REMOTE: "sc://e/;token=x"}, "sc://e:15002", {TOKEN: "x"}),
        ({"remote": "sc://t"}, {}, {REMOTE: "sc://e/;token=x"}, "sc://t:15002", {}),
        ({"remote": "sc://t"}, {"remote": "sc://f/;token=y"}, {}, "sc://f:15002", {TOKEN: "y"}),
        ({"remote": "sc://t"}, {}, {TOKEN: "x"}, "sc://t:15002", {TOKEN: "x"}),
        ({"remote": "sc://t/;token=y"}, {}, {TOKEN: "x"}, "sc://t:15002", {TOKEN: "y"}),
        ({"remote": "sc://t", "token_file": "f"}, {}, {TOKEN: "x"}, "sc://t:15002", {}),
        ({"remote": "sc://t"}, {"environment": {TOKEN: "z"}}, {TOKEN: "x"}, "sc://t:15002", {TOKEN: "z"}),
    ],
)
def test_where_address_and_token_come_from(table, flags, environ, remote, environment):
    stack = stack_of(table, flags=flags, environ=environ)
    assert stack.config.get("remote") == remote
    assert stack.environment == environment
    assert stack.artifact_root == "/home/data/artifacts"


def test_a_token_of_the_environment_is_left_alone_where_there_is_no_server():
    assert stack_of(target="local", environ={TOKEN: "x", REMOTE: "sc://e"}).environment == {}


def test_an_address_alone_is_a_target():
    stack = stack_of(flags={"remote": "sc://h:7"}, target=None)
    assert (stack.name, stack.orchestrator, stack.config) == ("connect", "spark-connect", {"remote": "sc://h:7"})
    assert stack.where == "--remote"


def test_an_address_for_a_target_that_is_no_server_is_refused():
    with pytest.raises(ConfigurationError, match="target 'local' is one of 'local', which takes no --remote"):
        stack_of(flags={"remote": "sc://h:7"}, target="local")


def test_an_address_that_is_none_is_refused_without_its_token():
    with pytest.raises(ConfigurationError) as caught:
        stack_of({"remote": "sc://h:x/;token=S3CR3T"})
    assert "S3CR3T" not in str(caught.value)


def test_what_is_given_again():
    assert given_again({"remote": "sc://h:7"}, {}, {TOKEN: "x"}) == ({"remote": "sc://h:7"}, {TOKEN: "x"})
    config, known = given_again({"remote": "sc://h:7"}, {}, {REMOTE: "sc://h:7/;token=y"})
    assert (config, known[TOKEN]) == ({"remote": "sc://h:7"}, "y")
    assert TOKEN not in given_again({"remote": "sc://h:7"}, {}, {REMOTE: "sc://other/;token=y"})[1]
    moved, _ = given_again({"remote": "sc://h:7"}, {REMOTE: "sc://h:8"}, {})
    assert moved == {"remote": "sc://h:8"}
    assert given_again({"master": "local[2]"}, {REMOTE: "sc://h:8"}, {})[0] == {"master": "local[2]"}
