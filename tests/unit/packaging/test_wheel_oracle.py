"""The direct road against setuptools: both give the same bytes for every layout that is generated."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from wheelrun.packaging.backend import build_with_backend
from wheelrun.packaging.project import Layout, Project
from wheelrun.packaging.restamp import restamp
from wheelrun.packaging.setup_py import render, spec_for
from wheelrun.packaging.snapshot import Entry, Tree
from wheelrun.packaging.wheel import stamped_version, verify_record, write_wheel

pytestmark = pytest.mark.slow

VERSION = stamped_version("1.2", "0123456789abcdef" * 4)

FLAT = {
    "main.py": "print('main')\n",
    "run job.py": "",
    "dotted.name.py": "",
    "pkg/__init__.py": "",
    "pkg/mod.py": "X = 1\n",
    "pkg/.hidden.py": "",
    "pkg/py.typed": "",
    "pkg/stub.pyi": "",
    "pkg/Makefile": "all:\n",
    "pkg/.dotfile": "x",
    "pkg/data/a b.csv": "1,2\n",
    "pkg/data/[brackets]*.sql": "select 1\n",
    "pkg/data/[a]/.deep[b]": "x",
    "pkg/data/naïve-日本.yaml": "a: 1\n",
    "pkg/data/quote'\".json": "{}",
    "pkg/data/dollar$name.txt": "$name ${version}\n",
    "pkg/v1.2/inner.py": "",
    "pkg/v1.2/table.csv": "1\n",
    "pkg/sub/deeper/mod.py": "",
    "pkg/my-part/mod.py": "",
    "pkg/1st/mod.py": "",
    "pkg/empty.txt": "",
    "pkg/[odd]/mod.py": "",
    "ns/inner/mod.py": "",
    "ns/inner/data.json": "{}",
    "my-jobs/daily.py": "",
    "my-jobs/query.sql": "",
    "01 ingest/job.py": "",
    "release-1.0/job.py": "",
    "release-1.0/sub/data.csv": "",
    "[wild]/job.py": "",
    "données/été.py": "É = 1\n",
    "build/__init__.py": "",
    "build/lib/__init__.py": "",
    "build/lib/mod.py": "",
    "dist/__init__.py": "",
    "notes.txt": "included by a setting\n",
    "conf/settings.toml": "a = 1\n",
}


def project_at(root: Path, **changes: object) -> Project:
    return replace(Project(root=root, name="My.Project", version="1.2"), **changes)


def write_tree(
    project: Project, files: dict[str, str], *, executable: tuple[str, ...] = (), loose: tuple[str, ...] = ()
) -> Tree:
    """Lay `files` (path in the wheel -> text) out below the project's root, `loose` ones beside src."""
    entries = []
    prefix = "src/" if project.layout is Layout.SRC else ""
    for name, text in files.items():
        path = name if name in loose else prefix + name
        source = project.root / path
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text, encoding="utf-8")
        source.chmod(0o755 if name in executable else 0o644)
        entries.append(
            Entry(
                path=path,
                source=source,
                size=source.stat().st_size,
                executable=name in executable,
                arcname=name,
            )
        )
    return Tree(project=project, entries=tuple(sorted(entries, key=lambda entry: entry.path)))


def both_roads(tree: Tree, tmp_path: Path) -> tuple[Path, Path]:
    spec = spec_for(tree, VERSION)
    for folder in ("direct", "stamped"):
        (tmp_path / folder).mkdir(exist_ok=True)
    files = [(entry.arcname, entry.source, entry.executable) for entry in tree.entries]
    direct = write_wheel(spec, files, tmp_path / "direct")
    (tree.project.root / "setup.py").write_text(render(spec), encoding="utf-8")
    built = build_with_backend(tree.project.root, tmp_path / "built", timeout=300, isolated=False)
    return direct, restamp(built, version=VERSION, directory=tmp_path / "stamped")


def assert_same(tree: Tree, tmp_path: Path) -> None:
    direct, stamped = both_roads(tree, tmp_path)
    assert verify_record(direct) == verify_record(stamped)
    assert direct.name == stamped.name
    assert direct.read_bytes() == stamped.read_bytes()
    shipped = {name for name in verify_record(direct) if ".dist-info/" not in name}
    assert shipped == {entry.arcname for entry in tree.entries}


