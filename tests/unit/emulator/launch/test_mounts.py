"""Folders at paths below the root, with and without root's rights. Every test does it in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import wheelrun

NOBODY = 65534
CODE = """
import os, sys
from pathlib import Path
sys.path.insert(0, {code!r})
from wheelrun.emulator.launch.mounts import mount
mount({{"/Workspace": {folder!r}}}, Path({base!r}))
with open("/Workspace/new", "w") as stream:
    stream.write("one")
with open("/Workspace/new", "a") as stream:
    stream.write(" two")
os.rename("/Workspace/new", "/Workspace/renamed")
os.mkdir("/Workspace/folder")
print(os.getuid(), os.getcwd(), open("/Workspace/renamed").read())
print(sorted(set(os.listdir("/")) - {{"Workspace"}}) == {there!r}, os.listdir("/proc/self/fd") != [])
sys.stdout.flush()
os.execv("/bin/ls", ["ls", "/Workspace"])
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has namespaces of mounts")


@pytest.fixture
def folder():
    """A folder that anyone can reach."""
    path = Path(tempfile.mkdtemp(prefix="wheelrun-mounts-"))
    path.chmod(0o755)
    for name in ("seen", "base"):
        (path / name).mkdir()
    yield path
    shutil.rmtree(path)


def run(python, folder, **options):
    there = sorted(path.name for path in Path("/").iterdir() if path.is_dir() or path.is_file() or path.is_symlink())
    code = str(Path(wheelrun.__file__).parent.parent)
    script = CODE.format(code=code, folder=str(folder / "seen"), base=str(folder / "base"), there=there)
    return subprocess.run(
        [python, "-B", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=60, **options
    )


def check(done, folder, user):
    assert done.stdout == f"{user} / one two\nTrue True\nfolder\nrenamed\n", done.stderr
    assert (folder / "seen" / "renamed").read_text() == "one two"
    assert list((folder / "base").iterdir()) == [], "no one else sees it"
    assert not Path("/Workspace").exists()


def test_a_folder_at_a_path(folder):
    done = run(sys.executable, folder)
    if "PermissionError" in done.stderr:
        pytest.skip("this kernel does not let users have namespaces")
    check(done, folder, os.getuid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be someone else")
def test_without_root(folder):
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    can = "import sys; sys.exit(sys.version_info < (3, 10))"
    if python is None or subprocess.run([python, "-c", can], user=NOBODY, check=False).returncode != 0:
        pytest.skip("there is no Python that everyone can run")
    if not Path(wheelrun.__file__).parent.stat().st_mode & 0o005:
        pytest.skip("not everyone can read the code")
    for path in (folder, folder / "seen", folder / "base"):
        os.chown(path, NOBODY, NOBODY)
    done = run(python, folder, user=NOBODY, group=NOBODY, extra_groups=())
    if "PermissionError" in done.stderr and "unshare" in done.stderr:
        pytest.skip("this kernel does not let users have namespaces")
    check(done, folder, NOBODY)


def test_a_system_that_has_none(monkeypatch, tmp_path):
    from wheelrun.emulator.launch import mounts

    monkeypatch.setattr(mounts.sys, "platform", "darwin")
    with pytest.raises(OSError, match="no namespaces"):
        mounts.mount({}, tmp_path)
