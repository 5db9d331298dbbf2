"""The cluster side with nothing installed but wheelrun's own wheel and the project's, on each Python that is here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from wheelrun.packaging.builder import build
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.own import own_wheel
from wheelrun.packaging.project import load_project

THIS = "{}.{}".format(*sys.version_info)
VERSIONS = [f"3.{minor}" for minor in range(10, 15)]

FLOWS = """
from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from importlib.resources import files

from wheelrun import current_run, pipeline, step


@dataclass
class Limits:
    low: int
    high: int = 100


@step(outputs=["rows", "total"])
def extract(day: date, limits: Limits):
    numbers = [int(line) for line in files("flows").joinpath("numbers.txt").read_text().split()]
    kept = [number for number in numbers if limits.low <= number <= limits.high]
    return kept, sum(kept)


@step(retries=1, retry_delay=0.0)
def double(total: int) -> int:
    if current_run().attempt == 1:
        raise RuntimeError("not at the first attempt")
    return total * 2


@step
def report(rows: list[int], doubled: int) -> dict:
    run = current_run()
    return {"run": run.run_id, "step": run.step, "rows": rows, "doubled": doubled}


@pipeline
def nightly(day: date, limits: Limits):
    rows, total = extract(day, limits)
    return report(rows, double(total))


@step
def broken(day: date) -> int:
    return 1 // (day.year - day.year)


@step(run_if="one_failed")
def tell() -> list[str]:
    return list(current_run().failed_steps)


@pipeline
def failing(day: date):
    number = broken(day)
    report([], number)
    tell.after(number)()


def plain(name: str, times: int = 2) -> str:
    return name * times
