"""The services of clusters and their libraries, by the official client."""

from __future__ import annotations

import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from databricks.sdk.errors import DatabricksError
from databricks.sdk.service.compute import (
    AutoScale,
    ClusterSource,
    EventType,
    GetEventsOrder,
    Library,
    LibraryInstallStatus,
    ListClustersFilterBy,
    ListClustersSortBy,
    ListClustersSortByDirection,
    ListClustersSortByField,
    PythonPyPiLibrary,
    State,
    TerminationReasonCode,
)

from wheelrun.emulator.compute.runtimes import NODES
from wheelrun.emulator.server import running

SPEC = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 2}


@pytest.fixture
def cluster(workspace):
    """A cluster that runs."""
    return workspace.clusters.create_and_wait(cluster_name="ours", **SPEC)


def refusal(call, *arguments, **fields):
    with pytest.raises(DatabricksError) as caught:
        call(*arguments, **fields)
    return f"{caught.value.error_code}: {caught.value}"


def write_wheel(path, *, requires=""):
    name, version = path.name.split("-")[:2]
    with zipfile.ZipFile(path, "w") as archive:
        info = f"{name}-{version}.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_the_life_of_a_cluster(workspace, cluster):
    clusters, identity = workspace.clusters, cluster.cluster_id
    assert (cluster.state, cluster.cluster_name, cluster.cluster_source) == (State.RUNNING, "ours", ClusterSource.API)
    assert cluster.cluster_cores == 8
    assert (cluster.spec.num_workers, cluster.driver_node_type_id) == (2, "i3.xlarge")
    ended = clusters.delete_and_wait(identity)
    assert (ended.state, ended.termination_reason.code) == (State.TERMINATED, TerminationReasonCode.USER_REQUEST)
    assert "USER_REQUEST" in ended.state_message
    assert clusters.start_and_wait(identity).state is State.RUNNING
    again = clusters.restart_and_wait(identity)
    assert again.last_restarted_time >= cluster.start_time
    clusters.permanent_delete(identity)
    assert f"Cluster {identity} does not exist" in refusal(clusters.get, identity)
    assert list(clusters.list()) == []


def test_it_says_which_python_and_spark_there_are(workspace):
    there = workspace.clusters.create_and_wait(cluster_name="old", **{**SPEC, "spark_version": "10.4.x-scala2.12"})
    assert there.state_message.startswith("The emulator runs Python 3.")
    assert "in place of 3.8" in there.state_message


def test_what_happened_to_a_cluster(workspace, cluster):
    workspace.clusters.delete_and_wait(cluster.cluster_id)
    events = list(workspace.clusters.events(cluster.cluster_id, order=GetEventsOrder.ASC, limit=2))
    assert [event.type for event in events] == [EventType.CREATING, EventType.RUNNING, EventType.TERMINATING]
    newest = next(iter(workspace.clusters.events(cluster.cluster_id)))
    assert newest.details.reason.code is TerminationReasonCode.USER_REQUEST
    only = workspace.clusters.events(cluster.cluster_id, event_types=[EventType.RUNNING])
    assert [event.type for event in only] == [EventType.RUNNING]


def test_a_cluster_is_edited(workspace, cluster):
    workspace.clusters.edit_and_wait(cluster.cluster_id, cluster_name="new", **{**SPEC, "num_workers": 4})
    edited = workspace.clusters.get(cluster.cluster_id)
    assert (edited.state, edited.cluster_name, edited.num_workers) == (State.RUNNING, "new", 4)
    refused = refusal(workspace.clusters.edit, cluster.cluster_id, **{**SPEC, "node_type_id": "none"})
    assert "Node type none is not supported" in refused


def test_what_a_state_does_not_allow(workspace, cluster):
    refused = refusal(workspace.clusters.start, cluster.cluster_id)
    assert refused == f"INVALID_STATE: Cluster {cluster.cluster_id} is in unexpected state Running."
    workspace.clusters.delete_and_wait(cluster.cluster_id)
    workspace.clusters.delete(cluster.cluster_id)
    assert "unexpected state Terminated" in refusal(workspace.clusters.restart, cluster.cluster_id)


def test_lists_and_pages(workspace):
    def make(name):
        return workspace.clusters.create(cluster_name=name, **SPEC).cluster_id

    with ThreadPoolExecutor() as pool:
        made = list(pool.map(make, "abc"))
    for identity in made:
        workspace.clusters.wait_get_cluster_running(identity)
    assert {item.cluster_id for item in workspace.clusters.list(page_size=1)} == set(made)
    by_name = ListClustersSortBy(field=ListClustersSortByField.CLUSTER_NAME, direction=ListClustersSortByDirection.DESC)
    assert [item.cluster_name for item in workspace.clusters.list(sort_by=by_name)] == ["c", "b", "a"]
    workspace.clusters.pin(made[0])
    pinned = workspace.clusters.list(filter_by=ListClustersFilterBy(is_pinned=True))
    assert [item.cluster_id for item in pinned] == made[:1]
    states = ListClustersFilterBy(cluster_states=[State.TERMINATED], cluster_sources=[ClusterSource.API])
    assert list(workspace.clusters.list(filter_by=states)) == []
    old = workspace.api_client.do("GET", "/api/2.0/clusters/list")
    assert len(old["clusters"]) == 3