def test_flat_tree_with_every_odd_name(tmp_path: Path) -> None:
    tree = write_tree(project_at(tmp_path / "repo"), FLAT, executable=("main.py", "pkg/mod.py", "pkg/Makefile"))
    assert_same(tree, tmp_path)


def test_src_tree_with_files_from_beside_it(tmp_path: Path) -> None:
    project = project_at(tmp_path / "repo", layout=Layout.SRC)
    loose = ("notes.txt", "conf/settings.toml", "my-jobs/query.sql")
    assert_same(write_tree(project, FLAT, loose=loose, executable=("my-jobs/query.sql",)), tmp_path)


def test_metadata(tmp_path: Path) -> None:
    project = project_at(
        tmp_path / "repo",
        requires_python=">=3.9, <4",
        dependencies=(
            "requests[socks,security] >=2.8.1, ==2.8.* ; python_version < '3.13' and sys_platform!='win32'",
            "pyspark[sql]>=3.5",
            "Databricks.Connect",
            "pip @ https://example.org/pip-1.0.zip ; python_version > '3'",
            "attrs",
        ),
        optional_dependencies=(
            ("Dev_Tools", ("pytest>=8 ; python_version<'4' or sys_platform=='linux'", "ruff")),
            ("empty", ()),
            ("spark", ("pyspark",)),
        ),
        entry_points=(
            ("console_scripts", ("zz = pkg.mod:main", "aa=pkg.mod:main [dev_tools]")),
            ("wheelrun.orchestrators", ("mine = pkg.mod:Flavor",)),
        ),
    )
    assert_same(write_tree(project, {"pkg/mod.py": "def main(): ...\n"}), tmp_path)


@pytest.mark.parametrize(
    "files",
    [
        {"only.py": ""},
        {"__init__.py": "", "mod.py": ""},
        {"v1.2/only.py": "", "v1.2/data.csv": ""},
        {"ns/deep/deeper/mod.py": "", "ns/data.csv": ""},
        {"pkg/__init__.py": "", "pkg/new\nline.txt": "", "pkg/back\\slash.txt": "", "pkg/ lead.txt": ""},
        {"pkg/__init__.py": "", "pkg/large.csv": "0123456789\n" * 500_000},
    ],
    ids=["module", "root-init", "dotted-folder", "namespace", "control-characters", "large"],
)
def test_small_trees(tmp_path: Path, files: dict[str, str]) -> None:
    assert_same(write_tree(project_at(tmp_path / "repo"), files), tmp_path)


def test_random_trees(tmp_path: Path) -> None:
    """One build holds many random names: what setuptools thinks of each is compared in one go."""
    rng = random.Random(7)
    letters = "abAB01 _-.[]*?!#%&'()+,;=@^{}~$äß日"
    files = {"pkg/__init__.py": ""}
    for _ in range(300):
        parts = []
        for _ in range(rng.randint(1, 4)):
            part = "".join(rng.choice(letters) for _ in range(rng.randint(1, 6)))
            parts.append(f"x{part}" if part.strip(".") == "" else part)
        name = "/".join(parts) + rng.choice(["", ".py", ".csv"])
        folded = {known.lower() for known in files} | {
            "/".join(known.lower().split("/")[:cut]) for known in files for cut in range(1, known.count("/") + 1)
        }
        prefixes = {"/".join(name.lower().split("/")[:cut]) for cut in range(1, name.count("/") + 2)}
        if name.lower() not in folded and not prefixes & {known.lower() for known in files}:
            files[name] = name
    assert_same(write_tree(project_at(tmp_path / "repo"), files), tmp_path)


def test_other_place_time_and_mask_give_the_same_bytes(tmp_path: Path) -> None:
    wheels = []
    for folder, mask, time in (("one", 0o022, 1_000_000_000), ("two two", 0o077, 1_700_000_000)):
        place = tmp_path / folder
        old = os.umask(mask)
        try:
            tree = write_tree(project_at(place / "repo"), FLAT, executable=("main.py",))
            for entry in tree.entries:
                os.utime(entry.source, (time, time))
            wheels += [path.read_bytes() for path in both_roads(tree, place)]
        finally:
            os.umask(old)
    assert len(set(wheels)) == 1
