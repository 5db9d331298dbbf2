"""Which orchestrator a master wants."""

from __future__ import annotations

import pytest

from wheelrun.config import load_settings, resolve_stack
from wheelrun.config.masters import is_here, is_loopback, orchestrator_of, settings_of
from wheelrun.errors import ConfigurationError


@pytest.mark.parametrize(
    ("master", "mode", "orchestrator"),
    [
        ("local", None, "local"),
        ("local[4]", None, "local"),
        ("local[*,3]", "client", "local"),
        ("spark://host:7077", None, "spark-standalone"),
        ("spark://a:1,b:2", "cluster", "spark-standalone"),
        ("spark://host:7077", "client", "spark-submit"),
        ("yarn", None, "spark-submit"),
        ("yarn", "cluster", "spark-submit"),
        ("k8s://https://host:6443", "cluster", "spark-submit"),
        ("local-cluster[2,1,1024]", None, "spark-submit"),
    ],
)
def test_the_orchestrator_of_a_master(master, mode, orchestrator):
    assert orchestrator_of(master, mode) == orchestrator


@pytest.mark.parametrize("master", ["mesos://host:5050", "sc://host", "spark:/host", "yarn-client", "", "localhost"])
def test_what_is_no_master_is_refused(master):
    with pytest.raises(ConfigurationError, match="is not a Spark master"):
        orchestrator_of(master)


def test_a_deploy_mode_is_set_where_there_is_one_to_set():
    assert settings_of("yarn", "cluster") == {
        "orchestrator": "spark-submit",
        "master": "yarn",
        "deploy_mode": "cluster",
    }
    assert "deploy_mode" not in settings_of("spark://host:7077", "cluster")
    assert "deploy_mode" not in settings_of("local[2]", "client")
    with pytest.raises(ConfigurationError, match="has no cluster mode"):
        settings_of("local[2]", "cluster")


def test_masters_of_this_machine():
    assert is_loopback("spark://127.0.0.1:7077")
    assert is_loopback("spark://localhost:7077")
    assert not is_loopback("spark://127.0.0.1.example:7077")
    assert not is_loopback("spark://localhost:7077,other:7077")
    assert is_here("local", {})
    assert is_here("spark-submit", {"master": "yarn"})
    assert not is_here("spark-submit", {"master": "yarn", "deploy_mode": "cluster"})
    assert is_here("spark-standalone", {"master": "spark://127.0.0.1:7077"})
    assert not is_here("spark-standalone", {"master": "spark://host:7077"})
    assert not is_here("other", {"master": "yarn"})


TARGETS = """
target = "t"
[targets.t]
orchestrator = "spark-submit"
master = "yarn"
queue = "night"
[targets.local]
max_parallel_steps = 2
"""


@pytest.fixture
def resolved(tmp_path):
    (tmp_path / "wheelrun.toml").write_text(TARGETS)
    environ = {"WHEELRUN_HOME": str(tmp_path / "home"), "WHEELRUN_TARGET": "t"}
    settings = load_settings(tmp_path, environ)
    return lambda target=None, **flags: resolve_stack(settings, target, flags=flags, environ=environ)


def test_a_master_without_a_target_is_a_target_of_its_own(resolved, tmp_path):
    stack = resolved(master="spark://h:7077", conf={"a": "b"})
    assert (stack.name, stack.orchestrator, stack.config) == (
        "spark-standalone", "spark-standalone", {"master": "spark://h:7077"},
    )  # fmt: skip
    assert (stack.artifact_root, stack.conf) == ("", {"a": "b"})
    stack = resolved(master="spark://h:7077", deploy_mode="client")
    assert (stack.name, stack.config) == ("spark-submit", {"master": "spark://h:7077", "deploy_mode": "client"})
    assert stack.artifact_root == str(tmp_path / "home" / "data" / "artifacts")


def test_a_master_of_this_machine_is_the_local_target(resolved):
    stack = resolved(master="local[2]")
    assert (stack.name, stack.config) == ("local", {"master": "local[2]", "max_parallel_steps": 2})


def test_with_a_target_a_master_replaces_that_targets(resolved):
    stack = resolved("t", master="k8s://https://h", deploy_mode="client")
    assert (stack.name, stack.config) == (
        "t", {"master": "k8s://https://h", "deploy_mode": "client", "queue": "night"},
    )  # fmt: skip
