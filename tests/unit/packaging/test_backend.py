from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from wheelrun.errors import BuildError, PackagingError
from wheelrun.packaging.backend import (
    Completed,
    build_with_backend,
    in_repository,
    list_for_setuptools_scm,
    run_process,
    tagged_version,
)


class FakeRunner:
    """Stands for `build`: notes the call and leaves the wheels that it was told to."""

    def __init__(self, out: Path, wheels: Sequence[str] = ("p-1-py3-none-any.whl",), **result: object) -> None:
        self.out, self.wheels = out, wheels
        self.result = Completed(**{"returncode": 0, "output": "log\n", **result})  # type: ignore[arg-type]

    #: An archive of nothing.
    content = b"PK\x05\x06" + bytes(18)

    def __call__(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float) -> Completed:
        self.argv, self.cwd, self.env, self.timeout = argv, cwd, env, timeout
        assert list(cwd.iterdir()) == []
        for name in self.wheels:
            (self.out / name).write_bytes(self.content)
        return self.result


def test_the_request(tmp_path: Path) -> None:
    out = tmp_path / "out"
    runner = FakeRunner(out)
    wheel = build_with_backend(
        tmp_path / "repo",
        out,
        timeout=7,
        isolated=False,
        scm_version="1.2",
        environ={"PATH": "/bin", "FORCE_COLOR": "1", "PBR_VERSION": "9", "CPPFLAGS": "-DX"},
        runner=runner,
    )
    assert wheel == (out / "p-1-py3-none-any.whl").resolve()
    assert runner.argv[:3] == [sys.executable, "-m", "build"]
    assert runner.argv[-1] == str(tmp_path / "repo")
    assert "--no-isolation" in runner.argv
    assert runner.timeout == 7
    assert runner.env["SOURCE_DATE_EPOCH"] == "315532800"
    assert runner.env["PYTHONHASHSEED"] == "0"
    assert runner.env["SETUPTOOLS_SCM_PRETEND_VERSION"] == runner.env["PDM_BUILD_SCM_VERSION"] == "1.2"
    assert runner.env["PBR_VERSION"] == "9"
    assert "FORCE_COLOR" not in runner.env
    assert runner.env["CPPFLAGS"] == f"-DX -fdebug-prefix-map={tmp_path.resolve() / 'repo'}=."
    assert runner.env["TMPDIR"] == str(runner.cwd)
    assert not runner.cwd.exists()


def test_an_isolated_build_takes_uv_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for found, expected in ((True, ["--installer", "uv"]), (False, [])):
        monkeypatch.setattr("wheelrun.packaging.backend._has_uv", lambda found=found: found)
        runner = FakeRunner(tmp_path / "out")
        build_with_backend(tmp_path, tmp_path / "out", timeout=1, isolated=True, environ={}, runner=runner)
        assert list(runner.argv[6:-1]) == expected


@pytest.mark.parametrize("wheels", [[], ["a-1-py3-none-any.whl", "b-1-py3-none-any.whl"]])
def test_not_one_wheel(wheels: list[str], tmp_path: Path) -> None:
    runner = FakeRunner(tmp_path, wheels)
    with pytest.raises(BuildError, match=f"left {len(wheels)} wheels") as caught:
        build_with_backend(tmp_path, tmp_path, timeout=1, isolated=False, runner=runner)
    assert caught.value.detail == "log\n"


def test_a_wheel_that_is_none(tmp_path: Path) -> None:
    runner = FakeRunner(tmp_path)
    runner.content = b"half a wh"
    with pytest.raises(BuildError, match="no valid wheel"):
        build_with_backend(tmp_path, tmp_path, timeout=1, isolated=False, runner=runner)


@pytest.mark.parametrize("isolated", [True, False])
def test_a_failed_build_shows_its_output(isolated: bool, tmp_path: Path) -> None:
    runner = FakeRunner(tmp_path, [], returncode=1, output="Traceback\nboom\n")
    with pytest.raises(BuildError, match="exit code 1") as caught:
        build_with_backend(tmp_path, tmp_path, timeout=1, isolated=isolated, runner=runner)
    assert caught.value.detail == "Traceback\nboom\n"
    assert ("index" in (caught.value.hint or "")) is isolated
    assert isinstance(caught.value, RuntimeError)


def test_a_build_that_takes_too_long(tmp_path: Path) -> None:
    runner = FakeRunner(tmp_path, [], returncode=-9, timed_out=True)
    with pytest.raises(BuildError, match=r"longer than 2\.5 seconds") as caught:
        build_with_backend(tmp_path, tmp_path, timeout=2.5, isolated=False, runner=runner)
    assert "build_timeout" in (caught.value.hint or "")