def test_what_there_is_to_choose_from(workspace):
    versions = workspace.clusters.spark_versions().versions
    assert workspace.clusters.select_spark_version(long_term_support=True) in {version.key for version in versions}
    assert workspace.clusters.select_node_type(local_disk=False, min_cores=4)
    assert workspace.clusters.list_zones().default_zone


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spark_version": "99.9.x-scala2.12"}, "Invalid spark version 99.9.x-scala2.12."),
        ({"spark_version": "17.3.x-scala2.12"}, "Invalid spark version 17.3.x-scala2.12."),
        ({"node_type_id": "none"}, "Node type none is not supported. Supported node types: "),
        ({"node_type_id": None}, "Missing required field: node_type_id"),
        ({"num_workers": None}, "Exactly 1 of virtual_cluster_size, num_workers or autoscale must be specified."),
        (
            {"autoscale": AutoScale(min_workers=1, max_workers=2)},
            "Exactly 1 of virtual_cluster_size, num_workers or autoscale must be specified.",
        ),
        ({"num_workers": None, "autoscale": AutoScale(min_workers=3, max_workers=2)}, "Invalid autoscale range"),
        ({"num_workers": -1}, "must not be negative"),
        (
            {"instance_pool_id": "p"},
            "The field 'node_type_id' cannot be supplied when an instance pool ID is provided.",
        ),
        ({"node_type_id": None, "instance_pool_id": "p"}, "Can't find an instance pool with id: p."),
        ({"policy_id": "p"}, "Can't find a cluster policy with id: p."),
        ({"custom_tags": {str(number): "x" for number in range(46)}}, "The number of custom tags is 46."),
    ],
)
def test_a_cluster_that_cannot_be(workspace, change, message):
    fields = {name: value for name, value in {**SPEC, **change}.items() if value is not None}
    assert message in refusal(workspace.clusters.create, **fields)
    assert list(workspace.clusters.list()) == []


def test_an_unknown_field(workspace):
    body = {**SPEC, "num_wokers": 2}
    refused = refusal(workspace.api_client.do, "POST", "/api/2.1/clusters/create", body=body)
    assert "Unknown field 'num_wokers'" in refused


def test_a_cluster_whose_secret_is_missing(workspace):
    identity = workspace.clusters.create(spark_conf={"spark.a": "{{secrets/s/k}}"}, **SPEC).cluster_id
    ended = workspace.clusters.wait_get_cluster_terminated(identity)
    assert "Secret does not exist with scope: s and key: k" in ended.state_message


def test_a_restart_of_the_emulator(tmp_path):
    from databricks.sdk import WorkspaceClient

    def client(state):
        return WorkspaceClient(host=state.host, token=state.token)

    with running(tmp_path) as state:
        identity = client(state).clusters.create_and_wait(cluster_name="ours", **SPEC).cluster_id
        assert len(list(state.clusters.iterdir())) == 2
    with running(tmp_path) as state:
        there = client(state).clusters.get(identity)
        assert (there.state, there.state_message) == (State.TERMINATED, "The emulator was stopped.")
        assert [path.name for path in state.clusters.iterdir()] == ["preinstalled"]
        assert client(state).clusters.start_and_wait(identity).state is State.RUNNING


def statuses(workspace, identity):
    found = workspace.libraries.cluster_status(identity)
    return {item.library.whl or item.library.pypi.package: item for item in found}


def until_settled(workspace, identity):
    pause = threading.Event()
    while True:
        found = statuses(workspace, identity)
        if LibraryInstallStatus.PENDING not in {item.status for item in found.values()}:
            return found
        pause.wait(0.02)


def test_libraries_of_a_cluster(workspace, emulator, cluster, monkeypatch):
    monkeypatch.setenv("UV_OFFLINE", "1")
    write_wheel(Path(emulator.workspace, "mine-1.0-py3-none-any.whl"))
    wheel = Library(whl="/Workspace/mine-1.0-py3-none-any.whl")
    missing = Library(pypi=PythonPyPiLibrary(package="not-there"))
    workspace.libraries.install(cluster.cluster_id, [missing, wheel])
    found = until_settled(workspace, cluster.cluster_id)
    assert found[wheel.whl].status is LibraryInstallStatus.INSTALLED
    assert found["not-there"].status is LibraryInstallStatus.FAILED
    assert "not-there" in found["not-there"].messages[0]
    workspace.libraries.uninstall(cluster.cluster_id, [missing])
    assert statuses(workspace, cluster.cluster_id)["not-there"].status is LibraryInstallStatus.UNINSTALL_ON_RESTART
    workspace.clusters.restart_and_wait(cluster.cluster_id)
    (status,) = workspace.libraries.all_cluster_statuses()
    assert [(item.library.whl, item.status) for item in status.library_statuses] == [
        (wheel.whl, LibraryInstallStatus.INSTALLED)
    ]


def test_libraries_of_a_cluster_that_is_not_there(workspace):
    assert "Cluster none does not exist" in refusal(workspace.libraries.install, "none", [Library(whl="/a.whl")])


def test_the_clients_choice_of_a_node_type_may_ask_for_disks(workspace):
    assert workspace.clusters.select_node_type(local_disk=True, min_cores=8) in NODES
