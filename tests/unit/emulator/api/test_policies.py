"""Cluster policies and instance pools, by the official client."""

from __future__ import annotations

import json

import pytest
from databricks.sdk.errors import DatabricksError, NotFound
from databricks.sdk.service.compute import InstancePoolState, Library

SPEC = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}


@pytest.fixture
def policy(workspace):
    def make(**rules):
        return workspace.cluster_policies.create(name="ours", definition=json.dumps(rules)).policy_id

    return make


def refusal(call, **fields):
    with pytest.raises(DatabricksError) as caught:
        call(**fields)
    return str(caught.value)


def test_the_life_of_a_policy(workspace, policy):
    identity = policy(node_type_id={"type": "fixed", "value": "i3.xlarge"})
    assert workspace.cluster_policies.get(identity).name == "ours"
    assert [item.policy_id for item in workspace.cluster_policies.list()] == [identity]
    workspace.cluster_policies.edit(policy_id=identity, name="others", definition="{}")
    assert workspace.cluster_policies.get(identity).definition == "{}"
    workspace.cluster_policies.delete(identity)
    with pytest.raises(NotFound, match=f"Can't find a cluster policy with id: {identity}"):
        workspace.cluster_policies.get(identity)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "a", "definition": "{"}, "not valid JSON"),
        ({"name": "a", "definition": "[]"}, "must be a JSON object"),
        ({"name": "a", "definition": '{"x": {"type": "odd"}}'}, "x: type 'odd' is not one of fixed, "),
        ({"name": "a", "definition": '{"x": {"type": "fixed"}}'}, "x: missing value"),
        ({"definition": "{}"}, "Missing required field: name"),
        ({"name": "a", "policy_family_id": "personal-vm"}, "no policy families"),
    ],
)
def test_a_policy_that_cannot_be(workspace, fields, message):
    assert message in refusal(workspace.cluster_policies.create, **fields)


def test_two_policies_of_one_name(workspace, policy):
    policy()
    assert "'ours' already exists" in refusal(policy)


def test_a_policy_holds_for_clusters(workspace, policy):
    identity = policy(num_workers={"type": "range", "maxValue": 3})
    refused = refusal(workspace.clusters.create, **{**SPEC, "num_workers": 4, "policy_id": identity})
    assert refused == (
        'Cluster validation error: Validation failed for num_workers, the value must be no greater than 3 (is "4")'
    )


def test_a_policy_gives_what_was_not_said(workspace, policy):
    identity = policy(
        spark_version={"type": "fixed", "value": "15.4.x-scala2.12"},
        node_type_id={"type": "allowlist", "values": ["i3.xlarge", "i3.2xlarge"], "defaultValue": "i3.2xlarge"},
    )
    refused = refusal(workspace.clusters.create, num_workers=1, policy_id=identity, spark_version="15.4.x-scala2.12")
    assert "Validation failed for node_type_id, the value must be present" in refused
    made = workspace.clusters.create_and_wait(
        num_workers=1, policy_id=identity, apply_policy_default_values=True, spark_version="15.4.x-scala2.12"
    )
    assert made.node_type_id == "i3.2xlarge"


def test_libraries_of_a_policy(workspace):
    wheel = Library(whl="/Workspace/mine-1.0-py3-none-any.whl")
    identity = workspace.cluster_policies.create(name="ours", libraries=[wheel]).policy_id
    made = workspace.clusters.create_and_wait(**SPEC, policy_id=identity)
    assert [item.library for item in workspace.libraries.cluster_status(made.cluster_id)] == [wheel]


def test_the_life_of_a_pool(workspace):
    pools = workspace.instance_pools
    identity = pools.create(instance_pool_name="ours", node_type_id="i3.2xlarge").instance_pool_id
    there = pools.get(identity)
    assert (there.instance_pool_name, there.state) == ("ours", InstancePoolState.ACTIVE)
    assert [item.instance_pool_id for item in pools.list()] == [identity]
    assert "already exists" in refusal(pools.create, instance_pool_name="ours", node_type_id="i3.xlarge")
    assert "Node type none" in refusal(pools.create, instance_pool_name="a", node_type_id="none")
    fields = {"spark_version": "15.4.x-scala2.12", "num_workers": 1, "instance_pool_id": identity}
    made = workspace.clusters.create_and_wait(**fields)
    assert (made.node_type_id, made.cluster_cores) == ("i3.2xlarge", 8)
    pools.edit(identity, "renamed", "i3.2xlarge")
    assert pools.get(identity).instance_pool_name == "renamed"
    pools.delete(identity)
    assert "Can't find an instance pool" in refusal(pools.get, instance_pool_id=identity)
