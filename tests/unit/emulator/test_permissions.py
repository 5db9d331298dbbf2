from __future__ import annotations

import pytest
from databricks.sdk.errors import InvalidParameterValue, NotFound
from databricks.sdk.service.iam import AccessControlRequest, PermissionLevel

from wheelrun.emulator.state import USER


@pytest.fixture
def job(emulator):
    emulator.put("job", 7, {"job_id": 7})
    return "7"


def levels(answer):
    return {
        item.user_name or item.group_name or item.service_principal_name: item.all_permissions[0].permission_level
        for item in answer.access_control_list
    }


def test_who_made_a_job_owns_it(workspace, job):
    answer = workspace.permissions.get("jobs", job)
    assert (answer.object_id, answer.object_type) == ("/jobs/7", "job")
    assert levels(answer) == {USER: PermissionLevel.IS_OWNER, "admins": PermissionLevel.CAN_MANAGE}


def test_others_are_added_and_all_are_replaced(workspace, job):
    view = AccessControlRequest(group_name="users", permission_level=PermissionLevel.CAN_VIEW)
    answer = workspace.permissions.update("jobs", job, access_control_list=[view])
    assert levels(answer) == {
        USER: PermissionLevel.IS_OWNER,
        "users": PermissionLevel.CAN_VIEW,
        "admins": PermissionLevel.CAN_MANAGE,
    }
    owner = AccessControlRequest(service_principal_name="sp", permission_level=PermissionLevel.IS_OWNER)
    workspace.permissions.set("jobs", job, access_control_list=[owner])
    assert levels(workspace.permissions.get("jobs", job)) == {
        "sp": PermissionLevel.IS_OWNER,
        "admins": PermissionLevel.CAN_MANAGE,
    }


def test_a_job_has_one_owner(workspace, job):
    with pytest.raises(InvalidParameterValue, match="exactly one owner"):
        workspace.permissions.set("jobs", job, access_control_list=[])


def test_a_permission_of_something_else(workspace, job):
    wrong = AccessControlRequest(user_name="u", permission_level=PermissionLevel.CAN_RESTART)
    with pytest.raises(InvalidParameterValue, match="CAN_RESTART is not a permission of a job"):
        workspace.permissions.update("jobs", job, access_control_list=[wrong])
    nobody = AccessControlRequest(permission_level=PermissionLevel.CAN_VIEW)
    with pytest.raises(InvalidParameterValue, match="Exactly one of"):
        workspace.permissions.update("jobs", job, access_control_list=[nobody])


def test_what_is_not_there(workspace):
    for kind in ("jobs", "clusters"):
        with pytest.raises(NotFound):
            workspace.permissions.get(kind, "99")
    with pytest.raises(InvalidParameterValue):
        workspace.permissions.get("nonsense", "1")


def test_of_a_folder(workspace):
    identity = str(workspace.workspace.get_status("/Shared").object_id)
    read = AccessControlRequest(group_name="users", permission_level=PermissionLevel.CAN_READ)
    answer = workspace.workspace.update_permissions("directories", identity, access_control_list=[])
    assert answer.object_type == "directory"
    workspace.permissions.update("directories", identity, access_control_list=[read])
    assert levels(workspace.permissions.get("directories", identity))["users"] is PermissionLevel.CAN_READ
    known = workspace.permissions.get_permission_levels("directories", identity).permission_levels
    assert [item.permission_level.value for item in known] == ["CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE"]
