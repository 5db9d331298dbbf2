"""Sample repositories, from the tree to what a cluster imports.

`tests/repos/` holds one folder for each, and beside it a TOML file that says what it is a sample of and what is
expected of it:

    about           what it is a sample of
    project         the project's folder below the copy, if it is not the copy itself
    made            what git cannot hold, or should not: path, and its text in pieces
    links           the same for links: path, and target; ROOT: the copy
    backend         the project's own build backend
    needs           a program without which the sample cannot be built
    wheel           distribution and base version
    files           all that the wheel holds but its METADATA, WHEEL, RECORD, entry_points.txt and top_level.txt;
                    a star at the end: executable; VERSION: the stamped one; EXT_SUFFIX: this Python's
    requires        METADATA's Requires-Dist, in order
    entry_points    the text of entry_points.txt, if there is more in it than wheelrun's own
    warnings        all of them
    excluded        what is left out and the rule that did it; all of it, if it is given
    also            the same facts for each sibling's wheel
    check           a script that imports the code and reads its data, as it would on a cluster
    roots           where the code stands locally, relative to the project, if not at the project's import roots
    local           false if the check cannot run on the tree as it is

    error           for a defect: the error's class, and parts of its message (says), hint and detail
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from dataclasses import dataclass, field
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from wheelrun import errors
from wheelrun.client.building import Workspace
from wheelrun.packaging import builder
from wheelrun.packaging.builder import BuildResult
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.project import Project
from wheelrun.packaging.wheel import Wheel, verify_record

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPOS = Path(__file__).parent.parent / "repos"
EXIT_CODES = {"ConfigurationError": 3, "PackagingError": 5, "SecretError": 5, "SizeError": 5, "BuildError": 5}
OWN_ENTRY_POINT = "[console_scripts]\nwheelrun-entrypoint = wheelrun.runtime.entrypoint:main\n"
WRITTEN = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a TOML file says; see above."""

    name: str
    about: str
    project: str = "."
    made: dict[str, list[str]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    backend: str | None = None
    needs: str = ""
    wheel: str = ""
    files: list[str] = field(default_factory=list)
    requires: list[str] = field(default_factory=list)
    entry_points: str = OWN_ENTRY_POINT
    warnings: list[str] = field(default_factory=list)
    excluded: dict[str, str] | None = None
    also: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    check: str = ""
    roots: list[str] = field(default_factory=list)
    local: bool = True
    error: str = ""
    says: list[str] = field(default_factory=list)
    hint: list[str] = field(default_factory=list)
    detail: list[str] = field(default_factory=list)


def read_sample(path: Path) -> Sample:
    return Sample(name=path.stem, **tomllib.loads(path.read_text(encoding="utf-8")))


def name_of(sample: Sample) -> str:
    return sample.name


SAMPLES = [read_sample(path) for path in sorted(REPOS.glob("*.toml"))]
GOOD = [sample for sample in SAMPLES if not sample.error]
BACKENDS = [sample for sample in GOOD if sample.backend]
DEFECTS = [sample for sample in SAMPLES if sample.error]


def copy_of(sample: Sample, parent: Path) -> Path:
    """Copy a sample below `parent` and return the project's folder."""
    root = parent / sample.name
    if (REPOS / sample.name).is_dir():
        shutil.copytree(REPOS / sample.name, root)
    else:
        root.mkdir(parents=True)
    for name, pieces in sample.made.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(pieces), encoding="utf-8")
    for name, target in sample.links.items():
        (root / name).symlink_to(target.replace("ROOT", str(root)))
    return (root / sample.project).resolve()


def content_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return all that is in a folder: path -> mode and content, or a link's target."""
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mode,
            str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """Where builds happen: an own temporary folder, which must be empty after each."""

    folder: Path

    def load(self, project: Path) -> Project:
        environ = {"WHEELRUN_HOME": str(self.folder / "home"), "WHEELRUN_CONFIG_DIR": str(self.folder / "config")}
        return Workspace(project, cwd=project, environ=environ).project

    def build(self, project: Path, cache: str = "cache", *, isolated: bool = False) -> BuildResult:
        temporary = self.folder / "temporary"
        temporary.mkdir(exist_ok=True)
        before = content_of(project)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(temporary))
            patch.setattr(tempfile, "tempdir", None)
            patch.delenv("SOURCE_DATE_EPOCH", raising=False)
            try:
                return builder.build(self.load(project), self.cache(cache), isolated=isolated)
            finally:
                assert list(temporary.iterdir()) == []
                assert content_of(project) == before

    def cache(self, name: str = "cache") -> WheelCache:
        return WheelCache(self.folder / name)


@dataclass(frozen=True, kw_only=True)
class Built:
    """A sample, its copy, what was found there and what was built of it."""

    sample: Sample
    project: Path
    found: Project
    result: BuildResult
    workshop: Workshop