def test_a_real_broken_setup_py(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "setup.py").write_text("raise RuntimeError('boom in setup')\n", encoding="utf-8")
    before = Path.cwd()
    with pytest.raises(BuildError) as caught:
        build_with_backend(tmp_path / "repo", tmp_path / "out", timeout=300, isolated=False)
    assert "boom in setup" in (caught.value.detail or "")
    assert Path.cwd() == before


@pytest.mark.parametrize("there", [(), ("pyproject.toml",), ("setup.py",)])
def test_a_setup_cfg_alone_is_a_project_too(there: tuple[str, ...], tmp_path: Path) -> None:
    source = tmp_path / "repo"
    source.mkdir()
    for name in ("setup.cfg", *there):
        (source / name).write_text("", encoding="utf-8")
    out = tmp_path / "out"
    build_with_backend(source, out, timeout=1, isolated=False, runner=FakeRunner(out))
    assert (source / "setup.py").exists() is (there != ("pyproject.toml",))
    assert not there or (source / there[0]).read_text(encoding="utf-8") == ""


def run(code: str, folder: Path, timeout: float = 0) -> Completed:
    return run_process([sys.executable, "-c", code], cwd=folder, env=dict(os.environ), timeout=timeout)


def test_output_is_both_streams_and_bounded(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('x' * 1_000_000); sys.stdout.flush(); sys.stderr.write('end'); sys.exit(3)"
    done = run(code, tmp_path)
    assert done.returncode == 3
    assert not done.timed_out
    assert done.output.endswith("xend")
    assert len(done.output) == 64 * 1024


LEAVE_A_CHILD = """
import os, subprocess, sys, time
pipe = os.open({pipe!r}, os.O_WRONLY)
child = "import os, time; time.sleep(60); os.write({{}}, b'survived')".format(pipe)
subprocess.Popen([sys.executable, "-c", child], pass_fds=[pipe])
print("started", flush=True)
"""


@pytest.mark.parametrize("hangs", [True, False], ids=["in time", "after its end"])
def test_the_whole_tree_is_ended(hangs: bool, tmp_path: Path) -> None:
    """The grandchild outlives the build and would say so: the pipe ends in silence once it is dead."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    code = LEAVE_A_CHILD.format(pipe=str(pipe)) + ("time.sleep(60)" if hangs else "")
    done = run(code, tmp_path, timeout=2 if hangs else 0)
    assert done.timed_out is hangs
    assert done.returncode == (-9 if hangs else 0)
    assert done.output == "started\n"
    os.set_blocking(reader, True)
    try:
        assert os.read(reader, 16) == b""
    finally:
        os.close(reader)


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="cannot be started"):
        run_process([str(tmp_path / "none")], cwd=tmp_path, env={}, timeout=1)


@pytest.mark.parametrize(
    ("name", "text", "listed"),
    [
        ("pyproject.toml", "requires = ['setuptools-scm>=8']", True),
        ("setup.cfg", "setup_requires = setuptools_scm", True),
        ("setup.py", "setup(use_scm_version=True)", True),
        ("setup.py", "setup()", False),
    ],
)
def test_setuptools_scm_takes_a_copy_for_an_archive(name: str, text: str, listed: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    list_for_setuptools_scm(tmp_path)
    assert (tmp_path / ".git_archival.txt").exists() is listed


def test_whether_a_repository_holds_a_folder(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (repository / "below").mkdir()
    assert in_repository(repository)
    assert in_repository(repository / "below")
    assert not in_repository(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    return tmp_path


def git(folder: Path, *args: str) -> None:
    config = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *config, *args], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("tag", "version"),
    [("v1.2.3", "1.2.3"), ("1.2rc1", "1.2rc1"), ("release/2.0", "2.0"), ("pkg-3.1", "3.1"), ("py3-final", None)],
)
def test_the_version_of_the_nearest_tag(tag: str, version: str | None, repository: Path) -> None:
    git(repository, "tag", tag)
    assert tagged_version(repository) == version
    git(repository, "commit", "-q", "--allow-empty", "-m", "two")
    assert tagged_version(repository) == version


def test_no_tag_no_repository_no_git(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert tagged_version(repository) is None
    assert tagged_version(tmp_path_factory.mktemp("plain")) is None

    def no_git(*args: object, **options: object) -> subprocess.CompletedProcess[str]:
        raise FileNotFoundError("git")

    assert tagged_version(repository, runner=no_git) is None
