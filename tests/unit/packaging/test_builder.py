from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from wheelrun.errors import BuildError, ConfigurationError, PackagingError, SecretError, SizeError
from wheelrun.packaging import assemble, backend, builder
from wheelrun.packaging.builder import BuildResult
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.project import PackageSettings, load_project
from wheelrun.packaging.wheel import verify_record

Build = Callable[..., BuildResult]
SECRET = "DATABASE_PASSWORD=" + "k3Jf9sPq27xLmT8v" + "\n"
#: A backend in the project itself: it needs no index, and ships what its one line says.
BACKEND = """
import pathlib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "own-2.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        for path in {files!r}:
            wheel.write(path, path.removeprefix("src/"))
        wheel.writestr("own-2.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: own\\nVersion: 2.0\\n")
        wheel.writestr("own-2.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("own-2.0.dist-info/RECORD", "")
    return name
"""


def put(root: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = root / name.replace("__", "/").replace("_py", ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def backend_project(root: Path, *files: str) -> Path:
    put(root, src__own__mod_py="x = 1\n", src__own__extra_py="", backend_py=BACKEND.format(files=files))
    table = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    (root / "pyproject.toml").write_text(table)
    return root


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def run(tmp_path: Path, temporary: Path) -> Build:
    def build(root: Path, *, settings: PackageSettings | None = None, **options: object) -> BuildResult:
        try:
            cache = WheelCache(tmp_path / "cache")
            return builder.build(load_project(root, settings or PackageSettings()), cache, isolated=False, **options)
        finally:
            assert list(temporary.iterdir()) == []

    return build


class TestGenerated:
    def test_a_wheel_with_what_ships(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "My Repo", pkg__mod_py="", pkg__sql="select 1", main_py="", README="")
        result = run(root, clock=count(5).__next__)
        assert result.cached is False
        assert result.seconds == 1
        assert result.shipped == ("main.py", "pkg/mod.py", "pkg/sql")
        assert [excluded.path for excluded in result.excluded] == ["README"]
        assert result.wheel.name == "my_repo"
        assert result.wheel.version == f"0.0.0+w{result.wheel.digest[:12]}"
        verify_record(result.wheel.path)

    def test_an_unchanged_tree_builds_nothing(
        self, tmp_path: Path, run: Build, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = put(tmp_path / "repo", mod_py="")
        first = run(root)
        monkeypatch.setattr(builder, "copy_tree", None)
        second = run(root)
        assert second.cached
        assert second.wheel == first.wheel
        assert second.shipped == first.shipped

    def test_another_tree_is_another_version(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "repo", mod_py="")
        first = run(root)
        put(root, mod_py="x = 1\n")
        assert run(root).wheel.version != first.wheel.version

    def test_a_change_while_it_is_copied_is_what_is_built(
        self, tmp_path: Path, run: Build, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = put(tmp_path / "repo", mod_py="x = 1\n")
        digest_tree = builder.digest_tree

        def change_after(tree: object) -> str:
            digest = digest_tree(tree)
            put(root, mod_py="x = 2\n")
            return digest

        with monkeypatch.context() as patch:
            patch.setattr(builder, "digest_tree", change_after)
            result = run(root)
        with zipfile.ZipFile(result.wheel.path) as archive:
            assert archive.read("mod.py") == b"x = 2\n"
        assert run(root).cached

    def test_a_secret_stops_it_each_time_until_it_is_allowed(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "repo", pkg__mod_py="")
        (root / "pkg/.env").write_text(SECRET)
        for _ in range(2):
            with pytest.raises(SecretError, match=r"pkg/\.env"):
                run(root)
        assert run(root, allow_secrets=["pkg/.env"]).shipped == ("pkg/.env", "pkg/mod.py")
        with pytest.raises(SecretError):
            run(root)
        assert run(root, settings=PackageSettings(allow_secrets=("pkg/.env",))).cached

    def test_a_secret_that_does_not_ship_stops_nothing(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "repo", pkg__mod_py="")
        (root / ".env").write_text(SECRET)
        assert run(root).shipped == ("pkg/mod.py",)

    def test_the_size_limit_counts_for_a_cached_wheel_too(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "repo", mod_py="x = 1\n" * 1000)
        run(root)
        with pytest.raises(SizeError, match=r"mod\.py"):
            run(root, settings=PackageSettings(max_size=5000))
        assert run(root, settings=PackageSettings(max_size=0)).cached

    def test_an_invalid_version(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "repo", mod_py="")
        (root / "pyproject.toml").write_text("[project]\nname = 'x'\nversion = 'first'\n")
        with pytest.raises(PackagingError, match="'first'"):
            run(root)

    def test_no_temporary_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        root = put(tmp_path / "repo", mod_py="")
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(PackagingError, match="no temporary folder"):
            builder.build(load_project(root), WheelCache(tmp_path / "cache"))


class TestAlso:
    def test_siblings_become_wheels(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "jobs", mod_py="")
        put(tmp_path / "libs/common", common_py="")
        settings = PackageSettings(also=("../libs/common",))
        first, second = run(root, settings=settings), run(root, settings=settings)
        assert [wheel.name for wheel in first.also] == ["common"]
        assert (first.cached, second.cached) == (False, True)
        put(tmp_path / "libs/common", common_py="x = 1\n")
        assert run(root, settings=settings).cached is False

    def test_a_sibling_has_its_own_settings(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "jobs", mod_py="")
        put(tmp_path / "common", mod_py="", conf__a="")
        (tmp_path / "common/wheelrun.toml").write_text("[package]\ninclude = ['conf']\nalso = ['../gone']\n")
        result = run(root, settings=PackageSettings(also=("../common",)))
        assert "conf/a" in result.also[0].files

    def test_warnings_name_the_sibling(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "jobs", mod_py="")
        put(tmp_path / "common", pkg__x_py="")
        (tmp_path / "common/pkg/link").symlink_to("gone")
        result = run(root, settings=PackageSettings(also=("../common",)))
        assert result.warnings == ("common: left out, broken link: pkg/link",)

    def test_a_sibling_that_is_not_there(self, tmp_path: Path, run: Build) -> None:
        with pytest.raises(ConfigurationError, match="which is not a folder"):
            run(put(tmp_path / "jobs", mod_py=""), settings=PackageSettings(also=("../gone",)))

    def test_two_of_one_name(self, tmp_path: Path, run: Build) -> None:
        root = put(tmp_path / "jobs", mod_py="")
        put(tmp_path / "other/jobs", mod_py="")
        with pytest.raises(ConfigurationError, match="are both called jobs"):
            run(root, settings=PackageSettings(also=("../other/jobs",)))


class TestBackend:
    def test_its_wheel_is_restamped_and_kept(self, tmp_path: Path, run: Build) -> None:
        root = backend_project(tmp_path / "repo", "src/own/mod.py")
        result = run(root)
        assert result.shipped == ("own/mod.py",)
        assert result.wheel.version == f"2.0+w{result.wheel.digest[:12]}"
        assert result.warnings == ("backend does not ship backend.py, src/own/extra.py",)
        verify_record(result.wheel.path)
        again = run(root)
        assert (again.cached, again.warnings) == (True, result.warnings)

    def test_the_guards_look_at_its_wheel(self, tmp_path: Path, run: Build) -> None:
        root = backend_project(tmp_path / "repo", "src/own/mod.py", "src/own/.env")
        (root / "src/own/.env").write_text(SECRET)
        (root / ".env").write_text(SECRET)
        with pytest.raises(SecretError) as caught:
            run(root)
        assert "src/own/.env" in caught.value.message
        assert caught.value.message.count(".env") == 1
        assert run(root, allow_secrets=["src/own/.env"]).shipped == ("own/.env", "own/mod.py")
        with pytest.raises(SizeError):
            run(root, allow_secrets=["src/own/.env"], settings=PackageSettings(max_size=10))

    def test_a_wheel_with_nothing_in_it(self, tmp_path: Path, run: Build) -> None:
        with pytest.raises(BuildError, match="nothing to import"):
            run(backend_project(tmp_path / "repo"))

    def test_a_backend_that_fails_shows_its_output(self, tmp_path: Path, run: Build) -> None:
        root = backend_project(tmp_path / "repo", "gone.py")
        with pytest.raises(BuildError, match="the build backend of repo failed") as caught:
            run(root)
        assert "gone.py" in str(caught.value.detail)

    def test_a_version_from_tags_counts(self, tmp_path: Path, run: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        root = backend_project(tmp_path / "repo", "src/own/mod.py")
        seen = []
        build_with_backend = backend.build_with_backend

        def record(*args: object, **options: object) -> Path:
            seen.append(options["scm_version"])
            return build_with_backend(*args, **options)

        monkeypatch.setattr(assemble, "build_with_backend", record)
        for tag in ("1.0", "1.1", "1.0"):
            monkeypatch.setattr(backend, "tagged_version", lambda _, tag=tag: tag)
            run(root)
        assert seen == ["1.0", "1.1"]
