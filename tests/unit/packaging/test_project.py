from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from wheelrun.errors import ConfigurationError
from wheelrun.packaging.project import (
    LEGACY_BACKEND,
    MARKERS,
    Layout,
    PackageSettings,
    distribution_name,
    find_root,
    load_project,
)


def put(root: Path, *names: str, **texts: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, text in texts.items():
        root.mkdir(parents=True, exist_ok=True)
        (root / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return root


class TestName:
    @pytest.mark.parametrize(
        ("name", "distribution"),
        [
            ("My Repo (v1.2)", "my_repo_v1_2"),
            ("a--b..c__d", "a_b_c_d"),
            ("Ünï.Code", "uni_code"),
            ("---", "project"),
            ("数据", "project"),
            ("", "project"),
            ("x" * 100, "x" * 100),
        ],
    )
    def test_examples(self, name: str, distribution: str) -> None:
        assert distribution_name(name) == distribution

    def test_two_long_names_stay_two(self) -> None:
        first, second = (distribution_name("x" * 120 + end) for end in "ab")
        assert first != second
        assert len(first) == len(second) == 100

    @given(st.text(max_size=150))
    def test_is_always_a_normalised_name(self, name: str) -> None:
        distribution = distribution_name(name)
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", distribution)
        assert len(distribution) <= 100
        assert canonicalize_name(distribution, validate=True).replace("-", "_") == distribution

    @given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,60}[A-Za-z0-9])?", fullmatch=True))
    def test_is_what_packaging_makes_of_a_valid_name(self, name: str) -> None:
        assert distribution_name(name) == canonicalize_name(name).replace("-", "_")


class TestRoot:
    def test_given_wins(self, tmp_path: Path) -> None:
        put(tmp_path, "pyproject.toml", "plain/x.py")
        assert find_root(tmp_path / "plain", cwd=tmp_path) == (tmp_path / "plain").resolve()

    def test_given_must_be_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="is not a folder"):
            find_root(tmp_path / "gone")

    @pytest.mark.parametrize("marker", MARKERS)
    def test_the_nearest_marker(self, tmp_path: Path, marker: str) -> None:
        put(tmp_path, "setup.py", f"inner/{marker}", "inner/a/b/x.py")
        assert find_root(cwd=tmp_path / "inner/a/b") == (tmp_path / "inner").resolve()

    def test_the_main_files_parent_comes_last(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        put(tmp_path, "work/x.py", "jobs/main.py")
        main = tmp_path / "jobs/main.py"
        assert find_root(cwd=tmp_path / "work", main_file=main) == main.parent.resolve()
        with pytest.raises(ConfigurationError, match="no project found") as caught:
            find_root(cwd=tmp_path / "work")
        assert "--project" in str(caught.value.hint)

    def test_a_marked_home_is_no_project_of_its_children(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        put(tmp_path, ".git/HEAD", "work/x.py")
        with pytest.raises(ConfigurationError):
            find_root(cwd=tmp_path / "work")
        assert find_root(cwd=tmp_path) == tmp_path.resolve()


class TestLayout:
    def test_flat(self, tmp_path: Path) -> None:
        project = load_project(put(tmp_path / "My Repo", "pkg/__init__.py"))
        assert (project.layout, project.backend) == (Layout.FLAT, None)
        assert (project.name, project.version) == ("My Repo", "0.0.0")
        assert project.import_roots == (project.root,)

    def test_src(self, tmp_path: Path) -> None:
        project = load_project(put(tmp_path, "src/name/space/mod.py"))
        assert project.layout is Layout.SRC
        assert project.import_roots == (project.root / "src",)

    @pytest.mark.parametrize(
        "names",
        [
            ("src/__init__.py", "src/mod.py"),
            ("src/data.csv", "mod.py"),
            ("src/.venv/pyvenv.cfg", "src/.venv/x.py", "mod.py"),
            ("src/env/pyvenv.cfg", "src/env/x.py", "mod.py"),
        ],
    )
    def test_a_src_that_is_none(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        assert load_project(put(tmp_path, *names)).layout is Layout.FLAT

    def test_a_src_that_is_imported_by_that_name_is_a_package(self, tmp_path: Path) -> None:
        put(tmp_path, "src/mod.py", main__py="import os\nfrom src.mod import run\n")
        assert load_project(tmp_path).layout is Layout.FLAT

    @pytest.mark.parametrize(
        ("file", "text", "backend"),
        [
            ("setup__py", "", LEGACY_BACKEND),
            ("setup__cfg", "[metadata]\nname = x\n", LEGACY_BACKEND),
            ("setup__cfg", "[options]\npackages = find:\n", LEGACY_BACKEND),
            ("pyproject__toml", "[build-system]\nrequires = ['setuptools']\n", LEGACY_BACKEND),
            ("pyproject__toml", "[build-system]\nbuild-backend = 'hatchling.build'\n", "hatchling.build"),
        ],
    )
    def test_a_project_that_builds_itself(self, tmp_path: Path, file: str, text: str, backend: str) -> None:
        project = load_project(put(tmp_path, **{file: text}))
        assert (project.layout, project.backend) == (Layout.BACKEND, backend)

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("setup__cfg", "[flake8]\nmax-line-length = 100\n"),
            ("pyproject__toml", "[tool.ruff]\nline-length = 100\n"),
            ("pyproject__toml", "[project]\nname = 'x'\nversion = '1'\n"),
            ("pyproject__toml", "[tool.poetry]\npackage-mode = false\n[build-system]\nbuild-backend = 'p'\n"),
        ],
    )
    def test_a_project_that_does_not(self, tmp_path: Path, file: str, text: str) -> None:
        assert load_project(put(tmp_path, **{file: text})).layout is Layout.FLAT

    def test_include_cannot_be_honoured_by_a_backend(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="include cannot be honoured"):
            load_project(put(tmp_path, "setup.py"), PackageSettings(include=("data",)))

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="is not a folder"):
            load_project(tmp_path / "gone")


