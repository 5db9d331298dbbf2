from __future__ import annotations

import re
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from wheelrun.errors import BuildError, PackagingError
from wheelrun.packaging.setup_py import SetupSpec
from wheelrun.packaging.wheel import (
    entry_points_text,
    metadata_text,
    normalised,
    read_wheel,
    stamped_version,
    verify_record,
    write_wheel,
)

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("base", "version"),
    [
        ("1.2", "1.2+w0123456789ab"),
        ("1.2+local", "1.2+local.w0123456789ab"),
        ("v1.0-2", "1.0.post2+w0123456789ab"),
        ("1!2.0a1.dev3", "1!2.0a1.dev3+w0123456789ab"),
    ],
)
def test_stamped_version(base: str, version: str) -> None:
    assert stamped_version(base, DIGEST) == version


@pytest.mark.parametrize("base", ["", "one", "1.x", "1.2+"])
def test_an_invalid_base_version_is_named(base: str) -> None:
    with pytest.raises(PackagingError, match=re.escape(repr(base))):
        stamped_version(base, DIGEST)


VERSIONS = st.from_regex(
    r"\A(v)?([0-9]!)?[0-9]{1,4}(\.[0-9]{1,3}){0,3}((a|b|rc)[0-9])?(\.post[0-9])?(\.dev[0-9])?(\+[a-z0-9]{1,4}(\.[a-z0-9]{1,3})?)?\Z"
)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(VERSIONS, DIGESTS)
def test_a_stamped_version_is_normal_and_newer(base: str, digest: str) -> None:
    stamped = stamped_version(base, digest)
    assert str(Version(stamped)) == stamped
    assert Version(stamped).public == Version(base).public
    assert stamped.endswith(f"w{digest[:12]}")


@given(st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9._-]{0,12}[A-Za-z0-9])?\Z"), VERSIONS, DIGESTS)
def test_file_names_are_what_installers_read(name: str, base: str, digest: str) -> None:
    version = stamped_version(base, digest)
    parsed = parse_wheel_filename(f"{normalised(name)}-{version}-py3-none-any.whl")
    assert parsed[:2] == (canonicalize_name(name), Version(version))


def test_a_written_wheel_and_its_facts(tmp_path: Path) -> None:
    module = tmp_path / "mod.py"
    module.write_text("X = 1\n", encoding="utf-8")
    spec = SetupSpec(name="My.Project", version="1.2+w0123456789ab", packages=("pkg",), py_modules=("run",))
    path = write_wheel(spec, [("run.py", module, True), ("pkg/mod.py", module, False)], tmp_path)
    assert path.name == "my_project-1.2+w0123456789ab-py3-none-any.whl"
    info = "my_project-1.2+w0123456789ab.dist-info"
    expected = (
        f"{info}/METADATA",
        f"{info}/RECORD",
        f"{info}/WHEEL",
        f"{info}/top_level.txt",
        "pkg/mod.py",
        "run.py",
    )
    assert verify_record(path) == expected
    wheel = read_wheel(path, DIGEST)
    assert (wheel.name, wheel.version, wheel.digest) == ("my_project", "1.2+w0123456789ab", DIGEST)
    assert wheel.files == expected
    assert wheel.size == path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[-1] == f"{info}/RECORD"
        assert archive.read(f"{info}/top_level.txt") == b"pkg\nrun\n"
        about = message_from_string(archive.read(f"{info}/WHEEL").decode())
    assert (about["Wheel-Version"], about["Root-Is-Purelib"], about["Tag"]) == ("1.0", "true", "py3-none-any")


def test_the_order_of_files_does_not_matter(tmp_path: Path) -> None:
    files = []
    for name in ("b.py", "a.py", "c/d.py"):
        source = tmp_path / name.replace("/", "_")
        source.write_text(name, encoding="utf-8")
        files.append((name, source, False))
    spec = SetupSpec(name="p", version="1")
    first = write_wheel(spec, files, tmp_path).read_bytes()
    assert write_wheel(spec, reversed(files), tmp_path).read_bytes() == first


def test_metadata_is_exact() -> None:
    spec = SetupSpec(
        name="p",
        version="1",
        python_requires=">=3.10",
        install_requires=("pandas [excel] >=2 ; python_version<'3.13'",),
        extras_require=(("Dev_x", ("ruff ; sys_platform=='linux' or os_name=='nt'",)),),
    )
    assert metadata_text(spec).splitlines() == [
        "Metadata-Version: 2.4",
        "Name: p",
        "Version: 1",
        "Requires-Python: >=3.10",
        'Requires-Dist: pandas[excel]>=2; python_version < "3.13"',
        "Provides-Extra: dev-x",
        'Requires-Dist: ruff; (sys_platform == "linux" or os_name == "nt") and extra == "dev-x"',
        "Dynamic: provides-extra",
        "Dynamic: requires-dist",
        "Dynamic: requires-python",
    ]


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        (SetupSpec(name="p", version="1", install_requires=("pandas >> 2",)), "pandas >> 2"),
        (SetupSpec(name="p", version="1", extras_require=(("x", ("==1",)),)), "==1"),
        (SetupSpec(name="p", version="1", python_requires="three"), "three"),
    ],
)
def test_invalid_metadata_is_named(spec: SetupSpec, named: str) -> None:
    with pytest.raises(PackagingError, match=re.escape(named)) as caught:
        metadata_text(spec)
    assert caught.value.hint


def test_entry_points_are_sorted() -> None:
    text = entry_points_text({"z": {"b": "m:b", "a": "m:a"}, "empty": {}, "c": {"x": "m:x"}})
    assert text == "[c]\nx = m:x\n\n[z]\na = m:a\nb = m:b\n"


@pytest.mark.parametrize("name", ["p-1-py3-none-any.whl", "nothing.whl"])
def test_reading_no_wheel(name: str, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not a readable wheel"):
        read_wheel(tmp_path / name, DIGEST)
