from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from wheelrun.errors import BuildError, PackagingError
from wheelrun.packaging.cache import WheelCache
from wheelrun.packaging.setup_py import SetupSpec
from wheelrun.packaging.shelf import Shelf
from wheelrun.packaging.wheel import Wheel, write_wheel

CHECKOUT = Path(__file__).resolve().parents[3]
DIGEST = "d" * 64
DAY = 24 * 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> WheelCache:
    return WheelCache(tmp_path / "cache", clock=clock)


def key(number: int) -> str:
    return f"{number:064x}"


def a_wheel(folder: Path, text: str = "X = 1\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "source.py"
    source.write_text(text, encoding="utf-8")
    files = [("pkg/mod.py", source, False), ("pkg/run.sh", source, True), ("pkg/empty", Path(os.devnull), False)]
    return write_wheel(SetupSpec(name="p", version="1", packages=("pkg",)), files, folder)


def put(cache: WheelCache, number: int, path: Path, **meta: object) -> Wheel:
    return cache.put(key(number), path, {"digest": DIGEST, **meta})


def leftovers(cache: WheelCache) -> list[Path]:
    return list((cache.root / "tmp").glob("*"))


def test_put_then_get(cache: WheelCache, tmp_path: Path) -> None:
    path = a_wheel(tmp_path / "in")
    assert cache.get(key(1)) is None
    assert not cache.root.exists()
    kept = put(cache, 1, path, name="p", note=[1])
    assert kept == cache.get(key(1))
    assert kept.path == cache.root / "wheels" / "00" / key(1) / path.name
    assert kept.path.read_bytes() == path.read_bytes()
    assert (kept.name, kept.version, kept.digest, kept.size) == ("p", "1", DIGEST, path.stat().st_size)
    assert "pkg/mod.py" in kept.files
    assert cache.get_meta(key(1))["note"] == [1]
    assert cache.get_meta(key(2)) == {}
    assert stat.S_IMODE(cache.root.stat().st_mode) == 0o700
    assert leftovers(cache) == []


def test_the_first_one_stays(cache: WheelCache, tmp_path: Path) -> None:
    first = put(cache, 1, a_wheel(tmp_path / "one", "one"))
    content = first.path.read_bytes()
    assert put(cache, 1, a_wheel(tmp_path / "two", "two")).path.read_bytes() == content
    assert leftovers(cache) == []


@pytest.mark.parametrize("damage", ["truncated", "changed", "no wheel", "no meta", "bad meta", "list", "climbing"])
def test_a_damaged_entry_is_removed_and_replaced(damage: str, cache: WheelCache, tmp_path: Path) -> None:
    path = a_wheel(tmp_path / "in")
    wheel = put(cache, 1, path)
    folder, data = wheel.path.parent, bytearray(path.read_bytes())
    meta = folder / "meta.json"
    if damage == "truncated":
        wheel.path.write_bytes(data[:-10])
    elif damage == "changed":
        data[50] ^= 1
        wheel.path.write_bytes(data)
    elif damage == "no wheel":
        wheel.path.unlink()
    elif damage == "no meta":
        meta.unlink()
    else:
        text = {"bad meta": "{", "list": "[]", "climbing": '{"size": 1, "wheel": "../x"}'}[damage]
        meta.write_text(text, encoding="utf-8")
    assert [entry.key for entry in cache.entries()] == [key(1)]
    replaced = put(cache, 1, path)
    assert replaced.path.read_bytes() == path.read_bytes()
    replaced.path.write_bytes(b"")
    assert cache.get(key(1)) is None
    assert not folder.exists()


def test_entries_and_prune(cache: WheelCache, clock: Clock, tmp_path: Path) -> None:
    path = a_wheel(tmp_path / "in")
    size = path.stat().st_size
    for number in (1, 2, 3):
        put(cache, number, path)
        clock.now += DAY
    wheel = cache.get(key(1))
    assert wheel is not None
    cache.unpacked(wheel)
    entries = cache.entries()
    assert [(entry.kind, entry.key[-1]) for entry in entries[:3]] == [("wheels", "2"), ("wheels", "3"), ("wheels", "1")]
    assert entries[0].size == size
    assert entries[0].meta["digest"] == DIGEST
    assert entries[3].kind == "unpacked"
    assert [entry.key for entry in cache.prune(older_than=1.5 * DAY)] == [key(2)]
    assert [entry.key for entry in cache.prune(max_bytes=sum(entry.size for entry in entries[2:]))] == [key(3)]
    assert cache.prune() == []
    assert len(cache.prune(everything=True)) == 2
    assert cache.entries() == []
    assert leftovers(cache) == []


def test_the_cache_is_bounded_but_what_is_in_use_stays(clock: Clock, tmp_path: Path) -> None:
    path = a_wheel(tmp_path / "in")
    cache = WheelCache(tmp_path / "cache", int(path.stat().st_size * 2.5), clock=clock)
    for number in (1, 2, 3):
        put(cache, number, path)
    assert len(cache.entries()) == 3
    clock.now += 2 * 3600
    assert cache.get(key(1)) is not None
    put(cache, 4, path)
    assert {entry.key for entry in cache.entries()} == {key(1), key(4)}


def test_no_limit(clock: Clock, tmp_path: Path) -> None:
    cache = WheelCache(tmp_path / "cache", 0, clock=clock)
    for number in range(3):
        put(cache, number, a_wheel(tmp_path / "in"))
        clock.now += DAY
    assert len(cache.entries()) == 3


def test_what_killed_processes_left_is_swept(cache: WheelCache, clock: Clock, tmp_path: Path) -> None:
    for name, age in (("old", 2 * DAY), ("young", 60.0)):
        folder = cache.root / "tmp" / name
        folder.mkdir(parents=True)
        (folder / "part").write_text("x", encoding="utf-8")
        os.utime(folder, (clock.now - age, clock.now - age))
        (cache.root / "tmp" / f"{name}.lock").touch()
        os.utime(cache.root / "tmp" / f"{name}.lock", (clock.now - age, clock.now - age))
    put(cache, 1, a_wheel(tmp_path / "in"))
    assert sorted(path.name for path in leftovers(cache)) == ["young", "young.lock"]


def test_unpacked(cache: WheelCache, tmp_path: Path) -> None:
    wheel = put(cache, 1, a_wheel(tmp_path / "in"))
    tree = cache.unpacked(wheel)
    assert tree.is_relative_to(cache.root / "unpacked")
    assert (tree / "pkg" / "mod.py").read_text(encoding="utf-8") == "X = 1\n"
    assert os.access(tree / "pkg" / "run.sh", os.X_OK)
    assert not os.access(tree / "pkg" / "mod.py", os.X_OK)
    (tree / "pkg" / "__pycache__").mkdir()
    assert cache.unpacked(wheel) == tree
    assert (tree / "pkg" / "__pycache__").is_dir()
    (tree / "pkg" / "mod.py").unlink()
    assert cache.unpacked(wheel) == tree
    assert (tree / "pkg" / "mod.py").is_file()
    assert not (tree / "pkg" / "__pycache__").exists()
    assert leftovers(cache) == []


@pytest.mark.parametrize("name", ["../evil", "/evil", "pkg/../../evil"])
def test_nothing_is_unpacked_outside(name: str, cache: WheelCache, tmp_path: Path) -> None:
    path = a_wheel(tmp_path / "in")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "evil")
    wheel = Wheel(path=path, name="p", version="1", digest=DIGEST, files=(), size=0)
    with pytest.raises(PackagingError, match="lead out"):
        cache.unpacked(wheel)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("content", [None, b"no zip"])
