"""Benchmarks: each pair is timed in turn in one run, and the ratio of the medians is what counts.

    python scripts/bench.py                      everything that can run here
    python scripts/bench.py --only build start   some of it
    python scripts/bench.py --rounds 7 --json    more rounds; the figures as JSON

Run it with the Python that wheelrun is installed in. The rivals are found on PATH or beside that Python: uv, build,
pip, spark-submit; one that is missing is told and left out. A goal is a ratio that should not be passed; one that is
shows as "missed", and the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

PYTHON = sys.executable
BIN = Path(PYTHON).parent
WHEELRUN = str(BIN / "wheelrun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: seconds of ours and theirs (medians), their ratio, and the goal for it, if there is one."""

    name: str
    against: str
    ours: float
    theirs: float
    goal: float | None = None

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "ok" if self.ratio <= self.goal else "missed"


def pair(
    name: str,
    against: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    *,
    rounds: int,
    goal: float | None = None,
) -> Row:
    """Time two things in turn, `rounds` times after one round that does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for index in range(rounds + 1):
        for took, run in zip(times, (ours, theirs), strict=True):
            seconds = run()
            if index:
                took.append(seconds)
    return Row(
        name=name, against=against, ours=statistics.median(times[0]), theirs=statistics.median(times[1]), goal=goal
    )


def timed(
    command: list[str], *, cwd: Path, env: dict[str, str] | None = None, clean: Callable[[], None] = lambda: None
) -> float:
    """Run a command and return its wall time; what it prints is shown only if it fails."""
    clean()
    began = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=env or environ(), capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return took


def environ(**more: str) -> dict[str, str]:
    """Return the environment for what is timed: nothing of the caller's own configuration, Spark on loopback.

    Bytecode is kept, as it is for installed packages, on both sides of a pair.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("WHEELRUN_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**kept, "SPARK_LOCAL_IP": "127.0.0.1", "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', '')}", **more}


def generate(root: Path, modules: int, size: int, *, beside: int = 0) -> Path:
    """Make a repository of `modules` modules with `size` bytes in all, and a venv with `beside` files in it."""
    line = "    total = sum(value * {n} for value in values if value > {n})  # part {n}\n"
    each = max(size // modules, 200)
    for index in range(modules):
        folder = root / "app" / f"part_{index // 50:03}"
        if index % 50 == 0:
            folder.mkdir(parents=True)
            (folder / "__init__.py").write_text("")
        body = f'"""Module {index}."""\n\n\ndef run(values):\n'
        while len(body) < each - 20:
            body += line.format(n=len(body) * 7919 % 104729)
        (folder / f"module_{index}.py").write_text(body + "    return total\n")
    (root / "app" / "__init__.py").write_text("")
    (root / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1.0"\n[tool.setuptools]\npackages = {find = {include = ["app*"]}}\n'
    )
    (root / ".gitignore").write_text("*.egg-info/\n__pycache__/\n*.log\n.env\n")
    (root / "jobs.py").write_text("def main(n: int = 1): return n\n")
    if beside:
        (root / ".venv").mkdir()
        (root / ".venv" / "pyvenv.cfg").write_text("home = /usr\n")
        for index in range(beside):
            folder = root / ".venv" / "lib" / f"p{index // 200}"
            if index % 200 == 0:
                folder.mkdir(parents=True)
            (folder / f"f{index}.py").write_text("x = 1\n")
    return root


def bench_build(work: Path, rounds: int) -> Iterator[Row]:
    """First and unchanged builds against the field's builders and a bare zip."""
    for name, root in {
        "small": generate(work / "small", 20, 20_000),
        "medium": generate(work / "medium", 2000, 5_000_000, beside=20_000),
    }.items():
        home = work / f"home-{name}"

        def clean(root: Path = root) -> None:
            for left in (root / "build", root / "dist", *root.glob("*.egg-info")):
                shutil.rmtree(left, ignore_errors=True)

        def forget(home: Path = home, clean: Callable[[], None] = clean) -> None:
            clean()
            shutil.rmtree(home, ignore_errors=True)

        def ours(root: Path = root, home: Path = home, forget: Callable[[], None] = forget) -> float:
            return timed([WHEELRUN, "build"], cwd=root, env=environ(WHEELRUN_HOME=str(home)), clean=forget)

        def unchanged(root: Path = root, home: Path = home, clean: Callable[[], None] = clean) -> float:
            return timed([WHEELRUN, "build"], cwd=root, env=environ(WHEELRUN_HOME=str(home)), clean=clean)

        rivals = builders()
        for rival, command in rivals.items():

            def theirs(command: list[str] = command, root: Path = root, clean: Callable[[], None] = clean) -> float:
                return timed(command, cwd=root, clean=clean)

            goal = 1.0 if rival.startswith("uv") else None
            yield pair(f"first build, {name}", rival, ours, theirs, rounds=rounds, goal=goal)
            if rival.startswith("uv"):
                yield pair(
                    f"unchanged, {name}",
                    rival,
                    unchanged,
                    theirs,
                    rounds=rounds,
                    goal=0.2 if name == "medium" else None,
                )

        def bare(root: Path = root, work: Path = work) -> float:
            began = time.perf_counter()
            with zipfile.ZipFile(work / "bare.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for path in sorted((root / "app").rglob("*.py")):
                    archive.write(path, path.relative_to(root))
            return time.perf_counter() - began

        yield pair(f"first build, {name}", "bare zipfile, in process", ours, bare, rounds=rounds)


def builders() -> dict[str, list[str]]:
    """Return the rivals that are here, with their commands."""
    found = {
        "python -m build --wheel --no-isolation": [PYTHON, "-m", "build", "--wheel", "--no-isolation"],
        "pip wheel --no-deps .": [
            PYTHON,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            "dist",
            ".",
        ],
    }
    uv = shutil.which("uv", path=environ()["PATH"])
    if uv:
        command = [uv, "build", "--wheel", "--no-build-isolation", "--offline", "--python", PYTHON]
        found = {"uv build --wheel --no-build-isolation": command, **found}
    else:
        print("uv is not here: left out", file=sys.stderr)
    return found


FLOW = """\
from wheelrun import pipeline, step
@step
def one(n): return n
@pipeline
def flow(n: int = 1):
    value = one(0)
    for _ in range(n - 1): value = one(value)
    return value
"""


def bench_start(work: Path, rounds: int) -> Iterator[Row]:
    """What it costs to start: goals in milliseconds are told as a ratio to a bare interpreter plus 60 ms."""

    def bare() -> float:
        return timed([PYTHON, "-c", "pass"], cwd=work)

    def version() -> float:
        return timed([WHEELRUN, "--version"], cwd=work)

    yield pair(
        "wheelrun --version", "a bare interpreter + 60 ms", version, lambda: bare() + 0.06, rounds=rounds * 3, goal=1.0
    )
    root = generate(work / "start", 20, 20_000)
    (root / "flows.py").write_text(FLOW)
    env = environ(WHEELRUN_HOME=str(work / "home-start"))

    def steps(count: int) -> Callable[[], float]:
        return lambda: timed([WHEELRUN, "submit", "flows:flow", "-p", f"n={count}"], cwd=root, env=env)

    yield pair("submit 50 trivial steps", "1 trivial step", steps(50), steps(1), rounds=rounds, goal=1.3)
    compile_code = (
        "import sys, time; sys.path.insert(0, '.')\nfrom pathlib import Path\n"
        "from wheelrun.runtime.compile import compile_entry\nbegan = time.perf_counter()\n"
        "here = Path.cwd()\nd = compile_entry('flows:flow', {'n': 1000}, roots=[here], cwd=here)\nd.to_json()\n"
        "print(time.perf_counter() - began)"
    )

    def compiling() -> float:
        done = subprocess.run(
            [PYTHON, "-c", compile_code], cwd=root, capture_output=True, text=True, check=True, env=env
        )
        return float(done.stdout)

    yield pair("compile 1,000 steps", "one second", compiling, lambda: 1.0, rounds=rounds, goal=1.0)


def bench_scale(work: Path, rounds: int) -> Iterator[Row]:
    """The cost of a build as the repository grows: time per file at 100,000 files against 10,000, and memory."""
    code = (
        "import resource, sys, time\nfrom pathlib import Path\nfrom wheelrun.packaging.cache import WheelCache\n"
        "from wheelrun.packaging.builder import build\nfrom wheelrun.packaging.project import load_project\n"
        "began = time.perf_counter()\nbuild(load_project(Path.cwd()), WheelCache(Path(sys.argv[1])))\n"
        "print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    found: dict[int, tuple[float, float]] = {}
    for files in (10_000, 100_000):
        root = generate(work / f"scale-{files}", files, files * 300)
        results = []
        for index in range(min(rounds, 3)):
            done = subprocess.run(
                [PYTHON, "-c", code, str(work / f"cache-{files}-{index}")],
                cwd=root, capture_output=True, text=True, check=True, env=environ(),
            )  # fmt: skip
            results.append(tuple(map(float, done.stdout.split())))
        found[files] = (statistics.median(r[0] for r in results), statistics.median(r[1] for r in results))
        print(
            f"first build of {files:,} files: {found[files][0]:.1f} s, {found[files][1]:.0f} MiB at most",
            file=sys.stderr,
        )
    small, large = found[10_000], found[100_000]
    yield Row(name="100,000 files", against="10 x 10,000 files", ours=large[0], theirs=10 * small[0], goal=1.3)


JOB = """\
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("bench").getOrCreate()
print("rows", spark.range(1000).count())
spark.stop()
"""

STEP = """\
from pyspark.sql import SparkSession
def main(spark: SparkSession): print("rows", spark.range(1000).count())
"""


def bench_spark(work: Path, rounds: int) -> Iterator[Row]:
    """A one-step Spark job, from the command to the prompt, against plain spark-submit with the same configuration."""
    submit = shutil.which("spark-submit", path=environ()["PATH"])
    if submit is None:
        print("spark-submit is not here: left out", file=sys.stderr)
        return
    root = generate(work / "spark", 20, 20_000)
    (root / "job.py").write_text(JOB)
    (root / "stepped.py").write_text(STEP)
    conf = {"spark.master": "local[*]", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false",
            "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}  # fmt: skip
    flags = [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]
    env = environ(WHEELRUN_HOME=str(work / "home-spark"), PYSPARK_PYTHON=PYTHON, PYSPARK_DRIVER_PYTHON=PYTHON,
                  SPARK_HOME=spark_home())  # fmt: skip

    def theirs() -> float:
        return timed([submit, *flags, "job.py"], cwd=root, env=env)

    def ours(entry: str) -> Callable[[], float]:
        return lambda: timed([WHEELRUN, "submit", entry], cwd=root, env=env)

    yield pair("submit a Spark script", "spark-submit, same script", ours("job.py"), theirs, rounds=rounds, goal=1.05)
    yield pair("submit a Spark step", "spark-submit, same job", ours("stepped:main"), theirs, rounds=rounds, goal=1.05)


def bench_cluster(work: Path, rounds: int) -> Iterator[Row]:
    """A job on a running cluster: our driver on a worker, theirs on this machine; and warm through Connect."""
    submit = shutil.which("spark-submit", path=environ()["PATH"])
    if submit is None:
        print("spark-submit is not here: left out", file=sys.stderr)
        return
    home = work / "home-cluster"
    env = environ(WHEELRUN_HOME=str(home), PYSPARK_PYTHON=PYTHON, PYSPARK_DRIVER_PYTHON=PYTHON, SPARK_HOME=spark_home())
    root = generate(work / "cluster", 20, 20_000)
    (root / "job.py").write_text(JOB)
    (root / "stepped.py").write_text(STEP)
    timed([WHEELRUN, "cluster", "up", "--workers", "2", "--cores", "3"], cwd=root, env=env)
    try:
        up = json.loads(output([WHEELRUN, "cluster", "status", "-o", "json"], cwd=root, env=env))
        conf = {"spark.master": up["master"], "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
                "spark.ui.port": "0", "spark.executor.memory": "1g", "spark.cores.max": "2",
                "spark.ui.showConsoleProgress": "false"}  # fmt: skip
        flags = [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]
        same = [
            part for key in ("spark.executor.memory", "spark.cores.max") for part in ("--conf", f"{key}={conf[key]}")
        ]
        ours = [WHEELRUN, "submit", "stepped:main", "-t", "cluster", *same]

        def theirs() -> float:
            return timed([submit, *flags, "job.py"], cwd=root, env=env)

        yield pair("one step on a cluster", "spark-submit, client mode", lambda: timed(ours, cwd=root, env=env), theirs,
                   rounds=rounds, goal=1.05)  # fmt: skip
        sent = json.loads(output([*ours, "-o", "json", "--no-wait"], cwd=root, env=env))
        print(f"unchanged, submitted again: {bytes_sent(home, sent['run_id'])} bytes of code sent", file=sys.stderr)
        warm = [WHEELRUN, "submit", "stepped:main", "-t", "connect"]
        yield pair("one step by Connect, warm", "spark-submit, cold", lambda: timed(warm, cwd=root, env=env), theirs,
                   rounds=rounds, goal=0.35)  # fmt: skip
    finally:
        timed([WHEELRUN, "cluster", "down"], cwd=root, env=env)


def bench_databricks(work: Path, rounds: int) -> Iterator[Row]:
    """Databricks targets on the emulator: calls, which are counted, and not timed against anybody."""
    from bench_databricks import measured

    del rounds
    (work / "databricks").mkdir()
    for name, unit, found, most in measured(work / "databricks", WHEELRUN, environ()):
        print(f"{name}: {found:g} {unit}, at most {most:g}", file=sys.stderr)
        assert found <= most, name
    yield from ()


SERVE = """
import pathlib, sys
from wheelrun.emulator.server import running
with running(pathlib.Path(sys.argv[1]), token="bench") as state:
    print(state.host, flush=True)
    sys.stdin.read()
"""

ASK = """
import http.client, sys, time
host, path, count = sys.argv[1:]
connection = http.client.HTTPConnection(host)
start = time.perf_counter()
for _ in range(int(count)):
    connection.request("GET", path, headers={"Authorization": "Bearer bench"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
print(time.perf_counter() - start)
"""


def bench_emulator(work: Path, rounds: int) -> Iterator[Row]:
    """The emulator: how soon it serves, and how fast it tells of a run while jobs run. It has limits, and no rivals."""
    if not all(importlib.util.find_spec(name) for name in ("starlette", "uvicorn", "databricks.sdk")):
        print("the extra emulator is not installed: left out", file=sys.stderr)
        return
    folder = work / "emulator"

    @contextlib.contextmanager
    def served() -> Iterator[str]:
        command = [PYTHON, "-c", SERVE, str(folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield process.stdout.readline().strip().removeprefix("http://")
            process.stdin.close()

    def start() -> float:
        begin = time.perf_counter()
        with served():
            return time.perf_counter() - begin

    yield pair("emulator: start", "2 seconds", start, lambda: 2.0, rounds=rounds, goal=1.0)
    with served() as host:
        script = folder / "files" / "Workspace" / "sleeps.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text("import time; time.sleep(600)")
        task = {"spark_python_task": {"python_file": "/Workspace/sleeps.py"}, "environment_key": "e"}
        environments = [{"environment_key": "e", "spec": {"environment_version": "2"}}]
        tasks = [{"task_key": f"t{number}", **task} for number in range(20)]
        body = json.dumps({"tasks": tasks, "environments": environments}).encode()
        head = {"Authorization": "Bearer bench"}
        request = urllib.request.Request(f"http://{host}/api/2.2/jobs/runs/submit", data=body, headers=head)
        with urllib.request.urlopen(request) as answer:
            path = f"/api/2.2/jobs/runs/get?run_id={json.load(answer)['run_id']}"

        def ask() -> float:
            return float(output([PYTHON, "-c", ASK, host, path, "200"], cwd=work, env=environ()))

        yield pair("200 runs/get, 20 tasks", "1 second", ask, lambda: 1.0, rounds=rounds, goal=1.0)


def bench_docker(work: Path, rounds: int) -> Iterator[Row]:
    """A step in a container against the same step in a local run: the image is there, and what is left is overhead."""
    scripts = Path(__file__).parent
    engine = subprocess.run([scripts / "docker-engine", "up"], capture_output=True, text=True, check=False)
    if engine.returncode:
        print(f"no Docker engine, left out: {engine.stderr.strip()}", file=sys.stderr)
        return
    host = engine.stdout.strip()
    image = output([PYTHON, str(scripts / "docker-base-image"), host], cwd=work, env=environ()).strip()
    root = generate(work / "docker", 20, 20_000)
    (root / "flows.py").write_text(FLOW)
    (root / "wheelrun.toml").write_text(
        f'[targets.docker]\norchestrator = "docker"\nimage = "{image}"\nnetwork = "host"\n'
    )
    env = environ(WHEELRUN_HOME=str(work / "home-docker"), DOCKER_HOST=host)

    def run(target: str, steps: int) -> float:
        return timed([WHEELRUN, "submit", "flows:flow", "-p", f"n={steps}", "-t", target], cwd=root, env=env)

    for steps in (1, 5):
        yield pair(
            "a step in a container" if steps == 1 else f"{steps} steps in containers",
            f"a local run + {steps} x 1.5 s",
            lambda steps=steps: run("docker", steps),
            lambda steps=steps: run("local", steps) + steps * 1.5,
            rounds=rounds,
            goal=1.0,
        )


def output(command: list[str], *, cwd: Path, env: dict[str, str]) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout


def bytes_sent(home: Path, run_id: str) -> int:
    """Return how many bytes of code a run's submission sent, as the store says."""
    from wheelrun.store import RunStore

    store = RunStore(home / "data" / "runs.sqlite")
    try:
        return int(store.get(run_id).metadata["bytes_sent"])
    finally:
        store.close()


def spark_home() -> str:
    """Return the folder of the installed pyspark."""
    spec = importlib.util.find_spec("pyspark")
    return str(Path(spec.origin).parent) if spec and spec.origin else ""


GROUPS = {
    "build": bench_build,
    "start": bench_start,
    "scale": bench_scale,
    "spark": bench_spark,
    "cluster": bench_cluster,
    "databricks": bench_databricks,
    "emulator": bench_emulator,
    "docker": bench_docker,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS), metavar="GROUP")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then too
    rows: list[Row] = []
    head = f"{'what':<28} {'against':<42} {'ours':>8} {'theirs':>8} {'ratio':>6} {'goal':>5}"
    if not options.json:
        print(head)
    with tempfile.TemporaryDirectory(prefix="wheelrun-bench-") as folder:
        for name in options.only:
            for row in GROUPS[name](Path(folder), options.rounds):
                rows.append(row)
                if not options.json:
                    goal = "" if row.goal is None else f"{row.goal:.2f}"
                    times = f"{row.ours:>7.3f}s {row.theirs:>7.3f}s {row.ratio:>6.2f}"
                    print(f"{row.name:<28} {row.against:<42} {times} {goal:>5} {row.verdict}", flush=True)
    if options.json:
        print(json.dumps([{**asdict(row), "ratio": row.ratio, "verdict": row.verdict} for row in rows], indent=1))
    return int(any(row.verdict == "missed" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
