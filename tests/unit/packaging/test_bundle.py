"""Bundles, made by the real uv from an index on this machine."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from wheelrun.errors import ConfigurationError, PackagingError
from wheelrun.packaging.builder import build
from wheelrun.packaging.bundle import Bundle, Platform, make_bundle
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.project import PackageSettings, load_project
from wheelrun.packaging.resolver import find_uv, masked

CHECKOUT = Path(__file__).resolve().parents[3]
PYTHON_311 = Platform("3.11")
PASSWORD = "hunter2-of-the-index"


@pytest.fixture
def env(tmp_path: Path, environ: dict[str, str], index: Any) -> dict[str, str]:
    """The environment that uv gets: nothing of this machine's configuration, and the test's own index."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in environ.items() if not name.startswith(("UV_", "XDG_", "VIRTUAL_ENV"))}
    return {
        **kept,
        "HOME": str(home),
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "UV_DEFAULT_INDEX": index.url,
        "UV_HTTP_RETRIES": "0",
    }


@pytest.fixture
def shop(tmp_path: Path) -> Callable[..., Path]:
    """Write a project that asks for `dependencies`."""

    def write(*dependencies: str, name: str = "shop", folder: str = "repo", more: str = "") -> Path:
        root = tmp_path / folder
        root.mkdir(parents=True, exist_ok=True)
        (root / f"{name}.py").write_text("X = 1\n", encoding="utf-8")
        (root / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nversion = "1.0"\nrequires-python = ">=3.9"\n'
            f"dependencies = {json.dumps(dependencies)}\n{more}",
            encoding="utf-8",
        )
        return root

    return write


def bundle(
    root: Path,
    env: Mapping[str, str],
    platform: Platform = PYTHON_311,
    *,
    cache: Path | None = None,
    also: tuple[str, ...] = (),
    timeout: float = 600.0,
) -> Bundle | None:
    project = load_project(root, PackageSettings(also=also))
    built = build(project, WheelCache(root.parent / "wheels"))
    folder = cache or root.parent / "cache"
    return make_bundle(project, [built.wheel, *built.also], folder, platform, environ=env, timeout=timeout)


def made(*args: Any, **options: Any) -> Bundle:
    found = bundle(*args, **options)
    assert found is not None
    return found


def refused(kind: type[Exception], *args: Any, **options: Any) -> Any:
    with pytest.raises(kind) as caught:
        bundle(*args, **options)
    return caught.value


def uv(env: Mapping[str, str], root: Path, *words: str) -> None:
    subprocess.run([find_uv(env), *words], cwd=root, env=dict(env), check=True, capture_output=True)


def names(found: Bundle) -> list[str]:
    with zipfile.ZipFile(found.path) as archive:
        return archive.namelist()


def files_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


# --- what the wheels ask for ---


def test_what_the_wheel_asks_for_and_what_that_asks_for(index, shop, env, tmp_path: Path) -> None:
    index.add("alpha", requires=["beta>=1", "pytest; extra == 'test'"])
    index.add("beta", "1.0")
    index.add("beta", "2.0")
    root = shop("Alpha >= 1", "shop[all]")
    before = files_below(root)
    found = made(root, env)
    assert found.packages == (("alpha", "1.0"), ("beta", "2.0"))
    assert found.source == "the wheel's metadata"
    assert not found.cached
    assert not found.compiled
    assert found.digest == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert found.size == found.path.stat().st_size
    assert found.path.name == f"bundle-{found.digest[:12]}.zip"
    assert found.path.is_relative_to(tmp_path / "cache" / "bundles")
    assert files_below(root) == before
    assert list((tmp_path / "cache" / "tmp").iterdir()) == []