def test_no_wheel_to_unpack(content: bytes | None, cache: WheelCache, tmp_path: Path) -> None:
    path = tmp_path / "p-1-py3-none-any.whl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BuildError, match="not a readable wheel"):
        cache.unpacked(Wheel(path=path, name="p", version="1", digest=DIGEST, files=(), size=0))


def test_a_cache_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    cache = WheelCache(tmp_path / "file" / "cache")
    with pytest.raises(PackagingError, match="cannot be written") as caught:
        put(cache, 1, a_wheel(tmp_path / "in"))
    assert "WHEELRUN_CACHE_DIR" in (caught.value.hint or "")
    assert cache.get(key(1)) is None
    assert cache.entries() == []


def test_a_full_disk(cache: WheelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = a_wheel(tmp_path / "in")
    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(PackagingError, match="No space left"):
        put(cache, 1, path)
    assert leftovers(cache) == []


def test_a_cache_that_may_only_be_read(cache: WheelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there is used; damage is passed over; putting says what to do. (Root ignores modes, so it is faked.)"""

    def denied(*args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = a_wheel(tmp_path / "in")
    good, bad = put(cache, 1, path), put(cache, 2, path)
    bad.path.write_bytes(b"")
    monkeypatch.setattr("os.utime", denied)
    monkeypatch.setattr("tempfile.mkdtemp", denied)
    assert cache.get(key(1)) == good
    assert cache.get(key(2)) is None
    with pytest.raises(PackagingError, match="Permission denied"):
        put(cache, 3, path)


def test_an_entry_that_vanishes_each_time_is_an_error(
    cache: WheelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Shelf, folder: Path, target: Path, meta: Mapping[str, object]) -> None:
        pass

    path = a_wheel(tmp_path / "in")
    wheel = put(cache, 1, path)
    monkeypatch.setattr(Shelf, "publish", lost)
    with pytest.raises(PackagingError, match="another process removes it"):
        put(cache, 2, path)
    with pytest.raises(BuildError, match="another process removes it"):
        cache.unpacked(wheel)


WORKER = """
import random, sys
from pathlib import Path
from wheelrun.packaging.cache import WheelCache
root, wheels, seed = Path(sys.argv[1]), sorted(Path(sys.argv[2]).glob("*/*.whl")), int(sys.argv[3])
rng = random.Random(seed)
cache = WheelCache(root)
for turn in range(12):
    number = rng.randrange(len(wheels))
    key = f"{number:064x}"
    wheel = cache.get(key) or cache.put(key, wheels[number], {"digest": "d" * 64})
    if seed % 10 == 0 and turn % 4 == 3:
        cache.prune(everything=True)
        continue
    try:
        data = wheel.path.read_bytes()
    except FileNotFoundError:
        continue
    assert data == wheels[number].read_bytes(), number
print("done")
"""


@pytest.mark.slow
def test_thirty_processes_at_once(tmp_path: Path) -> None:
    for number in range(4):
        a_wheel(tmp_path / "wheels" / str(number), f"{number}\n" * 999)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, tmp_path / "cache", tmp_path / "wheels", str(seed)],
            cwd=CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(30)
    ]
    for process in processes:
        out, err = process.communicate()
        assert (out, err, process.returncode) == ("done\n", "", 0)
    cache = WheelCache(tmp_path / "cache")
    assert leftovers(cache) == []
    for entry in cache.entries():
        assert cache.get(entry.key) is not None
