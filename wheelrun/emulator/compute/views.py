"""Clusters as the service describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wheelrun.emulator.compute.environments import identity
from wheelrun.emulator.compute.machine import Machine
from wheelrun.emulator.compute.runtimes import NODES
from wheelrun.emulator.compute.settings import cores
from wheelrun.emulator.state import USER

_COPIED = (
    "cluster_id",
    "state",
    "state_message",
    "start_time",
    "terminated_time",
    "last_restarted_time",
    "termination_reason",
)


def cluster(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the service says of a cluster."""
    spec = document["spec"]
    node = NODES.get(spec.get("node_type_id", ""))
    told = {name: document[name] for name in _COPIED if document.get(name) is not None}
    running = document["state"] in ("RUNNING", "RESTARTING")
    return {
        "autotermination_minutes": 0 if document["source"] == "JOB" else 120,
        "enable_elastic_disk": True,
        "enable_local_disk_encryption": False,
        "driver_node_type_id": spec.get("node_type_id"),
        **spec,
        **told,
        "spec": spec,
        "creator_user_name": USER,
        "cluster_source": document["source"],
        "default_tags": {
            "Vendor": "Databricks",
            "Creator": USER,
            "ClusterName": spec.get("cluster_name", ""),
            "ClusterId": document["cluster_id"],
        },
        **({"spark_context_id": document["start_time"]} if running else {}),
        **({"cluster_cores": float(cores(spec))} if running else {}),
        **({"cluster_memory_mb": node.memory * max(spec.get("num_workers", 1), 1)} if running and node else {}),
    }


def libraries(document: Mapping[str, Any], machine: Machine | None) -> list[dict[str, Any]]:
    """Return the state of a cluster's libraries: its own, and those that tasks brought.

    Args:
        document: The cluster.
        machine: The cluster while it runs; None if it does not.
    """
    own = {identity(library): library for library in document["libraries"]}
    removed = {identity(library): library for library in document.get("removed", [])}
    installed = dict(machine.environment.installed) if machine else {}
    found = {**own, **removed, **{key: json.loads(key) for key in installed}}
    return [
        {
            "library": library,
            "status": "UNINSTALL_ON_RESTART" if key in removed else _status(installed.get(key)),
            "is_library_for_all_clusters": False,
            **({"messages": [installed[key]]} if installed.get(key) else {}),
        }
        for key, library in found.items()
    ]


def _status(problem: str | None) -> str:
    if problem is None:
        return "PENDING"
    return "FAILED" if problem else "INSTALLED"