"""

#: Runs what the test gives, and tells which modules came from elsewhere than the standard library.
DRIVER = """
import json, sys
known = {"__main__", "wheelrun", "flows", "_virtualenv"} | set(sys.stdlib_module_names)
known |= {name.partition(".")[0] for name in sys.modules}
answer = {}
exec(sys.stdin.read(), {"answer": answer})
loaded = sorted(sys.modules)
answer["loaded"] = [name for name in loaded if name.partition(".")[0] == "wheelrun"]
answer["foreign"] = [name for name in loaded if name.partition(".")[0] not in known]
print(json.dumps(answer))
"""

COMPILE = """
from pathlib import Path
from wheelrun.runtime.compile import compile_entry
deployment = compile_entry({entry!r}, {parameters!r}, roots=[Path({root!r})], cwd=Path({root!r}))
answer.update(json=deployment.to_json(), digest=deployment.digest, steps=[spec.name for spec in deployment.steps])
"""

MAIN = """
from wheelrun.runtime import entrypoint
arguments = entrypoint.{configuration}.get_entrypoint_arguments(**{options!r})
answer["code"] = entrypoint.main(arguments)
"""


@dataclass(frozen=True, kw_only=True)
class Clean:
    """An environment with the two wheels in it.

    Attributes:
        folder: Where it is.
        python: Its Python.
        code: Where the project's wheel is, once more: what a cluster puts on the path.
    """

    folder: Path
    python: Path
    code: Path

    def run(self, code: str) -> dict[str, Any]:
        """Run code in a fresh process, with every warning an error, and return its answer."""
        done = self.call([str(self.python), "-I", "-W", "error", "-c", DRIVER], code)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        assert answer["foreign"] == []
        return answer

    def call(self, argv: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return subprocess.run(
            argv, input=given, env=environ, cwd=self.folder, capture_output=True, text=True, check=False
        )

    def compile(self, entry: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return self.run(COMPILE.format(entry=entry, parameters=parameters, root=str(self.code)))


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A deployment that stands where the entrypoints look for it."""

    clean: Clean
    root: Path
    deployment: dict[str, Any]

    @property
    def options(self) -> dict[str, str]:
        return {"deployment_id": self.deployment["digest"], "run_id": "run-1", "artifact_root": str(self.root)}

    @property
    def run_folder(self) -> Path:
        return self.root / "runs" / "run-1"

    def main(self, configuration: str, **more: str) -> int:
        answer = self.clean.run(MAIN.format(configuration=configuration, options={**self.options, **more}))
        assert not any(name.startswith(HEAVY) for name in answer["loaded"])
        code: int = answer["code"]
        return code

    def output(self, step: str, name: str = "result") -> Any:
        return json.loads((self.run_folder / "outputs" / step / name / "value.json").read_text(encoding="utf-8"))

    def events(self) -> list[dict[str, Any]]:
        text = (self.run_folder / "events.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def states(self) -> dict[str, str]:
        """Return the last state of each step."""
        return {event["step"]: event["state"] for event in self.events() if event["event"] == "step"}


#: What the cluster side never loads.
HEAVY = ("wheelrun.packaging", "wheelrun.client", "wheelrun.config", "wheelrun.store", "wheelrun.orchestrators")


def find_python(version: str) -> Path | None:
    """Return a Python of that version: this one's base, one on the path, or one that pyenv keeps beside it."""
    if version == THIS:
        return Path(getattr(sys, "_base_executable", None) or sys.executable)
    candidates = [shutil.which(f"python{version}")]
    if pyenv := shutil.which("pyenv"):
        told = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        candidates += [str(path) for path in Path(told, "versions").glob(f"{version}.*/bin/python{version}")]
    for candidate in candidates:
        # A name on the path may be a shim that finds nothing behind it.
        argv = [candidate or "", "-c", "import sys, venv; print('%d.%d' % sys.version_info[:2])"]
        if candidate and subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() == version:
            return Path(candidate)
    return None


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """wheelrun's own wheel and a small project's."""
    folder = tmp_path_factory.mktemp("wheels")
    package = folder / "project" / "flows"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(FLOWS, encoding="utf-8")
    (package / "numbers.txt").write_text("1\n20\n300\n4\n", encoding="utf-8")
    (folder / "project" / "print_args.py").write_text("import sys\nprint(sys.argv[1:])\n", encoding="utf-8")
    cache = WheelCache(folder / "cache")
    return [own_wheel(cache).path, build(load_project(folder / "project"), cache).wheel.path]


@pytest.fixture(scope="module", params=VERSIONS)
def clean(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, wheels: list[Path]) -> Clean:
    python = find_python(request.param)
    if python is None:
        pytest.skip(f"there is no Python {request.param} here")
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([str(python), "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    inside = folder / "venv" / "bin" / "python"
    install = [find_uv_bin(), "pip", "install", "--quiet", "--offline", "--no-index", "--no-deps"]
    environ = {**os.environ, "UV_CACHE_DIR": str(folder / "uv"), "UV_NO_CONFIG": "1"}
    for place in (["--python", str(inside)], ["--python", str(inside), "--target", str(folder / "code")]):
        given = wheels if len(place) == 2 else wheels[1:]
        subprocess.run([*install, *place, *map(str, given)], check=True, env=environ)
    return Clean(folder=folder, python=inside, code=folder / "code")


@pytest.fixture
def submitted(clean: Clean, tmp_path: Path) -> Submitted:
    return submit(clean, tmp_path, "flows:nightly", {"day": "2026-01-31", "limits": {"low": 4}})


def submit(clean: Clean, root: Path, entry: str, parameters: dict[str, Any]) -> Submitted:
    deployment = clean.compile(entry, parameters)
    submitted = Submitted(clean=clean, root=root, deployment=deployment)
    submitted.run_folder.mkdir(parents=True)
    (submitted.run_folder / "deployment.json").write_text(deployment["json"], encoding="utf-8")
    return submitted


def test_nothing_is_installed_but_the_two_wheels(clean: Clean) -> None:
    answer = clean.run("from importlib import metadata; answer['all'] = [d.name for d in metadata.distributions()]")
    assert sorted(answer["all"]) == ["project", "wheelrun"]


def test_importing_wheelrun_loads_next_to_nothing(clean: Clean) -> None:
    assert clean.run("import wheelrun")["loaded"] == ["wheelrun", "wheelrun._version"]


def test_the_public_names_of_user_code(clean: Clean) -> None:
    answer = clean.run("from wheelrun import current_run, pipeline, step; answer['run'] = current_run()")
    assert answer["run"] is None
    assert not any(name.startswith(HEAVY) for name in answer["loaded"])


def test_every_module_of_the_cluster_side(clean: Clean) -> None:
    code = """
import importlib, pkgutil
import wheelrun.deployment, wheelrun.errors, wheelrun.pipelines, wheelrun.runtime, wheelrun.states
for info in pkgutil.walk_packages(wheelrun.runtime.__path__, "wheelrun.runtime."):
    importlib.import_module(info.name)
"""
    loaded = clean.run(code)["loaded"]
    assert {"wheelrun.runtime.entrypoint", "wheelrun.runtime.compile", "wheelrun.runtime.session"} <= set(loaded)
    assert not any(name.startswith(HEAVY) for name in loaded)


def test_a_pipeline_in_one_process(submitted: Submitted) -> None:
    assert submitted.deployment["steps"] == ["extract", "double", "report"]
    assert submitted.main("PipelineEntrypointConfiguration") == 0
    assert submitted.output("extract", "rows") == [20, 4]
    assert submitted.output("report") == {"run": "run-1", "step": "report", "rows": [20, 4], "doubled": 48}
    assert submitted.states() == dict.fromkeys(["extract", "double", "report"], "succeeded")
    told = [event for event in submitted.events() if event["event"] == "step"]
    attempts = [event["attempt"] for event in told if event["step"] == "double"]
    assert attempts == [1, 1, 2, 2]
    assert submitted.events()[-1]["state"] == "succeeded"


def test_a_pipeline_step_by_step(submitted: Submitted) -> None:
    for step in submitted.deployment["steps"]:
        assert submitted.main("StepEntrypointConfiguration", step_name=step) == 0
    assert submitted.output("report")["doubled"] == 48


def test_by_the_command_that_the_projects_wheel_brings(submitted: Submitted) -> None:
    command = submitted.clean.python.with_name("wheelrun-entrypoint")
    source = "wheelrun.runtime.entrypoint.PipelineEntrypointConfiguration"
    arguments = [f"--{name}={value}" for name, value in submitted.options.items()]
    done = submitted.clean.call([str(command), f"--entrypoint_config_source={source}", *arguments])
    assert (done.returncode, done.stderr) == (0, "")
    assert submitted.output("report")["doubled"] == 48


def test_a_failure_is_told_and_its_followers_are_skipped(clean: Clean, tmp_path: Path) -> None:
    failing = submit(clean, tmp_path, "flows:failing", {"day": "2026-01-31"})
    assert failing.main("PipelineEntrypointConfiguration") == 1
    assert failing.states() == {"broken": "failed", "report": "skipped", "tell": "succeeded"}
    assert failing.output("tell") == ["broken"]
    error = failing.events()[-1]["error"]
    assert (error["type"], error["category"]) == ("ZeroDivisionError", "user code")
    assert "return 1 // (day.year - day.year)" in error["traceback"]
    assert "wheelrun/runtime" not in error["traceback"]


@pytest.mark.parametrize(
    ("entry", "parameters", "expected"), [("flows:plain", {"name": "ab"}, "abab"), ("print_args.py", {}, None)]
)
def test_a_function_and_a_script(
    clean: Clean, tmp_path: Path, entry: str, parameters: dict[str, Any], expected: Any
) -> None:
    alone = submit(clean, tmp_path, entry, parameters)
    assert alone.main("PipelineEntrypointConfiguration") == 0
    (step,) = alone.deployment["steps"]
    assert alone.states() == {step: "succeeded"}
    if expected is not None:
        assert alone.output(step) == expected
