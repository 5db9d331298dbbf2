"""Clusters that start and end, and what a former emulator left behind."""

from __future__ import annotations

import threading

import pytest

from wheelrun.emulator.compute import Compute
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.secrets import Secrets

SLEEPS = "import os, time; print(os.getpid()); time.sleep(600)"


def in_background(work):
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    return thread, results


def test_what_a_killed_emulator_left_behind(state):
    for identity, source in (("a", "API"), ("b", "JOB"), ("c", "API")):
        state_of = "TERMINATED" if identity == "c" else "RUNNING"
        document = {"cluster_id": identity, "spec": {}, "source": source, "serverless": False, "state": state_of}
        state.put("cluster", identity, {**document, "state_message": "", "start_time": 1, "libraries": []})
    (state.clusters / "a-x" / "python").mkdir(parents=True)
    compute = Compute(state)
    try:
        found = {item["cluster_id"]: (item["state"], item["state_message"]) for item in compute.clusters.all()}
        stopped = ("TERMINATED", "The emulator was stopped.")
        assert found == {"a": stopped, "b": stopped, "c": ("TERMINATED", "")}
        assert [path.name for path in state.clusters.iterdir()] == ["preinstalled"]
    finally:
        compute.close()


def test_a_cluster_of_a_job_goes_with_it(bench):
    cluster = bench.cluster()
    bench.run(cluster, "open('left', 'w')")
    bench.compute.release(cluster)
    there = bench.compute.clusters.get(cluster)
    assert (there["state"], there["termination_reason"]["code"]) == ("TERMINATED", "JOB_FINISHED")
    outcome = bench.run(cluster, "")
    assert (outcome.result, outcome.code) == ("INTERNAL_ERROR", "CLUSTER_ERROR")


def test_a_task_starts_an_existing_cluster(bench):
    cluster = bench.existing()
    bench.until(cluster, "RUNNING")
    bench.compute.terminate(cluster)
    bench.until(cluster, "TERMINATED")
    assert bench.run(cluster, "").result == "SUCCESS"
    assert bench.compute.clusters.get(cluster)["state"] == "RUNNING"


def test_a_cluster_that_is_not_there(bench):
    with pytest.raises(ApiError, match="Cluster none does not exist"):
        bench.compute.check_existing("none")
    assert bench.run("none", "").message == "Cluster none does not exist"


def test_a_cluster_that_ends_takes_its_tasks_along(bench):
    cluster = bench.existing()
    thread, results = in_background(lambda: bench.run(cluster, SLEEPS))
    bench.wait_for("\n")
    bench.compute.terminate(cluster)
    bench.until(cluster, "TERMINATED")
    thread.join()
    assert [(item.result, item.code) for item in results] == [("INTERNAL_ERROR", "CLUSTER_ERROR")]


def test_tasks_of_a_cluster_run_at_once(bench):
    cluster = bench.existing()
    code = """
        import sys, time
        from pathlib import Path
        mine, other = sys.argv[1:]
        Path(f"/dbfs/{mine}").touch()
        while not Path(f"/dbfs/{other}").exists():
            time.sleep(0.01)
    """
    thread, results = in_background(lambda: bench.run(cluster, code, "a", "b"))
    assert bench.run(cluster, code, "b", "a").result == "SUCCESS"
    thread.join()
    assert [item.result for item in results] == ["SUCCESS"]


def test_secrets_in_settings(bench):
    secrets = Secrets(bench.state)
    secrets.create_scope("s")
    secrets.put("s", "k", b"hush")
    cluster = bench.cluster(spark_env_vars={"MINE": "-{{secrets/s/k}}-"})
    assert bench.run(cluster, "import os; print(os.environ['MINE'])").result == "SUCCESS"
    assert bench.said() == "-hush-\n"
    assert bench.compute.clusters.get(cluster)["spec"]["spark_env_vars"] == {"MINE": "-{{secrets/s/k}}-"}
    missing = bench.cluster(spark_env_vars={"MINE": "{{secrets/s/none}}"})
    outcome = bench.run(missing, "")
    assert (outcome.code, outcome.message) == (
        "CLUSTER_ERROR",
        "Secret does not exist with scope: s and key: none",
    )


def test_a_job_cluster_that_cannot_be(bench):
    with pytest.raises(ApiError, match="Cluster name should not be provided for jobs clusters"):
        bench.cluster(cluster_name="ours")
    with pytest.raises(ApiError, match="Invalid spark version"):
        bench.compute.check_cluster_spec({"spark_version": "none"})
    bench.compute.check_cluster_spec(
        {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
    )


def test_nothing_starts_once_it_is_closed(bench):
    bench.compute.close()
    with pytest.raises(ApiError, match="is being stopped"):
        bench.cluster()


def test_it_says_what_it_does_not_do(bench):
    cluster = bench.existing(docker_image={"url": "x"})
    assert "does not do anything about docker_image" in bench.until(cluster, "RUNNING")["state_message"]


def test_an_existing_cluster_that_cannot_start_fails_its_task(bench):
    cluster = bench.existing(spark_env_vars={"MINE": "{{secrets/s/none}}"})
    bench.until(cluster, "TERMINATED")
    outcome = bench.run(cluster, "")
    assert (outcome.code, outcome.message) == ("CLUSTER_ERROR", "Secret does not exist with scope: s and key: none")
    starting = [event for event in bench.compute.clusters.events(cluster) if event["type"] == "STARTING"]
    assert len(starting) == 1
