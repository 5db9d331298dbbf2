"""What the tasks of a run run on, as the service has it: pure functions of the settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wheelrun.deployment import Deployment, StepSpec
from wheelrun.errors import ConfigurationError, nearest
from wheelrun.orchestrators.databricks.config import DEFAULT, Cluster, DatabricksConfig
from wheelrun.orchestrators.session_conf import session_conf
from wheelrun.orchestrators.spark_conf import whole
from wheelrun.packaging.secret_scan import token_in
from wheelrun.runtime.masking import REFERENCE, is_secret

SERVERLESS = "default"
"""The key of a job's one environment."""

_ONE_NODE_CONF = {"spark.databricks.cluster.profile": "singleNode", "spark.master": "local[*]"}
_ONE_NODE_TAGS = {"ResourceClass": "SingleNode"}
_SCRIPTS = {
    "/Volumes/": "volumes", "/Workspace/": "workspace", "/Users/": "workspace", "s3://": "s3", "abfss://": "abfss",
    "gs://": "gcs", "dbfs:/": "dbfs",
}  # fmt: skip
_LOGS = {"/Volumes/": "volumes", "s3://": "s3", "dbfs:/": "dbfs"}
_SHAPED = "executors"
_MISSPELT = 0.75
"""How like a step's name one is that is taken for it misspelt."""

