from __future__ import annotations

import stat
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from wheelrun.errors import BuildError, PackagingError
from wheelrun.packaging import archive
from wheelrun.packaging.archive import archive_order, check_name, new_archive, verify_record

INFO = "p-1.dist-info"


def wheel(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / "p-1-py3-none-any.whl"
    with new_archive(path, INFO) as writer:
        for name, data in files.items():
            writer.add_bytes(name, data)
    return path


def rewritten(path: Path, changes: dict[str, bytes | None]) -> Path:
    """The archive with some members changed, added, or (None) left out; RECORD as it was unless changed."""
    with zipfile.ZipFile(path) as old:
        content = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in (content | changes).items():
            if data is not None:
                new.writestr(name, data)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../../up",
        "a/..",
        "a//b",
        "a/",
        "./a",
        "C:/x",
        "c:x",
        "..\\up",
        "a\\..\\..\\b",
    ],
)
def test_names_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="cannot stand in a wheel"):
        check_name(name)
    with pytest.raises(PackagingError), new_archive(tmp_path / "p.whl", INFO) as writer:
        writer.add_bytes(name, b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "..a/b..", "a b/[c]", "ä/日", "a\\b", ".x"])
def test_odd_names_pass(name: str) -> None:
    check_name(name)


def test_names_that_are_no_text_are_refused() -> None:
    with pytest.raises(PackagingError, match="not valid UTF-8") as caught:
        check_name("caf\udce9.txt")
    assert "wheelrunignore" in (caught.value.hint or "")


def wheel_of_pairs(folder: Path, names: tuple[str, ...]) -> None:
    with new_archive(folder / "p.whl", INFO) as writer:
        for name in names:
            writer.add_bytes(name, b"")


@pytest.mark.parametrize("pair", [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_one_name_for_two_things_is_refused(pair: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="one name"):
        wheel_of_pairs(tmp_path, pair)


def test_modes_times_and_record(tmp_path: Path) -> None:
    script = tmp_path / "run.sh"
    script.write_bytes(b"#!/bin/sh\n")
    path = tmp_path / "p-1-py3-none-any.whl"
    with new_archive(path, INFO) as writer:
        writer.add_file("p/run.sh", script, executable=True)
        writer.add_file("p/data.txt", script)
        writer.add_bytes("p/empty", b"")
    assert verify_record(path) == ("p-1.dist-info/RECORD", "p/data.txt", "p/empty", "p/run.sh")
    with zipfile.ZipFile(path) as content:
        infos = {info.filename: info for info in content.infolist()}
        assert content.testzip() is None
    assert {info.date_time for info in infos.values()} == {(1980, 1, 1, 0, 0, 0)}
    assert stat.S_IMODE(infos["p/run.sh"].external_attr >> 16) == 0o755
    assert stat.S_IMODE(infos["p/data.txt"].external_attr >> 16) == 0o644
    assert stat.S_ISREG(infos["p/data.txt"].external_attr >> 16)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_large_file_passes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays flat, and the bytes do not depend on whether a file was read or already in memory."""
    monkeypatch.setattr(archive, "_CHUNK", 64 * 1024)
    large = tmp_path / "large.csv"
    large.write_bytes(b"".join(b"%d,%d\n" % (i, i * i) for i in range(300_000)))
    (tmp_path / "one").mkdir()
    one = tmp_path / "one" / "p-1-py3-none-any.whl"
    tracemalloc.start()
    try:
        with new_archive(one, INFO) as writer:
            writer.add_file("p/large.csv", large)
        verify_record(one)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < large.stat().st_size / 2
    assert wheel(tmp_path, {"p/large.csv": large.read_bytes()}).read_bytes() == one.read_bytes()


def test_a_failure_leaves_nothing_and_keeps_the_old_wheel(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"p/a.py": b"old"})
    before = path.read_bytes()

    def interrupted() -> Path:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), new_archive(path, INFO) as writer:
        writer.add_file("p/a.py", interrupted())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.py"
    target = tmp_path / "p.whl"
    with pytest.raises(PackagingError, match=r"missing\.py"), new_archive(target, INFO) as writer:
        writer.add_file("p/missing.py", missing)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="nowhere"), new_archive(tmp_path / "nowhere" / "p.whl", INFO):
        pass


def test_dist_info_comes_last() -> None:
    names = [f"{INFO}/METADATA", "z.py", "a/b.py", "p-1.dist-infox/a"]
    assert sorted(names, key=lambda name: archive_order(name, INFO)) == [
        "a/b.py",
        "p-1.dist-infox/a",
        "z.py",
        f"{INFO}/METADATA",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p/a.py": b"other"}, "'p/a.py' is not what RECORD says"),
        ({"p/a.py": None}, "RECORD lists 'p/a.py'"),
        ({"p/new.py": b""}, "'p/new.py' is not in RECORD"),
        ({f"{INFO}/RECORD": None}, "0 RECORD files"),
        ({f"{INFO}/RECORD": b"p/a.py\n"}, "wrong line"),
        ({f"{INFO}/RECORD": b"p/a.py,md5=x,1\np-1.dist-info/RECORD,,\n"}, "no sound hash"),
        ({f"{INFO}/RECORD": b"p/a.py,,\np-1.dist-info/RECORD,,\n"}, "no sound hash"),
        ({"q-2.dist-info/RECORD": b""}, "2 RECORD files"),
    ],
)
def test_a_wrong_record_is_a_build_error(changes: dict[str, bytes | None], message: str, tmp_path: Path) -> None:
    path = rewritten(wheel(tmp_path, {"p/a.py": b"1"}), changes)
    with pytest.raises(BuildError, match=message) as caught:
        verify_record(path)
    assert isinstance(caught.value, RuntimeError)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06"])
def test_no_zip_is_a_build_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "p-1-py3-none-any.whl"
    path.write_bytes(content)
    with pytest.raises(BuildError, match="not a readable wheel"):
        verify_record(path)


def test_damaged_content_is_a_build_error(tmp_path: Path) -> None:
    path = wheel(tmp_path, {"p/a.py": bytes(range(256)) * 8})
    data = bytearray(path.read_bytes())
    data[60:70] = bytes(10)
    path.write_bytes(data)
    with pytest.raises(BuildError):
        verify_record(path)
