"""The settings of a Databricks target: what excludes what, what is refused, and the examples that ship."""

from __future__ import annotations

import re

import pytest

from wheelrun.config import Stack, load_settings, resolve_stack, validate
from wheelrun.deployment import Deployment, StepSpec
from wheelrun.emulator.compute.runtimes import NODES, runtime_of
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators.databricks.compute import Computes, check_settings, misspelt, request_of
from wheelrun.orchestrators.databricks.config import Cluster, DatabricksConfig
from wheelrun.orchestrators.databricks.orchestrator import DatabricksOrchestrator
from wheelrun.packaging.templates import template_root
from wheelrun.step_settings import Resources

EXAMPLES = sorted(path.stem for path in (template_root() / "targets").glob("databricks-*.toml"))
NEW = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}


def config(**table):
    return validate(DatabricksConfig, table, "[targets.prod]")


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_are_targets(example, tmp_path):
    text = (template_root() / "targets" / f"{example}.toml").read_text()
    (tmp_path / "wheelrun.toml").write_text(text)
    settings = load_settings(tmp_path, {})
    (name,) = set(settings.targets) - {"local"}
    stack = resolve_stack(settings, name, environ={})
    made = validate(DatabricksConfig, stack.config, stack.where)
    assert stack.orchestrator == "databricks"
    for cluster in made.compute.values():
        assert request_of(cluster)["spark_version"]


@pytest.mark.parametrize("text", [*EXAMPLES, "README"])
def test_the_emulator_has_the_runtimes_and_nodes_of_the_examples(text):
    root = template_root()
    path = root.parent / "README.md" if text == "README" else root / "targets" / f"{text}.toml"
    for runtime in re.findall(r'^spark_version = "(.+?)"', path.read_text(), re.MULTILINE):
        assert runtime_of(runtime)
    assert set(re.findall(r'^node_type_id = "(.+?)"', path.read_text(), re.MULTILINE)) <= set(NODES)


