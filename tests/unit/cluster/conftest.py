from __future__ import annotations

import pytest

from wheelrun.cluster import processes
from wheelrun.cluster.folder import Folder, State
from wheelrun.cluster.sizes import Size


@pytest.fixture
def folder(tmp_path):
    """An empty cluster's folder; whatever runs for it is ended."""
    folder = Folder(tmp_path / "data with a space" / "cluster")
    folder.path.mkdir(parents=True)
    yield folder
    processes.end(folder, grace=0)


@pytest.fixture
def state():
    names = ("master", "rest", "web", "worker-1", "worker-2", "connect", "connect-web")
    return State(
        spark="4.3.0",
        size=Size(workers=2, cores=3, memory=2048, connect=True),
        ports={name: 7000 + number for number, name in enumerate(names)},
        rest_key=True,
        connect_token=True,
    )