@pytest.fixture(scope="module")
def shelf() -> dict[str, Built]:
    """What was built, so that each sample is built once."""
    return {}


@pytest.fixture(params=GOOD, ids=name_of)
def built(request: pytest.FixtureRequest, shelf: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> Built:
    sample: Sample = request.param
    if sample.needs and shutil.which(sample.needs) is None:
        pytest.skip(f"there is no {sample.needs}")
    if sample.name not in shelf:
        workshop = Workshop(folder=tmp_path_factory.mktemp("workshop"))
        project = copy_of(sample, workshop.folder / "repo")
        found, result = workshop.load(project), workshop.build(project)
        shelf[sample.name] = Built(sample=sample, project=project, found=found, result=result, workshop=workshop)
    return shelf[sample.name]


def names_and_modes(path: Path, version: str) -> list[str]:
    """Return a wheel's names as `files` lists them."""
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    names = []
    for info in infos:
        folder, _, name = info.filename.rpartition("/")
        if folder.endswith(".dist-info") and name in WRITTEN:
            continue
        shown = info.filename.replace(f"-{version}.", "-VERSION.", 1).replace(suffix, ".EXT_SUFFIX")
        names.append(shown + ("*" if (info.external_attr >> 16) & 0o111 else ""))
    return sorted(names)


def metadata_of(wheel: Wheel, name: str = "METADATA") -> bytes:
    with zipfile.ZipFile(wheel.path) as archive:
        return archive.read(f"{wheel.name}-{wheel.version}.dist-info/{name}")


def requires_of(wheel: Wheel) -> list[Requirement]:
    return requirements(message_from_bytes(metadata_of(wheel)).get_all("Requires-Dist") or [])


def requirements(texts: list[str]) -> list[Requirement]:
    """Parse, since how a requirement is spelled changes with the versions of backends."""
    return [Requirement(text) for text in texts]


def assert_stamped(wheel: Wheel, expected: str) -> None:
    assert f"{wheel.name}-{wheel.version}" == f"{expected}+w{wheel.digest[:12]}"
    assert wheel.path.name.startswith(f"{expected}+w")
    metadata = message_from_bytes(metadata_of(wheel))
    assert metadata["Version"] == wheel.version
    assert re.sub("[-_.]+", "_", metadata["Name"]).lower() == wheel.name


class TestEach:
    def test_holds_what_is_expected(self, built: Built) -> None:
        result, sample = built.result, built.sample
        assert built.found.backend == sample.backend
        assert names_and_modes(result.wheel.path, result.wheel.version) == sorted(sample.files)
        assert list(result.shipped) == [name for name in verify_record(result.wheel.path) if ".dist-info/" not in name]
        assert_stamped(result.wheel, sample.wheel)
        assert [*result.warnings] == sample.warnings
        if sample.excluded is not None:
            assert {item.path: item.rule for item in result.excluded} == sample.excluded
        assert [f"{wheel.name}-{wheel.version.partition('+')[0]}" for wheel in result.also] == [*sample.also]
        for wheel, (name, facts) in zip(result.also, sample.also.items(), strict=True):
            assert names_and_modes(wheel.path, wheel.version) == facts["files"]
            assert requires_of(wheel) == requirements(facts.get("requires", []))
            assert_stamped(wheel, name)

    def test_declares_what_is_expected(self, built: Built) -> None:
        wheel = built.result.wheel
        assert requires_of(wheel) == requirements(built.sample.requires)
        assert metadata_of(wheel, "entry_points.txt").decode() == built.sample.entry_points.lstrip()

    def test_is_built_once(self, built: Built) -> None:
        again = built.workshop.build(built.project)
        assert again.cached
        assert (again.wheel, again.also) == (built.result.wheel, built.result.also)
        assert (again.shipped, again.warnings) == (built.result.shipped, built.result.warnings)

    def test_is_the_same_bytes_from_another_place_on_another_day(self, built: Built, tmp_path: Path) -> None:
        project = copy_of(built.sample, tmp_path / "quite another place")
        for path in (tmp_path / "quite another place").rglob("*"):
            if not path.is_symlink():
                os.utime(path, (2_000_000_000, 2_000_000_000))
                path.chmod(path.stat().st_mode | 0o060)
        umask = os.umask(0o077)
        try:
            other = Workshop(folder=tmp_path).build(project)
        finally:
            os.umask(umask)
        assert not other.cached
        for one, two in zip((built.result.wheel, *built.result.also), (other.wheel, *other.also), strict=True):
            assert one.path.name == two.path.name
            assert one.path.read_bytes() == two.path.read_bytes()

    @pytest.mark.parametrize("built", BACKENDS, indirect=True, ids=name_of)
    def test_holds_what_its_own_backend_ships(self, built: Built, tmp_path: Path) -> None:
        project = copy_of(built.sample, tmp_path / "copy")
        if not any((project / name).is_file() for name in ("pyproject.toml", "setup.py")):
            (project / "setup.py").write_text("import setuptools; setuptools.setup()", encoding="utf-8")
        argv = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(project)]
        environ = {**os.environ, "CPPFLAGS": f"-fdebug-prefix-map={project}=."}
        subprocess.run(argv, check=True, capture_output=True, cwd=tmp_path, env=environ)
        (path,) = tmp_path.glob("*.whl")
        version = path.name.split("-")[1]
        wheel = built.result.wheel
        assert path.name.replace(f"-{version}-", "-VERSION-") == wheel.path.name.replace(
            f"-{wheel.version}-", "-VERSION-"
        )
        assert contents(path, version) == contents(wheel.path, wheel.version)