class TestDeclared:
    def test_project_table(self, tmp_path: Path) -> None:
        put(
            tmp_path,
            requirements__txt="ignored\n",
            pyproject__toml="""
[project]
name = "My.Jobs"
version = "1.2"
requires-python = ">=3.10"
dependencies = ["pyspark>=3.5", "pandas>=2 ; python_version < '3.13'"]
optional-dependencies.plot = ["matplotlib"]
scripts.jobs = "jobs.cli:main"
entry-points."spark.readers".csv = "jobs.csv:Reader"
""",
        )
        project = load_project(tmp_path)
        assert project.name == "My.Jobs"
        assert project.distribution == "my_jobs"
        assert project.version == "1.2"
        assert project.requires_python == ">=3.10"
        assert project.dependencies == ("pyspark>=3.5", "pandas>=2 ; python_version < '3.13'")
        assert project.optional_dependencies == (("plot", ("matplotlib",)),)
        assert project.entry_points == (
            ("console_scripts", ("jobs = jobs.cli:main",)),
            ("spark.readers", ("csv = jobs.csv:Reader",)),
        )
        assert project.warnings == ()

    @pytest.mark.parametrize("table", ["", "[project]\nname = 'x'\ndynamic = ['dependencies']\n"])
    def test_requirements_stand_in(self, tmp_path: Path, table: str) -> None:
        put(tmp_path, requirements__txt="pandas>=2\n--pre\n", pyproject__toml=table)
        project = load_project(tmp_path)
        assert project.dependencies == ("pandas>=2",)
        assert project.warnings == ("requirements.txt:2 is left out: --pre is for pip on this machine",)

    def test_setup_cfg(self, tmp_path: Path) -> None:
        put(
            tmp_path,
            setup__cfg="""
[metadata]
name = jobs
version = attr: jobs.__version__
[options]
python_requires = >=3.9
install_requires =
    pandas>=2  # why
    requests
[options.extras_require]
plot = matplotlib
""",
        )
        project = load_project(tmp_path)
        assert (project.name, project.version) == ("jobs", "0.0.0")
        assert project.requires_python == ">=3.9"
        assert project.dependencies == ("pandas>=2", "requests")
        assert project.optional_dependencies == (("plot", ("matplotlib",)),)

    def test_poetry_says_how_it_is_built(self, tmp_path: Path) -> None:
        table = "[tool.poetry]\nname = 'jobs'\nversion = '2.0'\n"
        with pytest.raises(ConfigurationError, match=r"no \[build-system\]") as caught:
            load_project(put(tmp_path, pyproject__toml=table))
        assert "poetry.core.masonry.api" in str(caught.value.hint)
        table += "[build-system]\nbuild-backend = 'poetry.core.masonry.api'\n"
        project = load_project(put(tmp_path, pyproject__toml=table))
        assert (project.name, project.version) == ("jobs", "2.0")

    def test_what_is_not_read_is_a_warning(self, tmp_path: Path) -> None:
        table = "[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\npandas = '^2'\n"
        table += "[tool.setuptools]\npackages = ['x']\n"
        warnings = load_project(put(tmp_path, pyproject__toml=table)).warnings
        assert [warning.split()[0] for warning in warnings] == [
            "[tool.poetry.dependencies]",
            "[tool.setuptools]",
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[project]\nname = \n", r"pyproject.toml:2 is not valid TOML"),
            ("[project]\nname = 3\n", r"project.name is 3, not a string"),
            (
                "[project]\ndependencies = 'pandas'\n",
                r"project.dependencies is 'pandas', not a list of strings",
            ),
            ("project = 3\n", r"project is 3, not a table"),
        ],
    )
    def test_a_wrong_pyproject_names_the_place(self, tmp_path: Path, text: str, message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            load_project(put(tmp_path, pyproject__toml=text))

    def test_a_pyproject_that_is_not_text(self, tmp_path: Path) -> None:
        (tmp_path / "pyproject.toml").write_bytes(b"# \xff\n")
        with pytest.raises(ConfigurationError, match="not UTF-8"):
            load_project(tmp_path)

    def test_a_wrong_setup_cfg_names_the_place(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"setup.cfg:1 is not valid"):
            load_project(put(tmp_path, setup__cfg="name = x\n"))
