"""The typed settings of a Databricks target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from wheelrun.orchestrators.base import BaseOrchestratorConfig

OWN_TAG = "wheelrun"
"""The tag by which jobs are known as wheelrun's; its value tells what they are for."""

MOST_TAGS = 21
"""How many tags the jobs can be given: the service takes 25, and a schedule's job has four of our own."""

DEFAULT = "default"
"""The name of the cluster, or environment, of steps that choose none."""


class _Table(BaseModel):
    """A table inside a target's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def request(self) -> dict[str, Any]:
        """Return it as the service has it; what was not said is left out."""
        return self.model_dump(mode="json", exclude_none=True, by_alias=True)


class Autoscale(_Table):
    """How many workers a cluster has at least and at most."""

    min_workers: int = Field(ge=0)
    max_workers: int = Field(ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Autoscale:
        if self.min_workers > self.max_workers:
            raise ValueError(f"min_workers ({self.min_workers}) is more than max_workers ({self.max_workers})")
        return self


class AwsAttributes(_Table):
    """What is said of a cluster on AWS."""

    availability: Literal["ON_DEMAND", "SPOT", "SPOT_WITH_FALLBACK"] | None = None
    first_on_demand: int | None = Field(default=None, ge=0)
    zone_id: str | None = None
    instance_profile_arn: str | None = None
    spot_bid_price_percent: int | None = Field(default=None, ge=1)
    ebs_volume_type: Literal["GENERAL_PURPOSE_SSD", "THROUGHPUT_OPTIMIZED_HDD"] | None = None
    ebs_volume_count: int | None = Field(default=None, ge=0)
    ebs_volume_size: int | None = Field(default=None, ge=1)
    ebs_volume_iops: int | None = None
    ebs_volume_throughput: int | None = None


class AzureAttributes(_Table):
    """What is said of a cluster on Azure."""

    availability: Literal["ON_DEMAND_AZURE", "SPOT_AZURE", "SPOT_WITH_FALLBACK_AZURE"] | None = None
    first_on_demand: int | None = Field(default=None, ge=0)
    spot_bid_max_price: float | None = None
    capacity_reservation_group: str | None = None


class GcpAttributes(_Table):
    """What is said of a cluster on Google Cloud."""

    availability: Literal["ON_DEMAND_GCP", "PREEMPTIBLE_GCP", "PREEMPTIBLE_WITH_FALLBACK_GCP"] | None = None
    first_on_demand: int | None = Field(default=None, ge=0)
    google_service_account: str | None = None
    boot_disk_size: int | None = Field(default=None, ge=1)
    local_ssd_count: int | None = Field(default=None, ge=0)
    zone_id: str | None = None


class DockerAuth(_Table):
    """Who pulls an image. The password is a reference to a secret: {{secrets/scope/key}}."""

    username: str
    password: str


class DockerImage(_Table):
    """The image of a cluster's machines."""

    url: str
    basic_auth: DockerAuth | None = None


_EXCLUSIVE = (
    ("num_workers", "autoscale"),
    ("node_type_id", "instance_pool_id"),
    ("driver_node_type_id", "driver_instance_pool_id"),
    ("driver_node_type_id", "instance_pool_id"),
    ("aws_attributes", "azure_attributes"),
    ("aws_attributes", "gcp_attributes"),
    ("azure_attributes", "gcp_attributes"),
)


class Cluster(_Table):
    """A cluster that is made for a run, and ends with it. The names are those of the service."""

    spark_version: str
    node_type_id: str | None = None
    driver_node_type_id: str | None = None
    instance_pool_id: str | None = None
    driver_instance_pool_id: str | None = None
    num_workers: int | None = Field(default=None, ge=0, description="0 is a single node, which is driver and worker")
    autoscale: Autoscale | None = None
    policy_id: str | None = None
    apply_policy_default_values: bool | None = None
    data_security_mode: (
        Literal[
            "DATA_SECURITY_MODE_AUTO",
            "DATA_SECURITY_MODE_STANDARD",
            "DATA_SECURITY_MODE_DEDICATED",
            "SINGLE_USER",
            "USER_ISOLATION",
            "NONE",
        ]
        | None
    ) = None
    single_user_name: str | None = None
    runtime_engine: Literal["STANDARD", "PHOTON"] | None = None
    spark_conf: Mapping[str, str] = Field(default_factory=dict)
    spark_env_vars: Mapping[str, str] = Field(default_factory=dict)
    custom_tags: Mapping[str, str] = Field(default_factory=dict, max_length=45)
    init_scripts: tuple[str, ...] = Field(
        default=(), description="Paths or URLs: /Volumes/…, /Workspace/…, s3://…, abfss://…, gs://…"
    )
    docker_image: DockerImage | None = None
    logs: str | None = Field(default=None, description="Where the cluster's own logs go: /Volumes/…, s3://… or dbfs:/…")
    enable_elastic_disk: bool | None = None
    enable_local_disk_encryption: bool | None = None
    ssh_public_keys: tuple[str, ...] = ()
    aws_attributes: AwsAttributes | None = None
    azure_attributes: AzureAttributes | None = None
    gcp_attributes: GcpAttributes | None = None

    @model_validator(mode="after")
    def _exclusive(self) -> Cluster:
        for first, second in _EXCLUSIVE:
            if getattr(self, first) is not None and getattr(self, second) is not None:
                raise ValueError(f"{first} and {second} exclude each other: give one of them")
        if self.node_type_id is None and self.instance_pool_id is None and self.policy_id is None:
            raise ValueError("a cluster needs node_type_id, instance_pool_id, or a policy_id that sets one")
        return self