def contents(path: Path, version: str) -> dict[str, bytes]:
    """Return a wheel's files outside its dist-info."""
    with zipfile.ZipFile(path) as archive:
        return {
            name.replace(f"-{version}.data/", "-VERSION.data/"): archive.read(name)
            for name in archive.namelist()
            if ".dist-info/" not in name and not name.endswith("/")
        }


class TestRun:
    """The check of each sample, by a Python that knows the standard library and the given folders alone."""

    @pytest.mark.parametrize("built", [sample for sample in GOOD if sample.local], indirect=True, ids=name_of)
    def test_the_tree_imports_and_reads_its_data(self, built: Built) -> None:
        roots = [built.project / root for root in built.sample.roots] or list(built.found.import_roots)
        check(built.sample, roots, built.workshop.folder)

    def test_the_installed_wheel_does_the_same(self, built: Built, tmp_path: Path) -> None:
        target = tmp_path / "installed"
        install([built.result.wheel, *built.result.also], target)
        check(built.sample, [target], tmp_path)

    def test_the_unpacked_wheel_does_the_same(self, built: Built, tmp_path: Path) -> None:
        cache = built.workshop.cache()
        check(
            built.sample,
            [cache.unpacked(wheel) for wheel in (built.result.wheel, *built.result.also)],
            tmp_path,
        )


def check(sample: Sample, roots: list[Path], folder: Path) -> None:
    assert sample.check
    path = folder / "check.py"
    path.write_text(sample.check, encoding="utf-8")
    start = f"import runpy, sys; sys.path[:0] = {[str(root) for root in roots]!r}; runpy.run_path({str(path)!r})"
    argv = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-W", "error", "-c", start]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr


def install(wheels: list[Wheel], target: Path) -> None:
    """Install with uv, which takes a tenth of pip's time, or with pip."""
    try:
        from uv import find_uv_bin

        installer = [find_uv_bin(), "pip", "install", "--offline", "--python", sys.executable]
    except ImportError:
        installer = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
    argv = [*installer, "--no-deps", "--no-index", "--target", str(target), *(str(wheel.path) for wheel in wheels)]
    environ = {**os.environ, "UV_CACHE_DIR": str(target.parent / "uv"), "UV_NO_CONFIG": "1"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environ, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(folder=tmp_path)


@pytest.mark.parametrize("sample", DEFECTS, ids=name_of)
def test_a_defect_is_told(sample: Sample, workshop: Workshop) -> None:
    project = copy_of(sample, workshop.folder / "repo")
    with pytest.raises(errors.WheelrunError) as caught:
        workshop.build(project)
    error = caught.value
    assert type(error).__name__ == sample.error
    assert error.exit_code == EXIT_CODES[sample.error]
    assert_in(sample.says, error.message)
    assert_in(sample.hint, error.hint)
    assert_in(sample.detail, error.detail)
    assert "Traceback" not in error.message
    root = workshop.folder / "cache"
    assert [path for path in root.rglob("*") if path.is_file() or path.parent.name == "tmp"] == []


def assert_in(parts: list[str], text: Any) -> None:
    for part in parts:
        assert part in (text or "")


def test_a_secret_is_not_repeated(workshop: Workshop) -> None:
    sample = next(sample for sample in DEFECTS if sample.name == "secret")
    with pytest.raises(errors.SecretError) as caught:
        workshop.build(copy_of(sample, workshop.folder / "repo"))
    said = f"{caught.value.message}{caught.value.hint}{caught.value.detail}"
    assert "6c1f0e9a8b7d5c3e" not in said
    assert "k3Jf9sPq27xLmT8v" not in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flit-core", "hatchling"])
def test_a_backend_in_an_environment_of_its_own(name: str, workshop: Workshop) -> None:
    """This one asks the index for the backend."""
    sample = next(sample for sample in GOOD if sample.name == name)
    result = workshop.build(copy_of(sample, workshop.folder / "repo"), isolated=True)
    assert names_and_modes(result.wheel.path, result.wheel.version) == sorted(sample.files)
    assert_stamped(result.wheel, sample.wheel)


def test_each_folder_has_its_expectations() -> None:
    folders = {path.name for path in REPOS.iterdir() if path.is_dir()}
    assert folders <= {sample.name for sample in SAMPLES}
    assert len(folders) >= 18
