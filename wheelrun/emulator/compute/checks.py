"""What a cluster's specification has to be, in the words of the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wheelrun.emulator.compute import policies, pools
from wheelrun.emulator.compute.runtimes import NODES, runtime_of
from wheelrun.emulator.errors import ApiError
from wheelrun.emulator.state import State

MOST_TAGS = 45
"""The most tags of its own that a cluster can have."""
MOST_INIT_SCRIPTS = 10

_SIZE = "Exactly 1 of virtual_cluster_size, num_workers or autoscale must be specified."


def resolved_spec(state: State, spec: Mapping[str, Any], *, job: bool = False) -> dict[str, Any]:
    """Return a cluster's specification as it is honoured: with what its policy and its pool say.

    Args:
        state: What the emulator remembers.
        spec: The specification, its fields known.
        job: Whether it is a job's cluster.

    Raises:
        ApiError: it cannot be honoured.
    """
    resolved = dict(spec)
    if policy_id := spec.get("policy_id"):
        resolved = policies.applied(
            policies.rules(policies.get(state, policy_id).get("definition", "")),
            spec,
            defaults=bool(spec.get("apply_policy_default_values")),
            job=job,
        )
    if job and resolved.get("cluster_name"):
        raise _invalid("Cluster name should not be provided for jobs clusters.")
    for check in _CHECKS:
        check(resolved)
    if pool_id := resolved.get("instance_pool_id"):
        resolved["node_type_id"] = pools.get(state, pool_id)["node_type_id"]
    if pool_id := resolved.get("driver_instance_pool_id"):
        pools.get(state, pool_id)
    return resolved


def _version(spec: Mapping[str, Any]) -> None:
    version = spec.get("spark_version")
    if not version:
        raise _invalid("Missing required field: spark_version")
    if runtime_of(version) is None:
        raise _invalid(f"Invalid spark version {version}.")


def _size(spec: Mapping[str, Any]) -> None:
    single = spec.get("is_single_node") and spec.get("kind")
    if sum(name in spec for name in ("num_workers", "autoscale")) + bool(single) != 1:
        raise _invalid(_SIZE)
    if spec.get("num_workers", 0) < 0:
        raise _invalid("Number of workers must not be negative.")
    if "autoscale" in spec:
        least, most = (spec["autoscale"].get(name) for name in ("min_workers", "max_workers"))
        if least is None or most is None:
            raise _invalid("Missing required field: autoscale.min_workers and autoscale.max_workers")
        if least < 0 or most < least:
            raise _invalid(f"Invalid autoscale range: min_workers is {least}, and max_workers is {most}.")


def _nodes(spec: Mapping[str, Any]) -> None:
    if spec.get("instance_pool_id"):
        for name in ("node_type_id", "driver_node_type_id"):
            if spec.get(name):
                raise _invalid(f"The field '{name}' cannot be supplied when an instance pool ID is provided.")
        return
    if spec.get("driver_instance_pool_id"):
        raise _invalid("The field 'driver_instance_pool_id' needs an instance pool for the workers.")
    if not spec.get("node_type_id"):
        raise _invalid("Missing required field: node_type_id")
    for name in ("node_type_id", "driver_node_type_id"):
        node = spec.get(name)
        if node and node not in NODES:
            raise _invalid(f"Node type {node} is not supported. Supported node types: {', '.join(sorted(NODES))}")


def _tags(spec: Mapping[str, Any]) -> None:
    tags = spec.get("custom_tags") or {}
    if len(tags) > MOST_TAGS:
        raise _invalid(f"The number of custom tags is {len(tags)}. There can be at most {MOST_TAGS} of them.")


def _scripts(spec: Mapping[str, Any]) -> None:
    scripts: Sequence[Mapping[str, Any]] = spec.get("init_scripts") or []
    if len(scripts) > MOST_INIT_SCRIPTS:
        raise _invalid(f"There can be at most {MOST_INIT_SCRIPTS} init scripts.")
    for script in scripts:
        if len(script) != 1:
            raise _invalid("Exactly 1 destination must be specified for each init script.")


_CHECKS: Sequence[Callable[[Mapping[str, Any]], None]] = (_version, _size, _nodes, _tags, _scripts)


def _invalid(message: str) -> ApiError:
    return ApiError("INVALID_PARAMETER_VALUE", message)