class Serverless(_Table):
    """Serverless compute."""

    environment_version: str = Field(default="4", description="The version of its environment, which has its Python")
    performance_target: Literal["STANDARD", "PERFORMANCE_OPTIMIZED"] | None = None
    dependencies: tuple[str, ...] = Field(default=(), description="Further requirements, as pip has them")


class DatabricksConfig(BaseOrchestratorConfig):
    """The settings of a Databricks target."""

    host: str | None = Field(default=None, description="The workspace's address; DATABRICKS_HOST goes before it")
    profile: str | None = Field(
        default=None, description="A profile of ~/.databrickscfg; DATABRICKS_HOST goes before it"
    )
    existing_cluster_id: str | None = Field(default=None, description="A cluster that is there, and stays")
    cluster: Cluster | None = Field(default=None, description="The cluster that is made for each run")
    clusters: Mapping[str, Cluster] = Field(
        default_factory=dict, description='Several clusters by name; steps that choose none run on "default"'
    )
    serverless: Serverless | None = Field(default=None, description="Serverless compute")
    steps: Mapping[str, str] = Field(
        default_factory=dict, description="Which of the clusters a step runs on, by its name"
    )
    isolation: Literal["pipeline", "step"] = Field(
        default="step", description="Whether each step is a task of the job, or all steps are one"
    )
    max_parallel_steps: int = Field(
        default=1, ge=1, description='How many independent steps may run at once, where isolation is "pipeline"'
    )
    max_concurrent_runs: int = Field(
        default=10, ge=1, le=1000, description="How many runs of a pipeline may go on at once"
    )
    libraries: tuple[str, ...] = Field(
        default=(), description="Further libraries of the cluster: requirements, or paths"
    )
    tags: Mapping[str, str] = Field(default_factory=dict, max_length=MOST_TAGS, description="Tags of the jobs")
    python_version: str | None = Field(
        default=None, description="The version of the compute's Python; by default known from the runtime's version"
    )

    @property
    def is_schedulable(self) -> bool:
        """A job runs on a schedule."""
        return True

    @property
    def compute(self) -> Mapping[str, Cluster]:
        """The clusters that are made for a run, by name."""
        return {DEFAULT: self.cluster} if self.cluster is not None else self.clusters

    @field_validator("tags")
    @classmethod
    def _not_our_own(cls, tags: Mapping[str, str]) -> Mapping[str, str]:
        for name in tags:
            if name.startswith(OWN_TAG):
                raise ValueError(f"jobs are known by tags that begin with {OWN_TAG!r}: call {name!r} otherwise")
        return tags

    @model_validator(mode="after")
    def _one_compute(self) -> DatabricksConfig:
        said = [name for name in ("existing_cluster_id", "cluster", "clusters", "serverless") if getattr(self, name)]
        if self.serverless is not None and "serverless" not in said:
            said.append("serverless")
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} exclude each other: a target runs on one of them")
        if not said:
            raise ValueError("a target needs one of existing_cluster_id, cluster, clusters, serverless")
        if self.clusters and DEFAULT not in self.clusters and len(self.clusters) > 1 and not self.steps:
            raise ValueError(
                f'of several clusters one has to be called "{DEFAULT}", or steps has to name one for each step'
            )
        for step, name in self.steps.items():
            if name not in self.compute:
                known = ", ".join(sorted(self.compute)) or "none"
                raise ValueError(f"steps.{step} names the cluster {name!r}, and there is {known}")
        return self