def test_there_is_an_example_for_each_cloud_and_kind_of_compute():
    assert set(EXAMPLES) == {f"databricks-{name}" for name in ("aws", "azure", "gcp", "existing-cluster", "serverless")}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "needs one of existing_cluster_id, cluster, clusters, serverless"),
        ({"existing_cluster_id": "c", "cluster": NEW}, "existing_cluster_id and cluster exclude each other"),
        ({"existing_cluster_id": "c", "serverless": {}}, "existing_cluster_id and serverless exclude each other"),
        ({"cluster": NEW, "clusters": {"a": NEW}}, "cluster and clusters exclude each other"),
        ({"cluster": {**NEW, "autoscale": {"min_workers": 1, "max_workers": 2}}}, "num_workers and autoscale exclude"),
        ({"cluster": {**NEW, "instance_pool_id": "p"}}, "node_type_id and instance_pool_id exclude each other"),
        (
            {"cluster": {**NEW, "aws_attributes": {}, "gcp_attributes": {}}},
            "aws_attributes and gcp_attributes exclude each other",
        ),
        ({"cluster": {"spark_version": "15.4.x"}}, "needs node_type_id, instance_pool_id, or a policy_id"),
        ({"cluster": {**NEW, "num_workers": None, "autoscale": {"min_workers": 3, "max_workers": 2}}}, "is more than"),
        ({"cluster": {**NEW, "nodes": 2}}, "cluster.nodes"),
        ({"existing_cluster_id": "c", "token": "x"}, "token"),
        ({"clusters": {"a": NEW}, "steps": {"x": "b"}}, "steps.x names the cluster 'b', and there is a"),
        ({"clusters": {"a": NEW, "b": NEW}}, 'one has to be called "default"'),
        ({"cluster": {**NEW, "aws_attributes": {"availability": "CHEAP"}}}, "aws_attributes.availability"),
        ({"cluster": NEW, "tags": {"wheelrun": "mine"}}, "tags that begin with 'wheelrun': call 'wheelrun' otherwise"),
        (
            {"cluster": NEW, "tags": {f"tag{number}": "x" for number in range(22)}},
            "tags: dictionary should have at most 21",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_told_by_name(table, said):
    with pytest.raises(ConfigurationError) as error:
        config(**table)
    assert said in error.value.message


def computes(made, *, environment=None, conf=None):
    return Computes(config=made, target="prod", wheels=(), environment=environment or {}, conf=conf or {})


@pytest.mark.parametrize(
    ("where", "settings", "said"),
    [
        ("environment", {"API_KEY": "abc"}, "API_KEY in environment is a secret by its name"),
        ("environment", {"X": "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"}, "X in environment looks like a token"),
        ("conf", {"spark.my.password": "abc"}, "spark.my.password in conf is a secret by its name"),
    ],
)
def test_secrets_that_are_written_out_are_refused(where, settings, said):
    with pytest.raises(ConfigurationError, match=said) as error:
        check_settings(config(cluster=NEW), computes(config(cluster=NEW), **{where: settings}))
    assert "{{secrets/scope/key}}" in error.value.hint
    assert next(iter(settings.values())) not in error.value.message


def test_secrets_of_clusters_and_steps_are_refused_too():
    made = config(cluster={**NEW, "spark_env_vars": {"MY_TOKEN": "abc"}})
    with pytest.raises(ConfigurationError, match="MY_TOKEN in spark_env_vars of cluster"):
        check_settings(made, computes(made))
    made = config(cluster=NEW)
    steps = (StepSpec(name="x", function="m:f", environment={"MY_TOKEN": "abc"}),)
    with pytest.raises(ConfigurationError, match="MY_TOKEN in step"):
        check_settings(made, computes(made), Deployment(name="x", entry="x", steps=steps))
    check_settings(made, computes(made, environment={"MY_TOKEN": "{{secrets/a/b}}", "PLAIN": "x"}))


def test_a_token_beside_a_reference_is_refused():
    made = config(cluster=NEW)
    token = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    with pytest.raises(ConfigurationError, match="BOTH in environment looks like a token"):
        check_settings(made, computes(made, environment={"BOTH": f"{{{{secrets/a/b}}}} {token}"}))


def test_a_cluster_without_a_size_is_refused_unless_a_policy_or_the_step_has_one():
    unsized = {name: value for name, value in NEW.items() if name != "num_workers"}
    alone = StepSpec(name="x", function="m:f")
    sized = StepSpec(name="x", function="m:f", resources=Resources(executors=2))
    made = config(cluster=unsized)
    with pytest.raises(ConfigurationError, match="target 'prod': cluster 'default' has neither num_workers nor autosc"):
        check_settings(made, computes(made), Deployment(name="x", entry="x", steps=(alone,)))
    check_settings(made, computes(made), Deployment(name="x", entry="x", steps=(sized,)))
    made = config(cluster={**unsized, "policy_id": "p"})
    check_settings(made, computes(made), Deployment(name="x", entry="x", steps=(alone,)))


def test_settings_of_a_cluster_that_is_there_are_its_own():
    made = config(existing_cluster_id="c")
    check_settings(made, computes(made, conf={"spark.sql.shuffle.partitions": "4"}))
    with pytest.raises(ConfigurationError, match=r"is there already, where spark\.executor\.memory"):
        check_settings(made, computes(made, conf={"spark.executor.memory": "4g"}))


def test_places_that_the_service_does_not_read_are_refused():
    with pytest.raises(ConfigurationError, match="init_scripts = '/tmp/x' is no place"):
        request_of(Cluster.model_validate({**NEW, "init_scripts": ["/tmp/x"]}))


@pytest.mark.parametrize(
    ("table", "python"),
    [
        ({"cluster": NEW}, "3.11.11"),
        ({"serverless": {"environment_version": "1"}}, "3.10.12"),
        ({"cluster": {**NEW, "spark_version": "custom:abc"}}, None),
        ({"cluster": NEW, "python_version": "3.9"}, "3.9"),
    ],
)
def test_the_runtime_tells_its_python(table, python):
    assert DatabricksOrchestrator(config(**table), name="prod").known_python() == python


def test_a_root_on_dbfs_is_warned_about(emulator):
    orchestrator = DatabricksOrchestrator(config(cluster=NEW), name="prod")
    stack = Stack(
        name="prod",
        orchestrator="databricks",
        config={},
        artifact_root="dbfs:/wheelrun",
        environment={},
        conf={},
        timeout=None,
    )
    assert orchestrator.settled(stack).artifact_root == f"databricks+{emulator.host}/dbfs/wheelrun"
    assert "a Volume is better" in orchestrator.warnings[0]


@pytest.mark.parametrize("named", ["trian", "Train", "trains"])
def test_a_misspelt_step_is_told(named):
    made = config(clusters={"default": NEW, "gpu": NEW}, steps={named: "gpu"})
    steps = (StepSpec(name="load", function="m:f"), StepSpec(name="train", function="m:f"))
    (said,) = misspelt(made.steps, Deployment(name="x", entry="x", steps=steps))
    assert said == f"the target's steps name {named!r}, which 'x' does not have: did you mean 'train'?"


@pytest.mark.parametrize("named", [{"score": "gpu"}, {"trains": "gpu", "train": "default"}])
def test_steps_of_other_pipelines_may_be_named(named):
    made = config(clusters={"default": NEW, "gpu": NEW}, steps=named)
    steps = (StepSpec(name="train", function="m:f"),)
    assert misspelt(made.steps, Deployment(name="x", entry="x", steps=steps)) == []
