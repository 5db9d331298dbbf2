from __future__ import annotations

import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from wheelrun.errors import BuildError, PackagingError
from wheelrun.packaging.archive import verify_record
from wheelrun.packaging.backend import build_with_backend
from wheelrun.packaging.restamp import restamp, wheel_version

VERSION = "1.2+w0123456789ab"
POINT = "wheelrun-entrypoint = wheelrun.runtime.entrypoint:main"

METADATA = """\
Metadata-Version: 2.4
Name: My.Project
Version: 1.2
Summary: Größe\x0b in one line
License: first
        second
Requires-Dist: pandas>=2
Requires-Dist: PySpark[sql]>=3.5 ; python_version > "3"
requires-dist: databricks_connect==15
Requires-Dist: pyspark-extra
Provides-Extra: spark
Requires-Dist: pyspark ; extra == "spark"
Description-Content-Type: text/markdown

# Title

Version: 9
Requires-Dist: pyspark
"""
WHEEL = "Wheel-Version: 1.0\nGenerator: other 9.9\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def raw_wheel(
    folder: Path,
    files: dict[str, str] | None = None,
    *,
    name: str = "My.Project-1.2-py3-none-any.whl",
    metadata: str = METADATA,
    about: str = WHEEL,
) -> Path:
    """A wheel as some backend might leave it: unsorted, with folders, with a stale RECORD and a signature."""
    folder.mkdir(exist_ok=True, parents=True)
    info = "My.Project-1.2.dist-info"
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.mkdir("pkg") if hasattr(archive, "mkdir") else archive.writestr("pkg/", "")
        archive.writestr(f"{info}/RECORD", "stale,,\n")
        archive.writestr(f"{info}/RECORD.jws", "signature")
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", about)
        for path, text in (files or {"pkg/mod.py": "X = 1\n"}).items():
            archive.writestr(path, text)
    return folder / name


def read(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_metadata_keeps_all_but_what_must_change(tmp_path: Path) -> None:
    path = restamp(raw_wheel(tmp_path), version=VERSION, directory=tmp_path)
    assert path.name == f"my_project-{VERSION}-py3-none-any.whl"
    verify_record(path)
    content = read(path)
    info = f"my_project-{VERSION}.dist-info"
    expected = METADATA.replace("Version: 1.2", f"Version: {VERSION}", 1)
    for gone in (
        'Requires-Dist: PySpark[sql]>=3.5 ; python_version > "3"\n',
        "requires-dist: databricks_connect==15\n",
        'Requires-Dist: pyspark ; extra == "spark"\n',
    ):
        expected = expected.replace(gone, "", 1)
    assert content[f"{info}/METADATA"] == expected
    assert content[f"{info}/entry_points.txt"] == f"[console_scripts]\n{POINT}\n"
    assert "Generator: wheelrun" in content[f"{info}/WHEEL"]
    assert set(content) == {
        "pkg/mod.py",
        *(f"{info}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")),
    }


def test_restamping_again_changes_nothing(tmp_path: Path) -> None:
    once = restamp(raw_wheel(tmp_path), version=VERSION, directory=tmp_path).read_bytes()
    path = next(tmp_path.glob("my_project*"))
    assert restamp(path, version=VERSION, directory=tmp_path).read_bytes() == once


