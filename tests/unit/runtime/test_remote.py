"""Addresses of Connect servers, and what of them may be seen."""

from __future__ import annotations

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.runtime.masking import masked, public
from wheelrun.runtime.remote import SECRETS, TOKEN, Remote, read, with_parameters, without_secrets


@pytest.mark.parametrize(
    ("text", "place", "public"),
    [
        ("sc://host", "sc://host:15002", "sc://host:15002"),
        ("sc://host:7/", "sc://host:7", "sc://host:7"),
        (" sc://host:7/;use_ssl=true ", "sc://host:7", "sc://host:7/;use_ssl=true"),
        ("sc://host:7;use_ssl=true;", "sc://host:7", "sc://host:7/;use_ssl=true"),
        ("sc://[::1]:7/;user_id=a%20b", "sc://[::1]:7", "sc://[::1]:7/;user_id=a%20b"),
        ("sc://h:7/;token=abc;user_id=me", "sc://h:7", "sc://h:7/;user_id=me"),
    ],
)
def test_an_address_is_read(text, place, public):
    remote = Remote.parse(text)
    assert (remote.place, remote.public) == (place, public)
    assert Remote.parse(remote.public) == Remote.parse(remote.public)


def test_its_secrets_are_apart():
    remote = Remote.parse("sc://h:7/;token=a%3Bb==;x-api-key=k%20y;Authorization=z;x-databricks-cluster-id=7")
    assert remote.secrets == {"token": "a;b==", "x-api-key": "k y", "Authorization": "z"}
    assert remote.public == "sc://h:7/;x-databricks-cluster-id=7"
    assert remote.environment == {TOKEN: "a;b==", SECRETS: "x-api-key=k%20y;Authorization=z"}
    assert read(remote.environment[SECRETS]) == {"x-api-key": "k y", "Authorization": "z"}
    assert "a;b" not in repr(remote)
    whole = with_parameters(remote.public, remote.secrets)
    assert Remote.parse(whole) == remote


@pytest.mark.parametrize(
    "text",
    [
        "",
        "S3CR3T",
        "http://h:7/;token=S3CR3T",
        "sc://",
        "sc://:7/;token=S3CR3T",
        "sc://h:seven/;token=S3CR3T",
        "sc://h:99999/;token=S3CR3T",
        "sc://me:S3CR3T@h:7",
        "sc://h:7/path/;token=S3CR3T",
        "sc://h:7/?token=S3CR3T",
        "sc://h:7#S3CR3T",
        "sc://h:7/;S3CR3T",
        "sc://h:7/;=S3CR3T",
        "sc://h 7/;token=S3CR3T",
    ],
)
def test_what_is_no_address_is_refused_without_a_word_of_its_parameters(text):
    with pytest.raises(ConfigurationError) as caught:
        Remote.parse(text)
    assert "S3CR3T" not in f"{caught.value.message} {caught.value.hint} {caught.value!r}"
    assert "sc://host:port" in caught.value.hint


def test_settings_that_hold_an_address_are_shown_and_stored_without_its_secrets():
    settings = {"SPARK_REMOTE": "sc://h:7/;token=S3CR3T;use_ssl=true", "N": "1"}
    assert public(settings) == masked(settings) == {"SPARK_REMOTE": "sc://h:7/;use_ssl=true", "N": "1"}
    assert without_secrets("sc://h:7/x;token=S3CR3T") == "sc://h:7"
    assert without_secrets(7) == 7


def test_an_address_that_names_a_session_is_refused():
    with pytest.raises(ConfigurationError, match="names a session") as error:
        Remote.parse("sc://host:15002/;session_id=5d3e8a52-6d0f-4c0a-9f0e-0a5f3d0f9f11")
    assert error.value.hint == "leave session_id out"
