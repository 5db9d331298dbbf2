"""What a cluster's specification makes of Spark's settings and of the tasks' environment."""

from __future__ import annotations

import pytest

from wheelrun.emulator.compute.settings import MOST_CORES, environment, memory, spark_conf

SPEC = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 2}


def conf(spec=SPEC, given=(), *, master=None):
    return spark_conf(spec, dict(given), master=master, disk="/disk")


@pytest.mark.parametrize(
    ("change", "master"),
    [
        ({}, "local[8]"),
        ({"num_workers": 0}, "local[4]"),
        ({"num_workers": None, "autoscale": {"min_workers": 3, "max_workers": 9}}, "local[12]"),
        ({"num_workers": None, "autoscale": {"min_workers": 0, "max_workers": 9}}, "local[4]"),
        ({"node_type_id": "i3.2xlarge"}, "local[16]"),
        ({"num_workers": 500}, f"local[{MOST_CORES}]"),
    ],
)
def test_workers_are_cores(change, master):
    spec = {name: value for name, value in {**SPEC, **change}.items() if value is not None}
    assert conf(spec)["spark.master"] == master


@pytest.mark.parametrize(("given", "master"), [("local[*]", "local[4]"), ("local[*, 4]", "local[4, 4]")])
def test_the_master_of_a_single_node(given, master):
    assert conf({**SPEC, "num_workers": 0}, {"spark.master": given})["spark.master"] == master


@pytest.mark.parametrize(
    ("spec", "here", "found"),
    [
        (SPEC, 1 << 20, 15616),
        (SPEC, 8192, 2048),
        (SPEC, 2048, 1024),
        ({**SPEC, "node_type_id": "m5d.large"}, 1 << 20, 4096),
        ({}, 1 << 20, 8192),
    ],
    ids=["half a node", "a quarter of the machine", "what Spark has anyhow", "a small node", "serverless"],
)
def test_the_memory_that_all_tasks_share(spec, here, found):
    assert memory(spec, here=here) == found


def test_a_standalone_cluster():
    found = conf(given={"spark.master": "local[*]"}, master="spark://h:7077")
    assert (found["spark.master"], found["spark.cores.max"]) == ("spark://h:7077", "8")


def test_what_was_asked_for_wins():
    assert conf(given={"spark.ui.enabled": "true"})["spark.ui.enabled"] == "true"


def test_the_environment(tmp_path):
    inherited = {
        "PATH": "/bin",
        "HTTPS_PROXY": "p",
        "PYTHONPATH": "/mine",
        "AWS_SECRET_ACCESS_KEY": "hush",
        "TZ": "UTC",
    }
    found = environment(SPEC, {"A": "b", "TZ": "CET"}, inherited=inherited, cache=tmp_path)
    expected = {"PATH": "/bin", "HTTPS_PROXY": "p", "TZ": "CET", "A": "b", "DATABRICKS_RUNTIME_VERSION": "15.4"}
    assert expected.items() <= found.items()
    assert not {"PYTHONPATH", "AWS_SECRET_ACCESS_KEY"} & set(found)
