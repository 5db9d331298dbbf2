"""A Spark standalone cluster and a Spark Connect server on this machine, from the installed pyspark.

    folder.py      the files of the cluster: state, locks, logs, secrets
    sizes.py       how large it is: pure
    conf.py        what each part is told: pure
    processes.py   starting a part; finding and ending what belongs to the cluster
    readiness.py   asking the parts whether they are there
    offered.py     the targets that exist while it is up
    cluster.py     up, status, down

The names load when they are first used: `targets` is asked at each submission, and needs little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wheelrun.cluster.cluster import down as down
    from wheelrun.cluster.cluster import status as status
    from wheelrun.cluster.cluster import up as up
    from wheelrun.cluster.folder import Cluster as Cluster
    from wheelrun.cluster.folder import Part as Part
    from wheelrun.cluster.offered import targets as targets

_HOME = {
    "Cluster": "wheelrun.cluster.folder",
    "Part": "wheelrun.cluster.folder",
    "down": "wheelrun.cluster.cluster",
    "status": "wheelrun.cluster.cluster",
    "targets": "wheelrun.cluster.offered",
    "up": "wheelrun.cluster.cluster",
}

__all__ = ["Cluster", "Part", "down", "status", "targets", "up"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'wheelrun.cluster' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
