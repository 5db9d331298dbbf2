"""Clusters for tests: a compute of its own, wheels that are written on the spot, and attempts of tasks on them."""

from __future__ import annotations

import itertools
import textwrap
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from waiting import until

from wheelrun.emulator.compute import Compute, Work
from wheelrun.emulator.state import State

SPEC = {"spark_version": "15.4.x-scala2.12", "node_type_id": "i3.xlarge", "num_workers": 1}
HELLO = """\
import sys

def main():
    print("hello", *sys.argv[1:])
"""


def write_wheel(folder, code=HELLO, *, name="hello", version="1.0", tag="py3-none-any", points=None, metadata=""):
    """Write a wheel with one module and return its path."""
    info = f"{name}-{version}.dist-info"
    points = {"console_scripts": {name: f"{name}:main"}} if points is None else points
    files = {
        f"{name}.py": textwrap.dedent(code),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": "".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())
            for group, entries in points.items()
        ),
    }
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    path = Path(folder, f"{name}-{version}-{tag}.whl")
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file, content)
    return path


@dataclass
class Bench:
    """A compute and what is needed to run tasks on it."""

    compute: Compute
    state: State
    attempts: itertools.count = field(default_factory=lambda: itertools.count(1))
    folder: Path = Path()

    def cluster(self, **spec):
        return self.compute.job_cluster({**SPEC, **spec}, name="job")

    write = staticmethod(write_wheel)

    def wheel(self, code=HELLO, **options):
        """Put a wheel into the workspace; return it as a library."""
        return {"whl": f"/Workspace/{write_wheel(self.state.workspace, code, **options).name}"}

    def hello(self, cluster, *libraries, **options):
        """Run the entry point of the wheel `hello`."""
        task = {"python_wheel_task": {"package_name": "hello", "entry_point": "hello"}}
        return self.execute(cluster, task, libraries, **options)

    def work(self, task, libraries=(), values=None):
        number = next(self.attempts)
        self.folder = self.state.runs / str(number)
        return Work(run_id=number, task=task, libraries=libraries, folder=self.folder, values=values or {})

    def execute(self, cluster, task, libraries=(), *, values=None, stop=None):
        return self.compute.execute(cluster, self.work(task, libraries, values), stop or threading.Event())

    def run(self, cluster, code, *parameters, **options):
        """Run a file of the workspace."""
        (self.state.workspace / "task.py").write_text(textwrap.dedent(code), encoding="utf-8")
        task = {"spark_python_task": {"python_file": "/Workspace/task.py", "parameters": list(parameters)}}
        return self.execute(cluster, task, **options)

    def wait_for(self, text, name="stdout"):
        """Wait until the task has printed a text."""
        until(lambda: (self.folder / name).exists() and text in self.said(name))

    def existing(self, **spec):
        """Make a cluster that stays."""
        return self.compute.create({**SPEC, **spec})

    def until(self, cluster, state):
        """Wait until a cluster is in a state."""
        return until(lambda: (found := self.compute.clusters.get(cluster))["state"] == state and found)

    def said(self, name="stdout"):
        return (self.folder / name).read_text(encoding="utf-8")


@pytest.fixture
def state(tmp_path):
    state = State(folder=tmp_path / "state", host="http://127.0.0.1:9", token="token")
    yield state
    state.close()


@pytest.fixture
def bench(state):
    """A compute whose clusters end with the test."""
    compute = Compute(state)
    yield Bench(compute, state)
    compute.close()
