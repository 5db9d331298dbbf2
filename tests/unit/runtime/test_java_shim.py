from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.runtime.java import Spark, find_java
from wheelrun.runtime.java_shim import make_shim

MODULE = "jdk.incubator.vector"
DROPPED = f"--add-modules={MODULE}"


@pytest.fixture(params=["java", 'it\'s a $(touch pwned) `x` "q" \\ ; folder', "two\nlines", os.fsdecode(b"\xff")])
def home(request, tmp_path):
    """The home of a Java that writes its arguments, each behind a NUL, and ends with 7."""
    folder = tmp_path / request.param
    (folder / "bin").mkdir(parents=True)
    binary = folder / "bin" / "java"
    binary.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "sys.stdout.buffer.write(b''.join(b'\\0' + arg.encode('utf-8', 'surrogateescape') for arg in sys.argv[1:]))\n"
        "sys.exit(7)\n"
    )
    binary.chmod(0o755)
    return folder


def test_arguments_pass_as_they_are_but_for_one(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shim = make_shim(home, 25, MODULE, tmp_path / "cache")
    kept = [
        "-cp",
        "a b:c'd\"e",
        "",
        "two\nlines",
        "\ttabs\t",
        "$HOME `id` $(id) ;|&<>*?[a]",
        "\\",
        "-n",
        "--",
        f"x{DROPPED}",
        f"{DROPPED},java.base",
        "--add-modules",
        MODULE,
        "ünï",
        os.fsdecode(b"\xff"),
    ]
    result = subprocess.run(
        [shim / "bin" / "java", DROPPED, *kept[:5], DROPPED, *kept[5:], DROPPED], capture_output=True, check=False
    )
    assert result.returncode == 7
    assert result.stderr == b""
    assert result.stdout == b"".join(b"\0" + os.fsencode(arg) for arg in kept)
    assert not (tmp_path / "pwned").exists()


def test_no_arguments_at_all(home, tmp_path):
    shim = make_shim(home, 25, MODULE, tmp_path / "cache")
    result = subprocess.run([shim / "bin" / "java"], capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (7, b"")


def test_only_the_owner_can_use_it(home, tmp_path):
    shim = make_shim(home, 25, MODULE, tmp_path / "cache")
    for folder in (shim, shim / "bin", shim.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((shim / "bin" / "java").stat().st_mode) == 0o700


def test_it_is_made_once(tmp_path):
    shim = make_shim(tmp_path / "home", 25, MODULE, tmp_path / "cache")
    before = (shim / "bin" / "java").stat()
    assert make_shim(tmp_path / "home", 25, MODULE, tmp_path / "cache") == shim
    assert (shim / "bin" / "java").stat() == before
    assert make_shim(tmp_path / "other", 25, MODULE, tmp_path / "cache") != shim
    assert [item.name for item in shim.parent.iterdir() if item.name.startswith(".")] == []


@pytest.mark.parametrize("damage", ["text", "mode", "gone", "empty", "file"])
def test_a_damaged_one_is_made_anew(tmp_path, damage):
    shim = make_shim(tmp_path / "home", 25, MODULE, tmp_path / "cache")
    binary = shim / "bin" / "java"
    good = binary.read_text()
    if damage == "text":
        binary.write_text("#!/bin/sh\nexit 1\n")
    elif damage == "mode":
        binary.chmod(0o600)
    elif damage == "gone":
        binary.unlink()
    else:
        shim.rename(tmp_path / "away")
        shim.mkdir() if damage == "empty" else shim.touch()
    assert make_shim(tmp_path / "home", 25, MODULE, tmp_path / "cache") == shim
    assert binary.read_text() == good
    assert os.access(binary, os.X_OK)
    assert [item.name for item in shim.parent.iterdir()] == [shim.name]


def test_many_make_it_at_once(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        shims = list(pool.map(lambda _: make_shim(tmp_path / "home", 25, MODULE, tmp_path / "cache"), range(64)))
    assert len(set(shims)) == 1
    assert [item.name for item in shims[0].parent.iterdir()] == [shims[0].name]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "cache").touch()
    with pytest.raises(ConfigurationError, match="cannot make the Java folder") as caught:
        make_shim(tmp_path / "home", 25, MODULE, tmp_path / "cache")
    assert "WHEELRUN_CACHE_DIR" in caught.value.hint


def test_a_child_that_inherits_it_takes_it_as_it_is(tmp_path):
    shim = make_shim(tmp_path / "home", 25, MODULE, tmp_path / "cache")
    spark = Spark(home=Path("/spark"), version="4.3.0")
    found = find_java({"JAVA_HOME": str(shim)}, cache=tmp_path / "cache", spark=spark)
    assert (found.home, found.version, found.source, found.shim) == (shim, 25, "JAVA_HOME", False)