def test_an_unpacked_bundle_is_importable_and_knows_its_distributions(index, shop, env, tmp_path: Path) -> None:
    scripts = "[console_scripts]\nalpha = alpha:main\n"
    index.add("alpha", files={"alpha/__init__.py": "Y = 7\n"}, info={"entry_points.txt": scripts})
    found = made(shop("alpha"), env)
    with zipfile.ZipFile(found.path) as archive:
        archive.extractall(tmp_path / "unpacked")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import alpha; from importlib import metadata as m\n"
        "print(alpha.Y, m.version('alpha'), [str(f) for f in m.files('alpha') if not f.locate().exists()],"
        " m.entry_points(group='console_scripts', name='alpha')['alpha'].value)"
    )
    argv = [sys.executable, "-I", "-c", code, str(tmp_path / "unpacked")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["7", "1.0", "[]", "alpha:main"]


def test_what_is_in_the_archive(index, shop, env) -> None:
    index.add(
        "alpha",
        files={
            "alpha/__init__.py": "",
            "alpha/_vendor/x-1.dist-info/INSTALLER": "pip",
            "alpha/_vendor/x-1.dist-info/RECORD": "x.py,,\n",
            "alpha/__pycache__/__init__.cpython-311.pyc": "x",
            "alpha/run.sh": "#!/bin/sh\n",
            "alpha/stale.pyc": "x",
            "alpha-1.0.data/scripts/tool": "#!python\n",
            "alpha-1.0.data/data/share/alpha/notes.txt": "n",
            "alpha-1.0.data/purelib/alpha_more.py": "Z = 1\n",
        },
        info={"entry_points.txt": "[console_scripts]\nalpha = alpha:main\n", "licenses/LICENSE": "free"},
    )
    found = made(shop("alpha"), env)
    with zipfile.ZipFile(found.path) as archive:
        assert archive.namelist() == [
            "alpha-1.0.dist-info/METADATA",
            "alpha-1.0.dist-info/RECORD",
            "alpha-1.0.dist-info/WHEEL",
            "alpha-1.0.dist-info/entry_points.txt",
            "alpha-1.0.dist-info/licenses/LICENSE",
            "alpha/__init__.py",
            "alpha/_vendor/x-1.dist-info/INSTALLER",
            "alpha/_vendor/x-1.dist-info/RECORD",
            "alpha/run.sh",
            "alpha_more.py",
            "share/alpha/notes.txt",
        ]
        executable = [info.filename for info in archive.infolist() if (info.external_attr >> 16) & 0o111]
        assert executable == ["alpha/run.sh"]
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.read("alpha/_vendor/x-1.dist-info/RECORD") == b"x.py,,\n"
        recorded = [line.split(",")[0] for line in archive.read("alpha-1.0.dist-info/RECORD").decode().splitlines()]
        assert recorded == archive.namelist()


def test_the_same_packages_give_the_same_bytes(index, shop, env, tmp_path: Path) -> None:
    scripts = "[console_scripts]\nalpha = alpha:main\n"
    index.add("alpha", requires=["beta"], info={"entry_points.txt": scripts})
    index.add("beta")
    first = made(shop("alpha"), env)
    # Asked for in another way, by another user elsewhere: REQUESTED and uv's own notes would differ.
    other = shop("beta", "alpha", folder="else where/repo")
    second = made(other, {**env, "UV_CACHE_DIR": str(tmp_path / "other-cache"), "UV_LINK_MODE": "symlink"})
    assert second.path != first.path
    assert second.path.read_bytes() == first.path.read_bytes()
    assert second.digest == first.digest


def test_markers_are_the_targets(index, shop, env) -> None:
    for name in ("always", "old", "new", "arm", "windows"):
        index.add(name)
    root = shop(
        "always",
        "old; python_version < '3.10'",
        "new; python_version >= '3.12'",
        "arm; platform_machine == 'aarch64'",
        "windows; sys_platform == 'win32'",
    )
    assert [name for name, _ in made(root, env, Platform("3.9")).packages] == ["always", "old"]
    assert [name for name, _ in made(root, env).packages] == ["always"]
    arm = Platform("3.12", "aarch64-manylinux_2_28")
    assert [name for name, _ in made(root, env, arm).packages] == ["always", "arm", "new"]


def test_the_wheels_are_the_targets(index, shop, env) -> None:
    for tag, suffix in (("cp311-cp311-manylinux_2_17_x86_64", "so"), ("cp312-cp312-win_amd64", "pyd")):
        index.add("native", tag=tag, files={"native/__init__.py": "", f"native/fast.{suffix}": suffix})
    root = shop("native")
    linux, windows = made(root, env), made(root, env, Platform("3.12", "x86_64-pc-windows-msvc"))
    assert linux.compiled
    assert windows.compiled
    assert "native/fast.so" in names(linux)
    assert "native/fast.pyd" in names(windows)


def test_what_the_cluster_brings_is_not_in_it(index, shop, env) -> None:
    index.add("alpha", requires=["pyspark>=3", "py4j", "beta"])
    index.add("beta")
    # pyspark, py4j and databricks-connect are not even on the index.
    root = shop("alpha", "pyspark>=3.5", "databricks-connect", "py4j", "wheelrun")
    assert made(root, env).packages == (("alpha", "1.0"), ("beta", "1.0"))


@pytest.mark.parametrize("dependencies", [(), ("pyspark[sql]>=3.5", "wheelrun", "py4j"), ("old; python_version<'3'",)])
def test_nothing_to_bundle(dependencies: tuple[str, ...], shop, env) -> None:
    assert bundle(shop(*dependencies), env) is None


def test_nothing_to_bundle_needs_no_uv(shop, tmp_path: Path) -> None:
    assert bundle(shop("pyspark"), {"PATH": ""}) is None
    assert not (tmp_path / "cache").exists()


def test_siblings_travel_on_their_own_and_their_needs_are_bundled(index, shop, env) -> None:
    for name in ("for-shop", "for-lib", "for-io", "for-aws", "for-test"):
        index.add(name)
    extras = (
        '[project.optional-dependencies]\nio = ["for-io", "util[aws]"]\ntest = ["for-test"]\n'
        "old = [\"for-test; python_version < '3'\"]\n"
    )
    shop("for-lib", name="lib", folder="lib", more=extras)
    shop(
        name="util",
        folder="util",
        more="[project.optional-dependencies]\naws = [\"for-aws; python_version > '3.9'\"]\n",
    )
    found = made(shop("for-shop", "lib[IO]>=1"), env, also=("../lib", "../util"))
    assert [name for name, _ in found.packages] == ["for-aws", "for-io", "for-lib", "for-shop"]


# --- locks ---


def test_a_uv_lock(index, new_index, shop, env) -> None:
    special = new_index("special")
    special.add("special", "1.0+cpu")
    index.add("alpha", "1.0", requires=["beta", "pyspark"])
    index.add("pyspark", "3.5", requires=["py4j"])
    index.add("wheelrun", "0.1", requires=["click"])
    for name in ("beta", "py4j", "click", "develop", "old"):
        index.add(name, "1.0")
    root = shop(
        *("alpha", "wheelrun", "special", "old; python_version < '3.10'"),
        more=f'[dependency-groups]\ndev = ["develop"]\n[tool.uv.sources]\nspecial = {{ index = "special" }}\n'
        f'[[tool.uv.index]]\nname = "special"\nurl = "{special.url}"\nexplicit = true\n',
    )
    uv(env, root, "lock")
    index.add("beta", "2.0")
    before, lock = files_below(root), (root / "uv.lock").read_bytes()
    found = made(root, env)
    assert found.packages == (("alpha", "1.0"), ("beta", "1.0"), ("special", "1.0+cpu"))
    assert found.source == "uv.lock"
    assert files_below(root) == before
    assert (root / "uv.lock").read_bytes() == lock
    assert made(root, env).cached
    uv(env, root, "lock", "--upgrade")
    assert ("beta", "2.0") in made(root, env).packages


def test_what_a_locked_project_does_not_need(index, shop, env) -> None:
    index.add("pyspark", "3.5")
    root = shop("pyspark")
    uv(env, root, "lock")
    assert bundle(root, env) is None


@pytest.mark.parametrize(
    ("now", "named"),
    [(("alpha", "beta"), r"beta \(asked for by shop\)"), (("alpha>=2",), r"alpha>=2 \(asked for by shop\)")],
    ids=["missing", "too old"],
)
def test_a_lock_that_is_older_than_the_project(now: tuple[str, ...], named: str, index, shop, env) -> None:
    index.add("alpha", "1.0")
    root = shop("alpha")
    uv(env, root, "lock")
    index.add("alpha", "2.0")
    index.add("beta")
    shop(*now)
    error = refused(ConfigurationError, root, env)
    assert re.search(f"uv.lock does not hold.*{named}", error.message)
    assert "uv lock" in error.hint
    assert error.detail


WHEEL = "alpha-1.0-py3-none-any.whl"
LOCK = """version = 1
requires-python = "{python}"

[[package]]
name = "alpha"
version = "1.0"
source = {{ registry = "{url}" }}
wheels = [{{ url = "{url}/../files/alpha-1.0-py3-none-any.whl", hash = "sha256:{sha256}" }}]

[[package]]
name = "shop"
version = "1.0"
source = {{ virtual = "." }}
dependencies = [{{ name = "alpha" }}]

[package.metadata]
requires-dist = [{{ name = "alpha" }}]
"""
BACKEND = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'


def test_a_locked_workspace(index, shop, env, tmp_path: Path) -> None:
    for name in ("alpha", "beta", "gamma"):
        index.add(name)
    workspace = tmp_path / "repo"
    root = shop("alpha", "lib", folder="repo/packages/shop", more="[tool.uv.sources]\nlib = { workspace = true }\n")
    shop("beta", name="lib", folder="repo/packages/lib")
    shop("gamma", name="other", folder="repo/packages/other")
    members = '[tool.uv.workspace]\nmembers = ["packages/*"]\nexclude = ["packages/none"]\n'
    (workspace / "pyproject.toml").write_text(members, encoding="utf-8")
    files = [workspace / "packages" / name / "pyproject.toml" for name in ("shop", "lib", "other")]
    texts = [path.read_text(encoding="utf-8") for path in files]
    # uv locks members that are packages; building them is not what is tested here.
    for path, text in zip(files, texts, strict=True):
        path.write_text(text + BACKEND, encoding="utf-8")
    uv(env, workspace, "lock")
    for path, text in zip(files, texts, strict=True):
        path.write_text(text, encoding="utf-8")
    found = made(root, env, also=("../lib",))
    assert found.packages == (("alpha", "1.0"), ("beta", "1.0"))
    assert found.source == "uv.lock"
    error = refused(ConfigurationError, root, env)
    assert "lib (asked for by shop) is a project on this machine" in error.message
    assert "also" in error.hint
    outside = shop("alpha", folder="repo/outside")
    assert made(outside, env).source == "the wheel's metadata"


def test_requirements_with_hashes(index, shop, env) -> None:
    lines = [
        index.add("alpha", requires=["beta", "pyspark"]),
        index.add("beta", "1.0"),
        index.add("pyspark", "3.5", requires=["py4j"]),
        index.add("py4j"),
    ]
    index.add("beta", "2.0")
    root = shop("alpha")
    text = "".join(line.replace(" --hash", " \\\n    --hash") + "  # locked\n" for line in lines)
    (root / "requirements.txt").write_text(f"-e .\n{text}", encoding="utf-8")
    found = made(root, env)
    assert found.packages == (("alpha", "1.0"), ("beta", "1.0"))
    assert found.source == "requirements.txt"


def test_a_wrong_hash(index, shop, env) -> None:
    alpha = index.add("alpha")
    root = shop("alpha")
    (root / "requirements.txt").write_text(f"# locked\n\n{alpha[:-64]}{'0' * 64}\n", encoding="utf-8")
    error = refused(PackagingError, root, env)
    assert "alpha==1.0 (requirements.txt:3)" in error.message
    assert "0" * 64 in error.detail
    assert "another file" in error.hint


def test_hashes_must_be_complete(index, shop, env) -> None:
    alpha = index.add("alpha", requires=["beta"])
    index.add("beta")
    index.add("gamma")
    root = shop("alpha")
    (root / "requirements.txt").write_text(f"{alpha}\n", encoding="utf-8")
    error = refused(PackagingError, root, env)
    assert "beta" in error.detail
    assert "--generate-hashes" in error.hint
    index.add("alpha")
    shop("alpha", "gamma")
    (root / "requirements.txt").write_text(index.add("alpha") + "\n", encoding="utf-8")
    error = refused(ConfigurationError, root, {**env, "UV_CACHE_DIR": env["UV_CACHE_DIR"] + "2"})
    assert "requirements.txt does not hold all that the wheels ask for: gamma (asked for by shop)" in error.message


def test_pinned_requirements(index, shop, env) -> None:
    for version in ("1.0", "2.0", "3.0"):
        index.add("alpha", version, requires=["beta"])
        index.add("beta", version)
        index.add("gamma", version)
    root = shop("alpha", "gamma<3")
    (root / "deps").mkdir()
    (root / "requirements.txt").write_text("-r deps/base.txt\n-e .[all]\n", encoding="utf-8")
    (root / "deps" / "base.txt").write_text("alpha==2.0\n-c limits.txt\n", encoding="utf-8")
    (root / "deps" / "limits.txt").write_text("beta<3\n", encoding="utf-8")
    found = made(root, env)
    assert found.packages == (("alpha", "2.0"), ("beta", "2.0"), ("gamma", "2.0"))
    assert found.source == "requirements.txt"
    (root / "deps" / "limits.txt").write_text("beta<2\n", encoding="utf-8")
    assert ("beta", "1.0") in made(root, env).packages


def test_options_in_requirements(index, new_index, shop, env, tmp_path: Path) -> None:
    other = new_index("other")
    other.add("alpha", requires=["beta", "gamma"])
    index.add("beta", "1.0")
    index.add("beta", "2.0")
    root = shop("alpha")
    near = root / "near"
    near.mkdir()
    index.add("gamma")
    (index.folder / "gamma-1.0-py3-none-any.whl").rename(near / "gamma-1.0-py3-none-any.whl")
    (index.folder / "limits.txt").write_text("beta<2\n", encoding="utf-8")
    lines = (f"--extra-index-url {other.url}", "-f near", f"-c http://{index.host}/files/limits.txt", "alpha==1.0")
    (root / "requirements.txt").write_text("\n".join((*lines, "-r requirements.txt")), encoding="utf-8")
    assert made(root, env).packages == (("alpha", "1.0"), ("beta", "1.0"), ("gamma", "1.0"))


def test_requirements_that_are_no_lock(index, shop, env) -> None:
    index.add("alpha")
    index.add("tool")
    root = shop("alpha")
    (root / "requirements.txt").write_text("alpha\ntool==1.0\n", encoding="utf-8")
    assert made(root, env).packages == (("alpha", "1.0"),)


def test_requirements_name_a_project_without_a_wheel(index, shop, env) -> None:
    shop(name="lib", folder="lib")
    index.add("alpha")
    root = shop("alpha")
    (root / "requirements.txt").write_text("alpha==1.0\n-e ../lib\n", encoding="utf-8")
    error = refused(ConfigurationError, root, env)
    assert error.message.startswith("requirements.txt:2 names the project in ../lib")
    assert made(root, env, also=("../lib",)).packages == (("alpha", "1.0"),)
    (root / "requirements.txt").write_text("alpha==1.0\n-r gone.txt\n", encoding="utf-8")
    assert "requirements.txt:2 includes gone.txt" in refused(ConfigurationError, root, env).message


# --- what cannot be ---


def test_a_conflict_of_two_projects(index, shop, env) -> None:
    index.add("alpha", "1.0")
    index.add("alpha", "2.0")
    shop("alpha<2", name="lib", folder="lib")
    error = refused(PackagingError, shop("alpha>=2"), env, also=("../lib",))
    assert error.message == (
        "uv cannot bundle the dependencies for Python 3.11 on x86_64-manylinux_2_28: "
        "alpha>=2 (asked for by shop), alpha<2 (asked for by lib)"
    )
    assert "alpha>=2" in error.detail
    assert "alpha<2" in error.detail


def test_a_conflict_of_what_is_asked_for_indirectly(index, shop, env) -> None:
    index.add("alpha", requires=["beta<1"])
    index.add("beta", "1.0")
    root = shop("alpha")
    (root / "requirements.txt").write_text("# pins\nalpha==1.0\n", encoding="utf-8")
    error = refused(PackagingError, root, env)
    assert "alpha==1.0 (requirements.txt:2)" in error.message
    assert "beta<1" in error.detail


@pytest.mark.parametrize("source", ["metadata", "requirements", "lock"])
@pytest.mark.parametrize("has", ["source alone", "another system", "another Python"])
def test_a_missing_wheel(source: str, has: str, index, shop, env) -> None:
    if has == "source alone":
        index.add_source("native")
    else:
        tag = {"another system": "cp311-cp311-macosx_11_0_arm64", "another Python": "cp310-cp310-manylinux1_x86_64"}
        index.add("native", tag=tag[has])
    root = shop("native")
    origin = "asked for by shop"
    if source == "requirements":
        (root / "requirements.txt").write_text("native==1.0\n", encoding="utf-8")
        origin = "requirements.txt:1"
    elif source == "lock":
        uv(env, root, "lock")
    error = refused(PackagingError, root, env)
    assert f"({origin})" in error.message
    assert "native" in error.detail
    assert "has a wheel for the target" in error.hint


def test_a_package_that_is_not_there(shop, env) -> None:
    error = refused(PackagingError, shop("alhpa"), env)
    assert "alhpa (asked for by shop)" in error.message
    assert "was not found in" in error.detail
    assert "Correct the name" in error.hint


def test_packages_for_another_python(index, shop, env) -> None:
    index.add("alpha", python=">=3.12")
    error = refused(PackagingError, shop("alpha"), env)
    assert "alpha (asked for by shop)" in error.message
    assert "target's Python" in error.hint


@pytest.mark.parametrize("minor", [sys.version_info[1] - 1, sys.version_info[1] + 1])
def test_a_lock_for_another_python_than_this_one(minor: int, index, shop, env) -> None:
    index.add("alpha")
    root, python = shop("alpha"), f">=3.{minor},<3.{minor + 1}"
    text = (root / "pyproject.toml").read_text(encoding="utf-8").replace(">=3.9", python)
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    # uv locks with a Python of that version; a lock that is there is only read.
    (root / "uv.lock").write_text(
        LOCK.format(python=python, url=index.url, sha256=index.sha256(WHEEL)), encoding="utf-8"
    )
    found = made(root, env, Platform(f"3.{minor}"))
    assert (found.source, found.packages) == ("uv.lock", (("alpha", "1.0"),))
    error = refused(ConfigurationError, root, env, Platform(f"3.{sys.version_info[1]}"))
    assert f"the target has 3.{sys.version_info[1]}" in error.message


def test_a_platform_that_uv_does_not_know(index, shop, env) -> None:
    index.add("alpha")
    error = refused(PackagingError, shop("alpha"), env, Platform("3.11", "vax"))
    assert "vax" in error.message
    assert "possible values" in error.detail


def test_no_uv(index, shop, env, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    error = refused(ConfigurationError, shop("alpha"), {**env, "PATH": ""})
    assert "neither on PATH nor installed beside wheelrun" in error.message
    assert "wheelrun[bundle]" in error.hint


def test_where_uv_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "uv"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    assert find_uv({"PATH": str(tmp_path)}) == str(program)
    import uv as package

    assert find_uv({"PATH": ""}) == package.find_uv_bin()

    def none() -> str:
        raise FileNotFoundError("uv")

    monkeypatch.setattr(package, "find_uv_bin", none)
    with pytest.raises(ConfigurationError, match="neither on PATH"):
        find_uv({"PATH": ""})


def test_offline(shop, env) -> None:
    error = refused(PackagingError, shop("alpha"), {**env, "UV_OFFLINE": "1"})
    assert "network was disabled" in error.detail
    assert "offline" in error.hint


def test_an_index_that_is_not_there(index, shop, env) -> None:
    index.close()
    error = refused(PackagingError, shop("alpha"), env)
    assert "alpha (asked for by shop)" in error.message
    assert index.host in error.detail
    assert "cannot reach the index" in error.hint


def test_an_index_that_does_not_answer(index, shop, env, tmp_path: Path) -> None:
    index.answers.clear()
    error = refused(PackagingError, shop("alpha"), env, timeout=1.5)
    assert "took longer than 1.5 seconds" in error.message
    assert list((tmp_path / "cache" / "tmp").iterdir()) == []


# --- private indexes ---

LOGGING_UV = """#!{python}
import os, sys
with open({log!r}, "a", encoding="utf-8") as log:
    print(sys.argv[1:], file=log)
os.execv({uv!r}, [{uv!r}, *sys.argv[1:]])
"""


@pytest.fixture
def private(new_index: Callable[..., Any], env: dict[str, str], tmp_path: Path) -> Any:
    """An index that asks for credentials, and a uv that notes its arguments."""
    found = find_uv(env)
    tools = tmp_path / "tools"
    tools.mkdir()
    text = LOGGING_UV.format(python=sys.executable, uv=found, log=str(tmp_path / "argv.log"))
    (tools / "uv").write_text(text, encoding="utf-8")
    (tools / "uv").chmod(0o755)
    env["PATH"] = f"{tools}{os.pathsep}{env['PATH']}"
    return new_index("private", f"reader:{PASSWORD}")


def by_address(private: Any) -> dict[str, str]:
    return {"UV_DEFAULT_INDEX": f"http://reader:{PASSWORD}@{private.host}/simple"}


def by_variables(private: Any) -> dict[str, str]:
    return {
        "UV_DEFAULT_INDEX": f"own={private.url}",
        "UV_INDEX_OWN_USERNAME": "reader",
        "UV_INDEX_OWN_PASSWORD": PASSWORD,
    }


@pytest.mark.parametrize("how", [by_address, by_variables])
@pytest.mark.parametrize("locked", [False, True])
def test_credentials_in_the_environment(how: Callable[..., dict[str, str]], locked: bool, private, shop, env, tmp_path):
    private.add("alpha", requires=["beta"])
    private.add("beta")
    root, given = shop("alpha"), env | how(private)
    if locked:
        uv(given, root, "lock")
    found = made(root, given)
    assert found.packages == (("alpha", "1.0"), ("beta", "1.0"))
    # Another password for the same index makes no other bundle.
    changed = {name: value.replace(PASSWORD, "changed-password") for name, value in given.items()}
    assert made(root, changed).cached
    error = refused(PackagingError, shop("alpha", "nothere"), given) if not locked else None
    assert error is None or PASSWORD not in f"{error.message} {error.hint} {error.detail}"
    log = (tmp_path / "argv.log").read_text(encoding="utf-8")
    assert "--target" in log
    assert private.host not in log
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]


def test_credentials_in_a_netrc(private, shop, env) -> None:
    private.add("alpha")
    netrc = Path(env["HOME"], ".netrc")
    netrc.write_text(f"machine 127.0.0.1\nlogin reader\npassword {PASSWORD}\n", encoding="utf-8")
    netrc.chmod(0o600)
    root = shop("alpha", more=f'[[tool.uv.index]]\nname = "own"\nurl = "{private.url}"\ndefault = true\n')
    del env["UV_DEFAULT_INDEX"]
    assert made(root, env).packages == (("alpha", "1.0"),)


def test_wrong_credentials(private, shop, env) -> None:
    private.add("alpha")
    wrong = {**env, "UV_DEFAULT_INDEX": f"http://reader:not-{PASSWORD}@{private.host}/simple"}
    error = refused(PackagingError, shop("alpha"), wrong)
    assert "401 Unauthorized" in error.detail
    assert "credentials" in error.hint
    assert PASSWORD not in f"{error.message} {error.detail}"


def test_an_index_in_a_file_of_the_project(new_index, shop, env) -> None:
    own = new_index("own")
    own.add("alpha", "9.0")
    del env["UV_DEFAULT_INDEX"]
    root = shop("alpha")
    (root / "uv.toml").write_text(f'[[index]]\nurl = "{own.url}"\ndefault = true\n', encoding="utf-8")
    assert made(root, env).packages == (("alpha", "9.0"),)


def test_a_token_in_a_requirement_is_masked(index, shop, env) -> None:
    root = shop(f"alpha @ http://reader:{PASSWORD}@{index.host}/files/alpha-1.0-py3-none-any.whl")
    error = refused(PackagingError, root, env)
    assert "http://****@127.0.0.1" in error.message
    assert PASSWORD not in f"{error.message} {error.detail}"


def test_what_is_masked() -> None:
    environ = {
        "UV_INDEX_OWN_PASSWORD": "one-secret",
        "UV_DEFAULT_INDEX": "https://user:two%2Fsecret@host/simple",
        "HTTPS_PROXY": "http://three-secret@proxy:3128",
        "UV_INDEX_SHORT_PASSWORD": "abc",
    }
    text = "one-secret two%2Fsecret two/secret three-secret https://me:any@host/x ssh://git@host abc"
    assert masked(text, environ) == "**** **** **** **** https://****@host/x ssh://****@host abc"


# --- the cache ---


def test_a_bundle_is_made_once(index, shop, env, tmp_path: Path) -> None:
    index.add("alpha", "1.0")
    root = shop("alpha")
    first = made(root, env)
    # Other code, a newer release, no uv and no index: the same requirements still give the same bundle.
    (root / "shop.py").write_text("X = 2\n", encoding="utf-8")
    index.add("alpha", "2.0")
    index.close()
    again = made(root, {**env, "PATH": ""})
    assert again.cached
    assert (again.path, again.digest, again.packages) == (first.path, first.digest, first.packages)
    (entry,) = WheelCache(tmp_path / "cache").entries()
    assert (entry.kind, entry.file, entry.size) == ("bundles", first.path.name, first.size)
    assert WheelCache(tmp_path / "cache").prune(everything=True) == [entry]
    assert not first.path.exists()


def test_what_makes_another_bundle(index, new_index, shop, env) -> None:
    index.add("alpha", "1.0")
    index.add("alpha", "2.0")
    other = new_index("other")
    other.add("alpha", "3.0")
    paths = {made(shop("alpha"), env).path, made(shop("alpha"), env, Platform("3.12")).path}
    paths.add(made(shop("alpha<2"), env).path)
    paths.add(made(shop("alpha", more='[tool.uv]\nconstraint-dependencies = ["alpha<2"]\n'), env).path)
    paths.add(made(shop("alpha"), {**env, "UV_DEFAULT_INDEX": other.url}).path)
    user = Path(env["HOME"], ".config", "uv")
    user.mkdir(parents=True)
    (user / "uv.toml").write_text('prerelease = "allow"\n', encoding="utf-8")
    paths.add(made(shop("alpha"), env).path)
    (user / "own.toml").write_text('prerelease = "disallow"\n', encoding="utf-8")
    paths.add(made(shop("alpha"), {**env, "UV_CONFIG_FILE": str(user / "own.toml")}).path)
    assert len(paths) == 7


@pytest.mark.parametrize("damage", ["truncated", "changed", "no archive", "no meta", "bad meta", "wrong meta"])
def test_a_damaged_bundle_is_made_again(damage: str, index, shop, env) -> None:
    index.add("alpha")
    root = shop("alpha")
    first = made(root, env)
    data, meta = bytearray(first.path.read_bytes()), first.path.parent / "meta.json"
    if damage == "truncated":
        first.path.write_bytes(data[:-9])
    elif damage == "changed":
        data[50] ^= 1
        first.path.write_bytes(data)
    elif damage == "no archive":
        first.path.unlink()
    elif damage == "no meta":
        meta.unlink()
    else:
        meta.write_text({"bad meta": "{", "wrong meta": '{"size": 1, "bundle": "../x"}'}[damage], encoding="utf-8")
    again = made(root, env)
    assert not again.cached
    assert again.digest == first.digest == hashlib.sha256(again.path.read_bytes()).hexdigest()
    assert made(root, env).cached


WORKER = """
import os, sys
from pathlib import Path
from wheelrun.packaging.builder import build
from wheelrun.packaging.bundle import Platform, make_bundle
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.project import load_project
project, cache = load_project(Path(sys.argv[1])), Path(sys.argv[2])
wheel = build(project, WheelCache(cache)).wheel
sys.stdin.readline()
bundle = make_bundle(project, [wheel], cache, Platform("3.11"), environ=os.environ)
print(bundle.cached, bundle.digest)
"""


def test_ten_processes_make_it_once(index, shop, env, tmp_path: Path) -> None:
    index.add("alpha", requires=["beta"])
    index.add("beta", files={f"beta/m{number}.py": "x = 1\n" * 500 for number in range(200)})
    argv = [sys.executable, "-c", WORKER, str(shop("alpha")), str(tmp_path / "cache")]
    workers = [
        subprocess.Popen(
            argv, env={**env, "PYTHONPATH": str(CHECKOUT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(10)
    ]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    outcomes = [worker.communicate()[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 10
    assert sorted(cached for cached, _ in outcomes) == ["False"] + ["True"] * 9
    assert len({digest for _, digest in outcomes}) == 1
    assert list((tmp_path / "cache" / "tmp").iterdir()) == []


def test_a_cache_that_cannot_be_written(index, shop, env, tmp_path: Path) -> None:
    index.add("alpha")
    (tmp_path / "file").write_text("", encoding="utf-8")
    error = refused(PackagingError, shop("alpha"), env, cache=tmp_path / "file" / "cache")
    assert "cannot be written" in error.message
    assert "WHEELRUN_CACHE_DIR" in error.hint
