from __future__ import annotations

import shutil

import pytest

from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.sync import Sync


class Folder:
    """Another folder of this machine in the place of one on Hadoop; each copy takes a second."""

    def __init__(self, path):
        self.path, self.now, self.pushed = path, 0.0, []

    def push(self, source, name):
        self.now += 1
        self.pushed.append(name)
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def pull(self, name, target):
        source = self.path / name
        if not source.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        return True

    def names(self, name):
        return [path.name for path in (self.path / name).glob("*")]


@pytest.fixture
def there(tmp_path):
    return Folder(tmp_path / "there")


@pytest.fixture
def sync(tmp_path, there):
    sync = Sync(there, ArtifactRoot(tmp_path / "here"), "r", 1, clock=lambda: there.now)
    sync.paths.stdout.parent.mkdir(parents=True)
    return sync


def say(path, text):
    with path.open("a") as stream:
        stream.write(text)


def test_a_log_that_grows_is_copied_less_often_the_longer_it_takes_and_wholly_at_the_end(sync, there):
    for second in range(20):
        say(sync.paths.stdout, f"{second}\n")
        there.now += 1
        sync.push()
    assert len(there.pushed) == 3  # of twenty: at once, and then after ten times the second that it took
    sync.push(last=True)
    assert (there.path / "runs/r/logs/stdout.log").read_text() == sync.paths.stdout.read_text()


def test_what_the_events_tell_of_is_there_before_them(sync, there):
    say(sync.paths.events, "{}\n")
    say(sync.paths.stdout, "said\n")
    sync.push()
    assert there.pushed == ["runs/r/logs/stdout.log", "runs/r/events.jsonl"]


def test_a_later_start_goes_on_with_the_log(sync, there):
    log = there.path / "runs/r/logs/stderr.log"
    log.parent.mkdir(parents=True)
    log.write_text("before\n")
    sync.fetch()
    say(sync.paths.stderr, "after\n")
    sync.push()
    assert log.read_text() == "before\nafter\n"
