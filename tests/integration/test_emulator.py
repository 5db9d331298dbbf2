"""The emulator that stands on this machine, as a person uses it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import until

JOBS = """
import time
from pathlib import Path
from pathlib import Path


def main(n: int = 3) -> int:
    print("hello from", n)
    return n * 2


def forever(flag: Path) -> None:
    flag.touch()
    time.sleep(600)
"""


class Person:
    def __init__(self, tmp_path):
        self.folder = tmp_path / "project"
        self.folder.mkdir()
        (self.folder / "jobs.py").write_text(JOBS)
        (self.folder / "requirements.txt").touch()
        self.environ = {
            **os.environ,
            "WHEELRUN_HOME": str(tmp_path / "home"),
            # the target `emulator` is the emulator, whatever workspace is worked with otherwise
            "DATABRICKS_HOST": "https://nowhere.invalid",
            "DATABRICKS_TOKEN": "x",
        }

    def run(self, *words):
        command = [sys.executable, "-m", "wheelrun", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=240, check=False
        )

    def json(self, *words):
        done = self.run(*words, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def person(tmp_path):
    person = Person(tmp_path)
    yield person
    person.run("emulator", "down")


def test_submit_to_the_emulator_that_is_up(person):
    up = person.json("emulator", "up")
    done = person.run("submit", "jobs:main", "-t", "emulator", "-p", "n=5")
    assert done.returncode == 0, done.stderr
    assert "hello from 5" in done.stdout
    person.run("emulator", "down")
    assert "wheelrun emulator up" not in person.run("targets").stdout
    assert person.json("emulator", "up") == up | {"pid": person.json("emulator", "status")["pid"]}
    assert "hello from 5" in person.run("logs").stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["down", "killed"])
def test_no_process_of_a_job_is_left(person, tmp_path, number):
    up = person.json("emulator", "up")
    flag = tmp_path / "flag"
    submitted = person.run("submit", "jobs:forever", "-t", "emulator", "-p", f"flag={flag}", "--no-wait")
    assert submitted.returncode == 0, submitted.stderr
    until(flag.exists)
    assert len(_processes_in(tmp_path)) > 1
    if number is signal.SIGTERM:
        assert person.run("emulator", "down").returncode == 0
        assert _processes_in(tmp_path) == []
    else:
        os.kill(up["pid"], number)
        until(lambda: _processes_in(tmp_path) == [])


def _processes_in(folder):
    """Return the processes whose command line or environment names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                texts = [(process / name).read_bytes() for name in ("cmdline", "environ")]
                if any(os.fsencode(folder) in text for text in texts):
                    found.append(int(process.name))
    return found