def test_data_folders_build_tags_and_vendored_dist_infos(tmp_path: Path) -> None:
    files = {
        "pkg/ext.so": "binary",
        "My.Project-1.2.data/scripts/tool": "#!python\n",
        "My.Project-1.2.dist-info/licenses/LICENSE": "free",
        "other-3.0.dist-info/WHEEL": WHEEL,
        "other.data/x": "",
    }
    about = WHEEL.replace("true", "false") + "Tag: cp311-cp311-linux_x86_64\nBuild: 7\n"
    wheel = raw_wheel(tmp_path, files, name="My.Project-1.2-7-cp311.py3-none-any.whl", about=about)
    path = restamp(wheel, version=VERSION, directory=tmp_path)
    assert path.name == f"my_project-{VERSION}-7-cp311.py3-none-any.whl"
    content = read(path)
    assert content[f"my_project-{VERSION}.data/scripts/tool"] == "#!python\n"
    assert content[f"my_project-{VERSION}.dist-info/licenses/LICENSE"] == "free"
    assert {"other-3.0.dist-info/WHEEL", "other.data/x", "pkg/ext.so"} <= set(content)
    about = message_from_string(content[f"my_project-{VERSION}.dist-info/WHEEL"])
    assert (about["Root-Is-Purelib"], about["Build"]) == ("false", "7")
    assert about.get_all("Tag") == ["py3-none-any", "cp311-cp311-linux_x86_64"]


def test_entry_points_are_added_to_the_projects_own(tmp_path: Path) -> None:
    own = "# comment\n[gui]\nB=m:B [x,y]\n\n[console_scripts]\nzz: 1 = m:z\nwheelrun-entrypoint = old:main\n"
    files = {"My.Project-1.2.dist-info/entry_points.txt": own}
    path = restamp(raw_wheel(tmp_path, files), version=VERSION, directory=tmp_path)
    text = read(path)[f"my_project-{VERSION}.dist-info/entry_points.txt"]
    assert text == f"[console_scripts]\n{POINT}\nzz: 1 = m:z\n\n[gui]\nB = m:B [x,y]\n"


def test_line_ends_of_other_systems(tmp_path: Path) -> None:
    wheel = raw_wheel(tmp_path, metadata=METADATA.replace("\n", "\r\n"), about=WHEEL.replace("\n", "\r\n"))
    content = read(restamp(wheel, version=VERSION, directory=tmp_path))
    head, _, body = content[f"my_project-{VERSION}.dist-info/METADATA"].partition("\n\n")
    assert "\r" not in head
    assert "pyspark-extra" in head
    assert "PySpark" not in head
    assert body.startswith("# Title\r\n")


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil", "pkg/../../evil", "C:\\evil"])
def test_a_name_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="lead out"):
        restamp(raw_wheel(tmp_path / "in", {name: ""}), version=VERSION, directory=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "My.Project.whl"}, "not the name of a wheel"),
        ({"name": "other-1.2-py3-none-any.whl"}, "0 dist-info folders"),
        ({"files": {"my_project-1.0.dist-info/WHEEL": WHEEL}}, "2 dist-info folders"),
        ({"files": {"My.Project-1.2.dist-info/WHEEL": WHEEL}}, "two files of one name"),
        ({"metadata": "Name: x\n"}, "0 versions"),
        ({"about": "Wheel-Version: 2.0\nTag: x\n"}, "WHEEL file"),
        ({"about": ""}, "WHEEL file"),
        ({"files": {"My.Project-1.2.dist-info/entry_points.txt": "no section = 1\n"}}, "entry_points"),
    ],
)
def test_a_wheel_that_is_none(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=message):
        restamp(raw_wheel(tmp_path, **changes), version=VERSION, directory=tmp_path)  # type: ignore[arg-type]


def test_no_zip(tmp_path: Path) -> None:
    path = tmp_path / "p-1-py3-none-any.whl"
    path.write_bytes(b"no zip")
    for action in (wheel_version, lambda path: restamp(path, version=VERSION, directory=tmp_path)):
        with pytest.raises(BuildError, match="not a readable wheel"):
            action(path)


def test_wheel_version(tmp_path: Path) -> None:
    assert wheel_version(raw_wheel(tmp_path)) == "1.2"
    with pytest.raises(BuildError, match="no version"):
        wheel_version(raw_wheel(tmp_path, metadata="Name: x\n\nVersion: 3\n"))


