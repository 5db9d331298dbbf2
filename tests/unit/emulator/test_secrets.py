from __future__ import annotations

import base64

import pytest
from databricks.sdk.errors import DatabricksError, InvalidParameterValue, NotFound
from databricks.sdk.service.workspace import AclPermission

from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.secrets import MAX_VALUE, resolved
from wheelrun.emulator.state import USER


@pytest.fixture
def secrets(workspace):
    workspace.secrets.create_scope("s")
    return workspace.secrets


def test_a_value_goes_and_comes_back(secrets, workspace):
    secrets.put_secret("s", "k", string_value="vä")
    assert base64.b64decode(secrets.get_secret("s", "k").value).decode() == "vä"
    secrets.put_secret("s", "k", bytes_value=base64.b64encode(b"\xff").decode())
    assert workspace.dbutils.secrets.getBytes("s", "k") == b"\xff"
    secrets.delete_secret("s", "k")
    with pytest.raises(NotFound, match="Secret does not exist with scope: s and key: k"):
        secrets.get_secret("s", "k")


def test_lists_hold_names_and_no_values(secrets):
    secrets.put_secret("s", "b", string_value="1")
    secrets.put_secret("s", "a", string_value="2")
    assert [(item.key, set(item.as_dict())) for item in secrets.list_secrets("s")] == [
        ("a", {"key", "last_updated_timestamp"}),
        ("b", {"key", "last_updated_timestamp"}),
    ]
    assert [scope.name for scope in secrets.list_scopes()] == ["s"]


def test_a_scope_goes_with_its_secrets(secrets):
    secrets.put_secret("s", "k", string_value="v")
    with pytest.raises(DatabricksError, match="Scope s already exists!"):
        secrets.create_scope("s")
    secrets.delete_scope("s")
    with pytest.raises(NotFound, match="Scope s does not exist!"):
        secrets.put_secret("s", "k", string_value="v")
    secrets.create_scope("s")
    assert list(secrets.list_secrets("s")) == []


def test_who_may_what(secrets):
    assert [(item.principal, item.permission) for item in secrets.list_acls("s")] == [(USER, AclPermission.MANAGE)]
    secrets.put_acl("s", "users", AclPermission.READ)
    assert secrets.get_acl("s", "users").permission is AclPermission.READ
    secrets.delete_acl("s", "users")
    with pytest.raises(NotFound):
        secrets.get_acl("s", "users")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a" * 129, "{{x}}"])
def test_a_name_that_is_none(secrets, name):
    with pytest.raises(InvalidParameterValue):
        secrets.create_scope(name)
    with pytest.raises(InvalidParameterValue):
        secrets.put_secret("s", name, string_value="v")


def test_a_value_is_one_thing_of_bounded_length(secrets):
    secrets.put_secret("s", "k", string_value="v" * MAX_VALUE)
    for wrong in ({}, {"string_value": "a", "bytes_value": "YQ=="}, {"string_value": "v" * (MAX_VALUE + 1)}):
        with pytest.raises(InvalidParameterValue):
            secrets.put_secret("s", "k", **wrong)


def test_references_are_replaced(secrets, emulator):
    secrets.put_secret("s", "k", string_value="value")
    secrets.put_secret("s", "nested", string_value="{{secrets/s/k}}")
    text = "a={{secrets/s/k}};b={{ secrets/s/k }};{{job.id}}"
    assert resolved(emulator, text) == "a=value;b=value;{{job.id}}"
    assert resolved(emulator, "{{secrets/s/nested}}") == "{{secrets/s/k}}"
    with pytest.raises(ApiError, match="Secret does not exist with scope: s and key: no") as caught:
        resolved(emulator, "{{secrets/s/no}}")
    assert caught.value.code == "INVALID_PARAMETER_VALUE"
    secrets.put_secret("s", "k", bytes_value=base64.b64encode(b"\xff").decode())
    with pytest.raises(ApiError, match="is not text"):
        resolved(emulator, "{{secrets/s/k}}")


def test_no_value_is_logged_or_told_in_an_error(secrets, caplog, capfd):
    secrets.put_secret("s", "k", string_value="very-secret")
    for wrong in ({"string_value": "very-secret", "bytes_value": "x"}, {"bytes_value": "very-secret"}):
        with pytest.raises(DatabricksError) as caught:
            secrets.put_secret("s", "k", **wrong)
        assert "very-secret" not in str(caught.value)
    assert "very-secret" not in caplog.text
    assert "very-secret" not in "".join(capfd.readouterr())
