"""What `wheelrun doctor` looks at in a workspace: the way in, the artifact root, compute, the right to make jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from wheelrun.config import Stack
from wheelrun.errors import ConfigurationError, WheelrunError, nearest
from wheelrun.orchestrators.databricks.api import Api
from wheelrun.orchestrators.databricks.compute import request_of
from wheelrun.orchestrators.databricks.config import OWN_TAG
from wheelrun.orchestrators.databricks.jobs import Jobs
from wheelrun.orchestrators.databricks.runtimes import python_of_runtime
from wheelrun.orchestrators.wheeled import root_check

if TYPE_CHECKING:
    from wheelrun.orchestrators.databricks.orchestrator import DatabricksOrchestrator

Check = tuple[str, str | None, str | None]
"""A check's name, what is wrong (None if nothing), and the remedy."""


def checks(orchestrator: DatabricksOrchestrator, stack: Stack) -> Iterator[Check]:
    """Yield the checks of a target; the first that keeps the others from being made is the last."""
    try:
        api = orchestrator.api
        user = orchestrator.ask_user()
        stack = orchestrator.settled(stack)
    except WheelrunError as error:
        yield "workspace", error.message, error.hint
        return
    yield f"workspace {api.host} as {user}", None, None
    yield root_check(stack)
    yield from _compute(orchestrator, api)
    yield _of("jobs", lambda: _make_a_job(api))
    yield _of("Python", lambda: _fits(orchestrator))


def _of(name: str, look: Callable[[], str]) -> Check:
    try:
        found = look()
    except WheelrunError as error:
        return name, error.message, error.hint
    return f"{name} ({found})" if found else name, None, None


def _compute(orchestrator: DatabricksOrchestrator, api: Api) -> Iterator[Check]:
    config = orchestrator.config
    if config.existing_cluster_id is not None:
        yield _of("cluster", partial(_cluster, api, config.existing_cluster_id))
    for name, cluster in config.compute.items():
        table = request_of(cluster)
        yield _of(f"runtime of cluster {name!r}", partial(_runtime, api, cluster.spark_version))
        if "node_type_id" in table:
            yield _of(f"node type of cluster {name!r}", partial(_node_type, api, table["node_type_id"]))
        for field, path, key in _THERE:
            if field in table:
                yield _of(f"{field} {table[field]}", partial(_asked, api, path, {key: table[field]}))


_THERE = (
    ("policy_id", "/api/2.0/policies/clusters/get", "policy_id"),
    ("instance_pool_id", "/api/2.0/instance-pools/get", "instance_pool_id"),
    ("driver_instance_pool_id", "/api/2.0/instance-pools/get", "instance_pool_id"),
)
"""What a cluster may refer to: its setting, the call that tells of it, and that call's field."""


def _cluster(api: Api, cluster: str) -> str:
    found = api.get("/api/2.1/clusters/get", {"cluster_id": cluster})
    return f"{found.get('cluster_name') or cluster}, {str(found.get('state') or 'unknown').lower()}"


def _runtime(api: Api, version: str) -> str:
    known = {each["key"] for each in api.get("/api/2.1/clusters/spark-versions").get("versions") or ()}
    if version not in known and not version.startswith("custom:"):
        near = nearest(version, known)
        hint = f"did you mean {near!r}?" if near else "`databricks clusters spark-versions` lists them"
        raise ConfigurationError(f"the workspace has no runtime {version!r}", hint=hint)
    return version


def _node_type(api: Api, wanted: str) -> str:
    known = {each["node_type_id"] for each in api.get("/api/2.1/clusters/list-node-types").get("node_types") or ()}
    if wanted not in known:
        raise ConfigurationError(
            f"the workspace has no node type {wanted!r}", hint="`databricks clusters list-node-types` lists them"
        )
    return wanted


def _asked(api: Api, path: str, query: dict[str, str]) -> str:
    api.get(path, query)
    return ""


def _make_a_job(api: Api) -> str:
    """Make a job and delete it: nothing else tells whether that is permitted."""
    settings = {"name": "wheelrun-doctor", "tags": {OWN_TAG: "doctor"}}
    job_id, _ = Jobs(api).settle(settings)
    Jobs(api).delete(job_id)
    return "can be made"


def _fits(orchestrator: DatabricksOrchestrator) -> str:
    """Hold the runtime's Python against what the project needs."""
    from packaging.specifiers import SpecifierSet

    from wheelrun.packaging.project import find_root, load_project

    found = set(filter(None, _pythons(orchestrator)))
    try:
        project = load_project(find_root(orchestrator.source_root))
    except ConfigurationError:
        return ", ".join(sorted(found))  # there is no project to hold it against
    for python in sorted(found):
        if project.requires_python and not SpecifierSet(project.requires_python).contains(python, prereleases=True):
            raise ConfigurationError(
                f"the runtime has Python {python}, and {project.name} needs {project.requires_python}",
                hint="choose another runtime, or widen requires-python",
            )
    return ", ".join(sorted(found))


def _pythons(orchestrator: DatabricksOrchestrator) -> list[str | None]:
    compute = orchestrator.config.compute
    if compute and orchestrator.config.python_version is None:
        return [python_of_runtime(cluster.spark_version) for cluster in compute.values()]
    return [orchestrator.known_python()]
