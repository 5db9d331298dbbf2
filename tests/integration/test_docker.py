"""Runs in containers of a real engine, and what goes wrong there."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from pathlib import Path

import docker
import pytest
from waiting import until

from wheelrun.client import Client
from wheelrun.client.pruning import prune_target
from wheelrun.errors import ClusterError, ConfigurationError, SubmissionError
from wheelrun.runtime import processes
from wheelrun.states import RunState as S

pytestmark = pytest.mark.docker

JOBS = """
    import os, signal, sys, time
    from pathlib import Path
    from wheelrun import Resources, pipeline, step

    def where(): return {"uid": os.getuid(), "home": os.path.expanduser("~"), "cwd": os.getcwd(), "pid": os.getpid()}

    def environment(names: list[str]): return {name: os.environ.get(name) for name in names}

    def read(path: Path): return path.read_text()

    def write(path: Path): path.write_text("written")

    def leave(): os._exit(3)

    def segfault(): os.kill(os.getpid(), signal.SIGSEGV)

    @step(resources=Resources(memory="64MiB", cpu_count=0.5))
    def greedy():
        kept = []
        while True: kept.append(b"x" * 2**20)

    @step(resources=Resources(executors=2))
    def on_executors(): pass

    def stubborn(marker: Path):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        marker.touch()
        while True:
            try: time.sleep(60)
            except BaseException: pass

    @step(timeout=0.2)
    def stubborn_step(marker: Path): stubborn(marker)

    def gated(started: Path, gate: Path):
        started.touch()
        while not gate.exists(): time.sleep(0.02)
        return "through"

    @step
    def meet(mine: Path, other: Path):
        mine.touch()
        until = time.monotonic() + 30
        while not other.exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        return mine.name

    @step
    def both(one, other): return [one, other]

    @pipeline
    def together(a: Path, b: Path): return both(meet(a, b), meet(b, a))

    @step
    def one(): return Path("/etc/marker").read_text() if Path("/etc/marker").exists() else None

    @pipeline
    def two_images():
        return both(one.with_options(name="plain")(), one.with_options(name="own")())

    @step
    def fill(path: Path, size: int): path.write_bytes(b"x" * size)

    @pipeline
    def hostile():
        name = 'a/../b "$(touch /tmp/owned)" ;\\n\\t é'
        return both(one.with_options(name=name)(), one.with_options(name="x" * 300)())
    """

SPARK = """
    from pyspark.sql import DataFrame, SparkSession
    from wheelrun import Resources, pipeline, step

    @step
    def numbers(spark: SparkSession) -> DataFrame: return spark.range(1000)

    @step(resources=Resources(memory="1GiB"))
    def total(spark: SparkSession, numbers: DataFrame):
        return [numbers.count(), spark.conf.get("spark.driver.memory"), spark.conf.get("spark.secret.token")]

    @pipeline
    def counted(): return total(numbers())
    """


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


class Place:
    """A project with a Docker target, and the engine behind it."""

    def __init__(self, folder, table, environ):
        self.folder, self.table, self.environ = folder, table, environ
        folder.mkdir()
        (folder / "jobs.py").write_text(textwrap.dedent(JOBS).lstrip())
        self.configure()

    def configure(self, *more, **changes):
        self.table = {**self.table, **changes}
        lines = ["[targets.docker]", *(f"{key} = {_toml(value)}" for key, value in self.table.items()), *more]
        (self.folder / "wheelrun.toml").write_text("\n".join(lines) + "\n")

    @property
    def client(self):
        return Client(self.folder, cwd=self.folder, environ=self.environ)

    def run(self, entry, params=None, **options):
        run = self.client.submit(entry, params, target="docker", **options)
        run.wait(timeout=120)
        return run

    def submit(self, entry, params=None, **options):
        return self.client.submit(entry, params, target="docker", **options)

    @property
    def engine(self):
        return docker.DockerClient(base_url=self.environ["DOCKER_HOST"])

    def containers(self, run):
        with_label = {"label": f"io.wheelrun.run={run.id}"}
        engine = self.engine
        try:
            return engine.containers.list(all=True, filters=with_label, ignore_removed=True)
        finally:
            engine.close()

    def images(self):
        engine = self.engine
        try:
            found = engine.api.images(filters={"label": "io.wheelrun.keeper"})
            return {tag for image in found for tag in image["RepoTags"] or ()}
        finally:
            engine.close()


@pytest.fixture
def place(tmp_path, docker_target, environ):
    return Place(tmp_path / "project", docker_target, environ)


@pytest.fixture
def engine_folder():
    """A folder for an engine, with a path that is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="wheelrun-engine-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def small_disk():
    """Makes small file systems: `small_disk(folder, size)`."""
    mounted = []

    def mount(folder, size):
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def own_engine(docker_engine, engine_folder, small_disk):  # the disk goes before the folder below it
    """Starts an engine that a test may break: `own_engine()` gives its address and a base image."""
    script = Path(__file__).parent.parent.parent / "scripts" / "docker-engine"
    inside = {**os.environ, "WHEELRUN_ENGINE_FOLDER": str(engine_folder)}

    def start():
        done = subprocess.run([script, "up"], env=inside, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        url = done.stdout.strip()
        base = [sys.executable, script.with_name("docker-base-image"), url, "py4j"]
        return url, subprocess.run(base, capture_output=True, text=True, check=True).stdout.strip()

    yield start
    subprocess.run([script, "down"], env=inside, check=True)


def test_a_step_is_the_callers_and_has_a_home(place):
    result = place.run("jobs:where").result()
    assert result["uid"] == os.getuid()
    assert result["cwd"] == "/opt/wheelrun/home"
    assert result["pid"] != 1  # an init stands above it


def test_an_unchanged_project_builds_nothing_and_a_changed_file_one_image(place):
    first = place.run("jobs:where")
    before = place.images()
    second = place.run("jobs:where")
    assert place.images() == before
    assert second.record.metadata["images"] == first.record.metadata["images"]
    (place.folder / "jobs.py").write_text(textwrap.dedent(JOBS).lstrip() + "# changed\n")
    third = place.run("jobs:where")
    new = place.images() - before
    assert [tag.split("/")[1].split(":")[0] for tag in new] == ["project"]
    assert third.record.metadata["images"] != first.record.metadata["images"]


def test_the_run_is_pinned_to_its_image_by_id(place):
    run = place.run("jobs:leave")
    image = run.record.metadata["images"][""]
    assert image.startswith("sha256:")
    (place.folder / "jobs.py").write_text("def leave(): return 'another'\n")
    resumed = place.client.resume(run.id)
    resumed.wait(timeout=60)
    assert resumed.state is S.FAILED
    assert resumed.record.metadata["images"][""] == image


def test_an_image_that_is_gone_is_made_again_from_the_runs_wheels(place):
    run = place.run("jobs:leave")
    engine = place.engine
    engine.images.remove(run.record.metadata["images"][""], force=True)
    engine.close()
    resumed = place.client.resume(run.id)
    assert "is gone" in " ".join(resumed.warnings)
    resumed.wait(timeout=60)
    assert resumed.record.error.message.endswith("exit status 3")


def test_environment_volumes_and_wheelruns_own_that_win(place, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("from here")
    root = str(Path(place.environ["WHEELRUN_HOME"]) / "data" / "artifacts")
    place.configure(
        environment={"LOW": "target", "BOTH": "target", "WHEELRUN_RUN_ID": "forged"},
        volumes=[f"{tmp_path}/data:/data:ro", f"{tmp_path}/data:{root}"],
    )
    names = ["LOW", "BOTH", "WHEELRUN_RUN_ID", "LINES"]
    run = place.run("jobs:environment", {"names": names}, env={"BOTH": "run", "LINES": "one\ntwo"})
    assert run.result() == {"LOW": "target", "BOTH": "run", "WHEELRUN_RUN_ID": run.id, "LINES": "one\ntwo"}
    assert place.run("jobs:read", {"path": "/data/file"}).result() == "from here"
    denied = place.run("jobs:write", {"path": "/data/file"})
    assert denied.record.error.type == "OSError"


def test_dependencies_go_into_the_image_below_the_code(place, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "greeting-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeting.py", "WORDS = 'from the bundle'\n")
        wheel.writestr("greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        wheel.writestr("greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("greeting-1.0.dist-info/RECORD", "")
    place.environ |= {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(wheels)}
    (place.folder / "pyproject.toml").write_text(
        '[project]\nname = "project"\nversion = "1"\ndependencies = ["greeting"]\n'
    )
    (place.folder / "polite.py").write_text("def greet():\n    import greeting\n    return greeting.WORDS\n")
    assert place.run("polite:greet").result() == "from the bundle"
    before = place.images()
    (place.folder / "polite.py").write_text("def greet():\n    import greeting\n    return [greeting.WORDS]\n")
    assert place.run("polite:greet").result() == ["from the bundle"]
    assert [tag.split(":")[0] for tag in place.images() - before] == ["wheelrun/project"]
    place.configure(python_version="3.10")
    with pytest.raises(ClusterError, match="cannot be built") as error:
        place.submit("polite:greet")
    assert "set python_version" in error.value.detail


def test_how_a_step_ended_is_told_apart(place):
    left = place.run("jobs:leave").record.steps[0].error
    assert (left.type, left.message) == (
        "ProcessDied",
        "the container ended while step 'leave' was running: exit status 3",
    )
    assert "killed by SIGSEGV" in place.run("jobs:segfault").record.steps[0].error.message
    greedy = place.run("jobs:greedy").record.steps[0].error
    assert greedy.type == "OutOfMemory"
    assert "limited to 64 MiB" in greedy.message


def test_what_a_container_does_not_have_is_refused(place):
    with pytest.raises(ConfigurationError, match="a container has no executors"):
        place.submit("jobs:on_executors")
    place.configure("[targets.docker.run_args]", "shm = 1")
    with pytest.raises(ConfigurationError, match="docker-py has no 'shm'"):
        place.submit("jobs:where")
    place.configure("[targets.docker.run_args]", 'name = "mine"')
    with pytest.raises(ConfigurationError, match="name is wheelrun's own"):
        place.submit("jobs:where")


@pytest.mark.skipif(os.getuid() != 0, reason="to others a root of the container is the caller's choice")
def test_a_user_who_cannot_read_the_runs_files_is_refused(place):
    place.configure(user="12345")
    with pytest.raises(ConfigurationError, match="user '12345' could not read the run's files"):
        place.submit("jobs:where")


def test_a_step_that_ignores_everything_is_cancelled_within_ten_seconds(place, tmp_path):
    run = place.submit("jobs:stubborn", {"marker": tmp_path / "marker"})
    until((tmp_path / "marker").exists)
    assert len(place.containers(run)) == 1
    began = time.monotonic()
    assert run.cancel().state is S.CANCELLED
    assert time.monotonic() - began < 10
    assert place.containers(run) == []


def test_a_step_that_ignores_its_timeout_is_ended(place, tmp_path):
    run = place.run("jobs:stubborn_step", {"marker": tmp_path / "marker"})
    assert run.record.steps[0].error.type == "StepTimeout"
    assert run.record.exit_code == 124
    assert place.containers(run) == []


@pytest.mark.parametrize("who", ["supervisor", "all of its processes"])
def test_no_container_stays_when_its_supervisor_is_killed(place, tmp_path, who):
    run = place.submit("jobs:stubborn", {"marker": tmp_path / "marker"})
    until((tmp_path / "marker").exists)
    supervisor = run.status().metadata["pid"]
    for pid in processes.of_session(supervisor) if who != "supervisor" else [supervisor]:
        os.kill(pid, signal.SIGKILL)
    record = until(lambda: run.status() if run.status().state.is_terminal else None)
    assert record.state is S.FAILED
    assert "ended without a word" in record.error.message
    until(lambda: place.containers(run) == [])


def test_what_nobody_looks_after_goes_with_the_next_submission(place, tmp_path):
    run = place.submit("jobs:gated", {"started": tmp_path / "started", "gate": tmp_path / "gate"})
    other = place.submit("jobs:gated", {"started": tmp_path / "other", "gate": tmp_path / "gate"})
    until(lambda: (tmp_path / "started").exists() and (tmp_path / "other").exists())
    supervisor = run.status().metadata["pid"]
    for pid in processes.of_session(supervisor):
        os.kill(pid, signal.SIGKILL)
    assert len(place.containers(run)) == 1
    place.run("jobs:where")
    assert place.containers(run) == []
    assert len(place.containers(other)) == 1
    (tmp_path / "gate").touch()
    other.wait(timeout=60)
    assert other.result() == "through"


def test_independent_steps_run_at_the_same_time(place, tmp_path):
    place.configure(max_parallel_steps=2)
    run = place.run("jobs:together", {"a": tmp_path / "a", "b": tmp_path / "b"})
    assert run.result() == ["a", "b"]


def test_hostile_names(place):
    run = place.run("jobs:hostile", name='n"$(x)`; é')
    assert run.result() == [None, None]
    odd = Place(place.folder.parent / 'pro ject "$x" é', place.table, place.environ)
    assert odd.run("jobs:where").result()["cwd"] == "/opt/wheelrun/home"


def test_a_step_with_an_image_of_its_own(place):
    (place.folder / "docker").mkdir()
    (place.folder / "docker" / "Dockerfile").write_text(
        f'FROM {place.table["image"]}\nARG WHO\nCOPY marker /etc/marker\nENTRYPOINT ["/bin/false"]\n'
    )
    (place.folder / "docker" / "marker").write_text("built")
    place.configure("[targets.docker.steps.own]", 'dockerfile = "docker/Dockerfile"', 'build_args = {WHO = "me"}')
    run = place.run("jobs:two_images")
    assert run.result() == [None, "built"]
    assert set(run.record.metadata["images"]) == {"", "own"}
    (place.folder / "docker" / "marker").write_text("built again")
    assert place.run("jobs:two_images").result() == [None, "built again"]


def test_a_build_that_fails_tells_its_last_lines(place):
    script = "print('before'); raise SystemExit('no such thing')"
    command = json.dumps(["python3", "-c", script])
    (place.folder / "Dockerfile").write_text(f"FROM {place.table['image']}\nRUN {command}\n")
    place.table.pop("image")
    place.configure(dockerfile="Dockerfile")
    with pytest.raises(ClusterError, match=r"Dockerfile cannot be built: .*returned a non-zero code") as error:
        place.submit("jobs:where")
    assert set(error.value.detail.splitlines()[-2:]) == {"before", "no such thing"}  # two streams, in no order
    assert place.client.run().record.state is S.FAILED


def test_an_image_that_is_missing(place):
    place.configure(image="wheelrun-test-missing:1")
    with pytest.raises(ConfigurationError, match="there is no image wheelrun-test-missing:1"):
        place.submit("jobs:where")
    place.configure(image="127.0.0.1:1/wheelrun-test-missing:1", pull="missing")
    with pytest.raises(ClusterError, match=r"cannot be pulled: .*connection refused"):
        place.submit("jobs:where")


def test_no_engine_and_one_of_another_machine(place, tmp_path):
    place.environ["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    with pytest.raises(SubmissionError, match=r"no Docker engine answers at .*No such file") as error:
        place.submit("jobs:where")
    assert "systemctl start docker" in error.value.hint
    assert place.client.runs() == []
    place.environ["DOCKER_HOST"] = "ssh://build.example"
    with pytest.raises(ConfigurationError, match="is on another machine"):
        place.submit("jobs:where")


def test_an_engine_that_dies_is_told_and_the_run_is_taken_up(place, own_engine, engine_folder, tmp_path):
    url, image = own_engine()
    place.environ["DOCKER_HOST"] = url
    place.configure(image=image)
    run = place.submit("jobs:gated", {"started": tmp_path / "started", "gate": tmp_path / "gate"})
    until((tmp_path / "started").exists)
    os.kill(int((engine_folder / "docker.pid").read_text()), signal.SIGKILL)
    run.wait(timeout=60)
    assert run.state is S.FAILED
    assert "the Docker engine went away while step 'gated' was running" in run.record.error.message
    assert run.record.exit_code == 6
    own_engine()
    (tmp_path / "gate").touch()
    resumed = place.client.resume(run.id)
    resumed.wait(timeout=60)
    assert resumed.result() == "through"
    assert place.containers(run) == []


def test_a_full_disk_of_the_engine(place, own_engine, engine_folder, small_disk):
    small_disk(engine_folder, "200m")
    url, image = own_engine()
    place.environ["DOCKER_HOST"] = url
    place.configure(image=image)
    (place.folder / "package").mkdir()
    (place.folder / "package" / "__init__.py").touch()
    (place.folder / "package" / "large.bin").write_bytes(os.urandom(80 * 2**20))
    with pytest.raises(ClusterError, match="no space left on device"):
        place.submit("jobs:where")


def test_a_full_artifact_root(place, small_disk, tmp_path):
    small_disk(tmp_path / "small", "4m")
    place.configure(artifact_root=str(tmp_path / "small"))
    run = place.run("jobs:fill", {"path": tmp_path / "small" / "large", "size": 8 * 2**20})
    assert "No space left on device" in run.record.error.message
    (tmp_path / "small" / "large").unlink()
    assert place.containers(run) == []


def test_secrets_are_in_no_label_argument_or_layer(place, tmp_path):
    params = {"started": tmp_path / "started", "gate": tmp_path / "gate"}
    run = place.submit("jobs:gated", params, env={"MY_TOKEN": "s3cr3t"}, conf={"spark.my.token": "s3cr3t-conf"})
    until((tmp_path / "started").exists)
    (container,) = place.containers(run)
    facts = container.attrs
    assert "MY_TOKEN=s3cr3t" in facts["Config"].pop("Env")
    assert "s3cr3t" not in json.dumps(facts)
    assert "s3cr3t" not in json.dumps([container.image.attrs, container.image.history()])
    listing = subprocess.run(["ps", "-axww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert "s3cr3t" not in listing
    container.client.close()
    (tmp_path / "gate").touch()
    run.wait(timeout=60)


def test_a_secret_build_argument_is_refused(place):
    place.configure(build_args={"PIP_TOKEN": "x"})
    with pytest.raises(ConfigurationError, match="the value of PIP_TOKEN would be readable in the image"):
        place.submit("jobs:where")


def test_prune_removes_images_that_no_kept_run_refers_to(place):
    kept = place.run("jobs:where")
    images = place.images()
    (place.folder / "jobs.py").write_text("def where(): return 1\n")
    forgotten = place.run("jobs:where")
    new = place.images() - images
    client = place.client
    client.store.delete(forgotten.id)
    planned = prune_target(client, "docker", dry_run=True)
    assert new <= {item.name for item in planned.items}
    assert new <= place.images()
    removed = prune_target(client, "docker")
    assert new <= {item.name for item in removed.items}
    assert not new & place.images()
    assert place.client.rerun(kept.id).result(timeout=60)["cwd"] == "/opt/wheelrun/home"


def test_doctor_checks_the_engine(place, tmp_path):
    def checks():
        stack = next(stack for stack in place.client.targets() if stack.name == "docker")
        return {
            what: (problem, remedy) for what, problem, remedy in place.client.orchestrator_for(stack).preflight(stack)
        }

    (engine,) = [what for what in checks() if what.startswith("Docker engine ")]
    assert checks()[engine] == (None, None)
    place.configure(image="wheelrun-test-missing:1")
    assert checks()["base image"][1] == "docker pull wheelrun-test-missing:1"
    place.environ["DOCKER_HOST"] = f"unix://{tmp_path}/none.sock"
    problem, remedy = checks()["Docker engine"]
    assert "no Docker engine answers" in problem
    assert "DOCKER_HOST" in remedy


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_users_run_leaves_files_of_that_user(place, tmp_path, docker_engine):
    socket = Path(docker_engine.url.removeprefix("unix://"))
    user = 12345
    home = tmp_path / "other"
    home.mkdir()
    tmp_path.chmod(0o711)
    for folder in (home, place.folder):
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, user)
    code = "import json, wheelrun; print(json.dumps(wheelrun.submit('jobs:where', target='docker').result()))"
    done = subprocess.run(
        ["setpriv", "--reuid", str(user), "--regid", str(user), "--groups", str(socket.stat().st_gid),
         # Python, and the test's folder, may lie where only root looks
         "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", sys.executable, "-c", code],
        cwd=place.folder, capture_output=True, text=True, check=False,
        env={**place.environ, "HOME": str(home), "WHEELRUN_HOME": str(home / "wheelrun"),
             "WHEELRUN_CONFIG_DIR": str(home / "config"), "PYTHONPATH": str(Path.cwd()),
             "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["uid"], result["home"]) == (user, "/opt/wheelrun/home")
    outputs = list(home.rglob("outputs/**/value.json"))
    assert [path.stat().st_uid for path in outputs] == [user]


@pytest.mark.spark
def test_spark_runs_in_the_containers(place):
    (place.folder / "spark_jobs.py").write_text(textwrap.dedent(SPARK).lstrip())
    env = {"JDK_JAVA_OPTIONS": os.environ["JDK_JAVA_OPTIONS"]}
    run = place.run("spark_jobs:counted", conf={"spark.secret.token": "hidden"}, env=env)
    assert run.result() == [1000, "614m", "hidden"]


def test_an_image_without_spark_is_told(place, docker_engine):
    done = subprocess.run(
        [sys.executable, Path("scripts/docker-base-image"), docker_engine.url, "py4j"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (place.folder / "spark_jobs.py").write_text(textwrap.dedent(SPARK).lstrip())
    place.configure(image=done.stdout.strip())
    error = place.run("spark_jobs:counted").record.steps[0].error
    assert "Spark" in error.message or "pyspark" in error.message