_BY_NAME = "choose a cluster for the step: [targets.{target}.steps] and [targets.{target}.clusters.…]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """What one task runs on.

    Attributes:
        key: The name of a cluster that is made for the run; empty for an existing one, and for serverless compute.
        task: The task's fields.
    """

    key: str
    task: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Computes:
    """What the tasks of a run run on.

    Attributes:
        config: The target's settings.
        target: Its name, for messages.
        wheels: Where the wheels lie, as the service names them.
        environment: Variables of the run.
        conf: Spark settings of the run.
    """

    config: DatabricksConfig
    target: str
    wheels: tuple[str, ...]
    environment: Mapping[str, str]
    conf: Mapping[str, str]

    def of(self, steps: Sequence[StepSpec]) -> Compute:
        """Return what a task with these steps runs on.

        Raises:
            ConfigurationError: it cannot be given what the steps ask for.
        """
        config = self.config
        if config.serverless is not None:
            self._refuse_resources(steps, "serverless compute has no size")
            return Compute(key="", task={"environment_key": SERVERLESS, "disable_auto_optimization": True})
        libraries = {"libraries": [*({"whl": wheel} for wheel in self.wheels), *map(_library, config.libraries)]}
        if config.existing_cluster_id is not None:
            self._refuse_resources(steps, f"cluster {config.existing_cluster_id} is there already")
            return Compute(key="", task={"existing_cluster_id": config.existing_cluster_id, **libraries})
        name, workers = self._chosen(steps)
        key = name if workers is None else f"{name}-{workers}"
        return Compute(key=key, task={"job_cluster_key": key, **libraries})

    def cluster(self, key: str) -> dict[str, Any]:
        """Return the cluster of a key as the service has it."""
        name, _, workers = key.rpartition("-") if key not in self.config.compute else (key, "", "")
        table = request_of(self.config.compute[name], workers=int(workers) if workers else None)
        conf = {**table.get("spark_conf", {}), **self.conf}
        variables = {**table.get("spark_env_vars", {}), **self.environment}
        return {
            **table,
            **({"spark_conf": conf} if conf else {}),
            **({"spark_env_vars": variables} if variables else {}),
        }

    def environments(self) -> list[dict[str, Any]]:
        """Return the environments of a job on serverless compute; none elsewhere."""
        if self.config.serverless is None:
            return []
        spec = {
            "environment_version": self.config.serverless.environment_version,
            "dependencies": [*self.wheels, *self.config.serverless.dependencies, *self.config.libraries],
        }
        return [{"environment_key": SERVERLESS, "spec": spec}]

    def _chosen(self, steps: Sequence[StepSpec]) -> tuple[str, int | None]:
        """Return the name of the cluster that steps run on, and how many workers it has for them, if they say."""
        names = {self._name(spec): spec.name for spec in steps}
        if len(names) > 1:
            raise ConfigurationError(
                f"target {self.target!r}: the steps share one task, and choose different clusters: {', '.join(names)}",
                hint='set isolation = "step", or let them choose one cluster',
            )
        (name,) = names
        self._refuse_resources(steps, f"cluster {name!r} has the size that it is given", shaped=(_SHAPED,))
        asked = [spec.resources.executors for spec in steps if spec.resources.executors is not None]
        cluster = self.config.compute[name]
        if not asked and cluster.num_workers is None and cluster.autoscale is None and cluster.policy_id is None:
            raise ConfigurationError(
                f"target {self.target!r}: cluster {name!r} has neither num_workers nor autoscale",
                hint="give it one of them; num_workers = 0 is a single node",
            )
        if asked and cluster.autoscale is not None:
            raise ConfigurationError(
                f"target {self.target!r}: step {steps[0].name!r} asks for executors, and cluster {name!r} scales",
                hint="give the cluster num_workers instead of autoscale, or remove the step's executors",
            )
        return name, int(whole(max(asked))) if asked else None

    def _name(self, spec: StepSpec) -> str:
        known = self.config.compute
        name = self.config.steps.get(spec.name) or spec.step_operator or (DEFAULT if DEFAULT in known else "")
        if not name and len(known) == 1:
            name = next(iter(known))
        if name not in known:
            said = f"{name!r}, and there is" if name else "no cluster; there is"
            raise ConfigurationError(
                f"target {self.target!r}: step {spec.name!r} chooses {said} {', '.join(sorted(known)) or 'none'}",
                hint=_BY_NAME.format(target=self.target),
            )
        return name

    def _refuse_resources(self, steps: Sequence[StepSpec], why: str, *, shaped: tuple[str, ...] = ()) -> None:
        for spec in steps:
            for field in spec.resources.__dataclass_fields__:
                if getattr(spec.resources, field) is not None and field not in shaped:
                    raise ConfigurationError(
                        f"target {self.target!r} cannot honour {field} of step {spec.name!r}: {why}",
                        hint=_BY_NAME.format(target=self.target),
                    )


def request_of(cluster: Cluster, *, workers: int | None = None) -> dict[str, Any]:
    """Return a cluster as the service has it.

    Args:
        cluster: Its settings.
        workers: How many workers it has, if not as many as they say.
    """
    table = {name: value for name, value in cluster.request().items() if value not in ({}, [])}
    scripts, logs = table.pop("init_scripts", ()), table.pop("logs", None)
    if workers is not None:
        table["num_workers"] = workers
    if table.get("num_workers") == 0 and cluster.policy_id is None:
        table["spark_conf"] = {**_ONE_NODE_CONF, **table.get("spark_conf", {})}
        table["custom_tags"] = {**_ONE_NODE_TAGS, **table.get("custom_tags", {})}
    if scripts:
        table["init_scripts"] = [{_kind(each, _SCRIPTS, "init_scripts"): {"destination": each}} for each in scripts]
    if logs:
        table["cluster_log_conf"] = {_kind(logs, _LOGS, "logs"): {"destination": logs}}
    return table


def check_settings(config: DatabricksConfig, computes: Computes, deployment: Deployment | None = None) -> None:
    """Refuse settings that cannot be honoured, and secrets that are written out.

    Args:
        config: The target's settings.
        computes: What the tasks run on.
        deployment: What runs, if it is known yet.

    Raises:
        ConfigurationError: there is one.
    """
    for spec in deployment.steps if deployment is not None else ():
        refuse_literals(spec.environment, f"step {spec.name!r}")
        computes.of([spec])
    refuse_literals(computes.environment, "environment")
    refuse_literals(computes.conf, "conf")
    for name, cluster in config.compute.items():
        refuse_literals(cluster.spark_conf, f"spark_conf of cluster {name!r}")
        refuse_literals(cluster.spark_env_vars, f"spark_env_vars of cluster {name!r}")
        if cluster.docker_image is not None and cluster.docker_image.basic_auth is not None:
            refuse_literals({"password": cluster.docker_image.basic_auth.password}, f"docker_image of cluster {name!r}")
    if not config.compute:
        session_conf(computes.conf, computes.target, what="runs on compute that is there already")


def misspelt(named: Mapping[str, str], deployment: Deployment) -> list[str]:
    """Return a warning for what is nearly the name of a step; it may still be that of another pipeline's step."""
    own = {spec.name for spec in deployment.steps}
    near = {name: nearest(name, sorted(own - named.keys()), likeness=_MISSPELT) for name in named if name not in own}
    return [
        f"the target's steps name {name!r}, which {deployment.name!r} does not have: did you mean {meant!r}?"
        for name, meant in near.items()
        if meant is not None
    ]


def refuse_literals(settings: Mapping[str, str], where: str) -> None:
    """Refuse a secret that is written out: it would be stored with the job, for all who may look at it.

    Raises:
        ConfigurationError: there is one.
    """
    for name, value in settings.items():
        kind = token_in(REFERENCE.sub("", value))
        if kind is not None or (value and is_secret(name) and not REFERENCE.search(value)):
            what = f"looks like a token ({kind})" if kind else "is a secret by its name"
            raise ConfigurationError(
                f"{name} in {where} {what}, and everybody who may see the job would see it",
                hint="keep it in the workspace, and refer to it: {{secrets/scope/key}}"
                " (databricks secrets put-secret SCOPE KEY)",
            )


def _library(text: str) -> dict[str, Any]:
    if text.endswith((".whl", ".jar")):
        return {text.rpartition(".")[2]: text}
    if text.endswith("requirements.txt"):
        return {"requirements": text}
    return {"pypi": {"package": text}}


def _kind(text: str, kinds: Mapping[str, str], setting: str) -> str:
    for start, kind in kinds.items():
        if text.startswith(start):
            return kind
    raise ConfigurationError(
        f"{setting} = {text!r} is no place that the service reads", hint=f"known: {', '.join(kinds)}"
    )
