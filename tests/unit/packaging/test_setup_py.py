from __future__ import annotations

import compileall
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wheelrun.packaging.project import Layout, Project
from wheelrun.packaging.setup_py import SetupSpec, parse, render, requirement_name, spec_for
from wheelrun.packaging.snapshot import Entry, Tree


def tree(*names: str, layout: Layout = Layout.FLAT, **project: object) -> Tree:
    prefix = "src/" if layout is Layout.SRC else ""
    return Tree(
        project=Project(root=Path("/repo"), layout=layout, **{"name": "My.Repo", **project}),  # type: ignore[arg-type]
        entries=tuple(Entry(path=prefix + name, source=Path(), size=0, arcname=name) for name in sorted(names)),
    )


def test_packages_modules_data_and_loose_files() -> None:
    spec = spec_for(
        tree(
            "main.py",
            "dotted.name.py",
            "pkg/__init__.py",
            "pkg/.hidden.py",
            "pkg/data/a[1].csv",
            "pkg/sub/mod.py",
            "pkg/v1.0/mod.py",
            "ns/deep/mod.py",
            "ns/top.sql",
            "release-1.0/mod.py",
            "README",
        ),
        "1+w0123456789ab",
    )
    assert spec.packages == ("ns", "ns.deep", "pkg", "pkg.sub")
    assert spec.py_modules == ("main",)
    assert spec.package_data == (
        ("ns", ("top.sql",)),
        ("pkg", (".hidden.py", "data/a[[]1].csv", "v1.0/mod.py")),
    )
    assert spec.loose == (
        ("README", "README"),
        ("dotted.name.py", "dotted.name.py"),
        ("release-1.0/mod.py", "release-1.0/mod.py"),
    )


def test_src_layout() -> None:
    inside = tree("pkg/mod.py", layout=Layout.SRC)
    beside = Entry(path="conf/a.yaml", source=Path(), size=0, arcname="conf/a.yaml")
    spec = spec_for(Tree(project=inside.project, entries=(beside, *inside.entries)), "1")
    assert spec.source_folder == "src"
    assert spec.packages == ("pkg",)
    assert spec.loose == (("conf/a.yaml", "conf/a.yaml"),)
    assert "package_dir={'': 'src'}" in render(spec)


def test_dependencies_of_the_cluster_are_left_out() -> None:
    spec = spec_for(
        tree(
            "m.py",
            dependencies=(
                "pandas>=2",
                "PySpark[sql]>=3.5 ; python_version>'3'",
                "databricks_connect==1",
                "pyspark-x",
            ),
            optional_dependencies=(("spark", ("pyspark",)), ("dev", ("ruff",))),
            requires_python=">=3.10",
        ),
        "1",
    )
    assert spec.install_requires == ("pandas>=2", "pyspark-x")
    assert spec.extras_require == (("spark", ()), ("dev", ("ruff",)))
    assert spec.python_requires == ">=3.10"


def test_entry_points() -> None:
    spec = spec_for(tree("m.py", entry_points=(("console_scripts", ("zz=m:f", "a = m:g")), ("g", ()))), "1")
    assert spec.entry_points == (
        (
            "console_scripts",
            ("a = m:g", "wheelrun-entrypoint = wheelrun.runtime.entrypoint:main", "zz = m:f"),
        ),
    )


@pytest.mark.parametrize(("name", "declared"), [("My.Repo", "My.Repo"), ("My Repo (v1.2)", "my_repo_v1_2"), ("x", "x")])
def test_the_declared_name_keeps_its_spelling_where_it_may(name: str, declared: str) -> None:
    assert spec_for(tree("m.py", name=name), "1").name == declared


def test_a_project_with_a_backend_has_no_setup_py_of_ours() -> None:
    with pytest.raises(ValueError, match="own build backend"):
        spec_for(tree("m.py", layout=Layout.BACKEND, backend="hatchling.build"), "1")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("A_b.C>=1", "a-b-c"),
        (" pip @ https://x", "pip"),
        ("x[y]", "x"),
        ("x;a=='b'", "x"),
        ("", ""),
        ("==1", ""),
    ],
)
def test_requirement_name(text: str, name: str) -> None:
    assert requirement_name(text) == name


TEXT = st.text(max_size=12)
NAMES = st.tuples(TEXT, TEXT) | st.just(("a",)) | st.just(())
PAIRS = st.dictionaries(TEXT, NAMES, max_size=3).map(lambda table: tuple(table.items()))


@given(
    st.builds(
        SetupSpec,
        name=TEXT.filter(lambda text: '"""' not in text and "\\" not in text and "\0" not in text),
        version=TEXT,
        packages=NAMES,
        py_modules=NAMES,
        package_data=PAIRS,
        loose=st.dictionaries(TEXT, TEXT, max_size=3).map(lambda table: tuple(table.items())),
        source_folder=st.sampled_from(["", "src"]),
        install_requires=NAMES,
        extras_require=PAIRS,
        python_requires=TEXT,
        entry_points=PAIRS,
    )
)
def test_parse_reads_what_render_wrote(spec: SetupSpec) -> None:
    assert parse(render(spec)) == spec


def test_the_text_is_python(tmp_path: Path) -> None:
    path = tmp_path / "setup.py"
    path.write_text(render(spec_for(tree("m.py", "pkg/ü.py", "pkg/\udce9"), "1")), encoding="utf-8")
    assert compileall.compile_file(path, quiet=1)


def test_an_edited_setup_py_is_not_taken_for_ours() -> None:
    text = render(spec_for(tree("m.py", "pkg/a.csv", "pkg/a.py"), "1"))
    assert parse(text) is not None
    assert parse(text + "\n") is None
    assert parse(text.replace("license_files=[]", "license_files=['LICENSE']")) is None
    assert parse(text.replace("version='1'", "version=open('VERSION').read()")) is None
    assert parse("from setuptools import setup\nsetup()\n") is None
    assert parse("not python (") is None
    assert parse("") is None