PROJECT = """\
[build-system]
requires = []
build-backend = "{backend}"

[project]
name = "My.Project"
version = "1.2"
description = "Größe"
readme = "README.md"
requires-python = ">=3.10"
dependencies = ["pandas>=2 ; python_version < '4'", "pyspark[sql]>=3.5"]

[project.optional-dependencies]
dev = ["ruff"]
spark = ["pyspark"]

[project.scripts]
tool = "my_project.mod:main"
"""
BACKENDS = {
    "setuptools.build_meta": (
        '[tool.setuptools]\npackages = ["my_project"]\nscript-files = ["bin/run.sh"]\n'
        'package-data = { my_project = ["*"] }\n'
    ),
    "hatchling.build": (
        '[tool.hatch.build.targets.wheel]\npackages = ["my_project"]\n'
        '[tool.hatch.build.targets.wheel.shared-data]\n"bin/run.sh" = "share/run.sh"\n'
    ),
    "flit_core.buildapi": ('[tool.flit.module]\nname = "my_project"\n[tool.flit.external-data]\ndirectory = "bin"\n'),
    "poetry.core.masonry.api": '[tool.poetry]\npackages = [{ include = "my_project" }]\n',
    "pdm.backend": ('[tool.pdm.build]\nincludes = ["my_project"]\n[tool.pdm.build.wheel-data]\nscripts = ["bin/*"]\n'),
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_real_backends(backend: str, tmp_path: Path) -> None:
    """What each backend ships stays, with its modes; and two builds in two places give the same bytes."""
    wheels = []
    for place in ("one", "two 2"):
        root = tmp_path / place / "repo"
        (root / "my_project").mkdir(parents=True)
        (root / "bin").mkdir()
        (root / "pyproject.toml").write_text(PROJECT.format(backend=backend) + BACKENDS[backend], encoding="utf-8")
        (root / "README.md").write_text("# Größe\n\nVersion: 3\n", encoding="utf-8")
        (root / "my_project" / "__init__.py").write_text('"""Doc."""\n', encoding="utf-8")
        (root / "my_project" / "mod.py").write_text("def main(): ...\n", encoding="utf-8")
        (root / "my_project" / "naïve [1].csv").write_text("1\n", encoding="utf-8")
        (root / "bin" / "run.sh").write_text("#!/bin/sh\n", encoding="utf-8")
        (root / "bin" / "run.sh").chmod(0o755)
        built = build_with_backend(root, tmp_path / place / "out", timeout=300, isolated=False)
        assert wheel_version(built) == "1.2"
        wheels.append(restamp(built, version=VERSION, directory=tmp_path / place))
        before, after = members(built), members(wheels[-1])
        assert after.items() >= before.items()
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
    assert wheels[0].name == f"my_project-{VERSION}-py3-none-any.whl"
    assert any(name.endswith("run.sh") for name in members(wheels[0])) is (backend != "poetry.core.masonry.api")
    verify_record(wheels[0])
    info = f"my_project-{VERSION}.dist-info"
    content = read(wheels[0])
    metadata = message_from_string(content[f"{info}/METADATA"])
    assert metadata["Version"] == VERSION
    (requirement,) = metadata.get_all("Requires-Dist", [])[:1]
    assert requirement.startswith("pandas")
    assert not any("pyspark" in text for text in metadata.get_all("Requires-Dist", []))
    assert "Version: 3" in content[f"{info}/METADATA"]
    assert POINT in content[f"{info}/entry_points.txt"]
    assert "tool = my_project.mod:main" in content[f"{info}/entry_points.txt"].replace("tool=", "tool = ")


def members(path: Path) -> dict[str, tuple[bytes, bool]]:
    """Content and executable bit of all outside dist-info, with the version out of the names."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir() or ".dist-info/" in info.filename:
                continue
            head, data, rest = info.filename.partition(".data/")
            name = f"data/{rest}" if data else head
            found[name] = (archive.read(info), bool((info.external_attr >> 16) & 0o111))
    return found
