"""One contract for every kind of root, and what is particular to each."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wheelrun.errors import ClusterError, ConfigurationError, UploadError
from wheelrun.orchestrators import remote_root
from wheelrun.orchestrators.leases import USED
from wheelrun.orchestrators.roots import Root
from wheelrun.orchestrators.storage_errors import explained
from wheelrun.runtime.layout import OWN_MARK

WHEEL = "wheels/shop/0123456789abcdef/shop-1.0-py3-none-any.whl"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.whl"
    path.write_bytes(b"a wheel")
    return path


def names_in(root: Root) -> list[str]:
    return [file.name for file in root.files("") if file.name != OWN_MARK]


# --- what holds for every root ----------------------------------------------------------------------------


def test_what_is_put_is_there_once(root, source):
    assert not root.exists(WHEEL)
    assert root.size(WHEEL) is None
    assert root.put(source, WHEEL) == 7
    assert root.put(source, WHEEL) == 0
    assert root.size(WHEEL) == 7
    assert root.read(WHEEL) == b"a wheel"
    assert root.names("wheels/shop/0123456789abcdef") == ["shop-1.0-py3-none-any.whl"]


def test_a_file_of_another_size_is_put_again(root, source):
    root.put(source, WHEEL)
    source.write_bytes(b"a whole wheel")
    assert root.put(source, WHEEL) == 13
    assert root.read(WHEEL) == b"a whole wheel"


def test_a_folder_is_no_file(root, source):
    root.put(source, WHEEL)
    assert not root.exists("wheels/shop")
    assert root.stat("wheels/shop") is None


@pytest.mark.parametrize("size", [0, 1, 20_000_000])
def test_sizes(root, tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "x").write_bytes(content)
    assert root.put(tmp_path / "x", "bundles/x") == size
    assert root.size("bundles/x") == size
    assert root.read("bundles/x") == content
    fetched = root.fetch("bundles", tmp_path / "into")
    assert (fetched / "x").read_bytes() == content


@pytest.mark.parametrize(
    "name", ["a b/c d.txt", "naïve/日本語 [1]*?.txt", "a+b&c=d%20e#f", "it's", '"q"', "semi;colon"]
)
def test_names_are_any_text(root, name):
    root.write(name, b"text")
    assert root.read(name) == b"text"
    folder, _, last = name.rpartition("/")
    assert root.names(folder) == [last]
    assert names_in(root) == [name]
    assert root.delete(name) == 4
    assert not root.exists(name)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", ".", "a/./b", "a\0b"])
def test_names_that_lead_out_are_refused(root, source, name):
    for call in (
        lambda: root.put(source, name),
        lambda: root.write(name, b""),
        lambda: root.delete(name),
    ):
        with pytest.raises((ValueError, UploadError)):
            call()


def test_a_written_file_replaces_the_one_before(root):
    root.write("runs/1/deployment.json", b"one")
    root.write("runs/1/deployment.json", b"and two")
    assert root.read("runs/1/deployment.json") == b"and two"
    assert root.names("runs/1") == ["deployment.json"]


def test_a_growing_file_is_followed(root):
    name, seen = "runs/1/events.jsonl", b""
    with pytest.raises(FileNotFoundError):
        root.read(name)
    with pytest.raises(FileNotFoundError):
        root.read(name, start=10)
    for content in (b"", b"one\n", b"one\n", b"one\ntwo\n"):
        root.write(name, content)
        seen += root.read(name, start=len(seen))
        assert seen == content
    assert root.read(name, start=100) == b""
    assert root.read(name, start=2, limit=3) == b"e\nt"
    assert root.read(name, limit=3) == b"one"
    assert root.read(name, start=7, limit=100) == b"\n"
    assert root.read(name, limit=0) == b""


def test_names_are_fresh_and_of_one_folder(root):
    assert root.names("runs") == []
    root.write("runs/2/a", b"")
    root.write("runs/1/b/c", b"")
    root.write("runs-of-others/3", b"")
    assert root.names("runs") == ["1", "2"]
    root.write("runs/10", b"")
    assert root.names("runs") == ["1", "10", "2"]
    assert root.names("") == ["runs", "runs-of-others"]
    assert root.names("runs/10") == []
    assert root.names("runs/3/4") == []


def test_files_tell_size_and_time(root):
    before = root.clock()
    root.write("runs/1/a", b"12")
    root.write("runs/1/b/c", b"123")
    root.write("runs/11", b"")
    files = root.files("runs/1")
    assert [(file.name, file.bytes) for file in files] == [("runs/1/a", 2), ("runs/1/b/c", 3)]
    assert all(abs(file.modified - before) < 60 for file in files)
    assert root.stat("runs/1/a") == files[0]
    assert root.files("nothing") == []


def test_the_clock_leaves_nothing(root):
    assert abs(root.clock() - time.time()) < 60
    assert names_in(root) == []


def test_a_tree_is_fetched(root, tmp_path):
    tree = {"a": b"1", "b/c.txt": b"22", "b/d/é f": b"", "b/d/.part-0.crc": b"333"}
    for name, content in tree.items():
        root.write(f"runs/1/outputs/{name}", content)
    root.write("runs/1/outputs-2/x", b"")
    into = root.fetch("runs/1/outputs", tmp_path / "deep" / "into")
    assert into == tmp_path / "deep" / "into"
    found = {path.relative_to(into).as_posix(): path.read_bytes() for path in into.rglob("*") if path.is_file()}
    assert found == tree
    with pytest.raises(FileNotFoundError):
        root.fetch("runs/2", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_a_fetch_does_not_go_through_links(root, tmp_path):
    root.write("runs/1/a/b", b"")
    root.write("runs/1/c", b"")
    into, outside = tmp_path / "into", tmp_path / "outside"
    into.mkdir()
    outside.mkdir()
    (into / "a").symlink_to(outside)
    with pytest.raises(ClusterError, match="a link out of"):
        root.fetch("runs/1", into)
    (into / "a").unlink()
    (into / "c").symlink_to(outside / "c")
    with pytest.raises(ClusterError, match="a link out of"):
        root.fetch("runs/1", into)
    assert list(outside.iterdir()) == []


def test_delete_takes_a_folder_and_no_other(root):
    for name in ("runs/1/a", "runs/1/b/c", "runs/11/a", "runs/1-x", "runs/0"):
        root.write(name, b"x")
    assert root.delete("runs/1") == 2
    assert root.names("runs") == ["0", "1-x", "11"]
    assert root.delete("runs/1") == 0
    assert root.delete("nothing/at/all") == 0
    assert root.delete("runs/0") == 1


def test_delete_takes_no_pattern(root):
    for name in ("runs/1/a", "runs/*/a", "runs/[1]/a"):
        root.write(name, b"x")
    root.delete("runs/*")
    root.delete("runs/[1]")
    assert root.names("runs") == ["1"]


def test_delete_of_many(root):
    for number in range(12):
        root.write(f"runs/1/{number}", b"x")
    root.write("runs/1/*", b"x")
    assert root.delete("runs/1") == 13
    assert root.files("runs") == []


def test_delete_leaves_what_is_younger(root):
    root.write("runs/1/a", b"x")
    assert root.delete("runs/1", before=root.clock() - 100) is None
    assert root.exists("runs/1/a")
    assert root.delete("runs/1", before=root.clock() + 100) == 1
    assert not root.exists("runs/1/a")


def test_a_root_that_can_be_written_is_fine(root):
    assert root.check() is None
    assert root.problem() is None
    assert names_in(root) == []


def test_many_threads(root, tmp_path):
    (tmp_path / "x").write_bytes(b"x" * 100_000)
    wrong = []

    def work(number: int) -> None:
        for turn in range(5):
            root.put(tmp_path / "x", "bundles/x")
            root.write(f"runs/{number}/{turn}", b"%d" % number)
            if root.size("bundles/x") != 100_000 or root.read(f"runs/{number}/{turn}") != b"%d" % number:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert root.names("runs") == [str(number) for number in range(6)]
    assert [file.name for file in root.files("bundles")] == ["bundles/x"]


def test_only_a_folder_is_local(root, tmp_path):
    if root.is_local:
        assert root.local == tmp_path / "über root"
    else:
        with pytest.raises(ConfigurationError, match="not a folder of this machine"):
            _ = root.local


# --- folders ----------------------------------------------------------------------------------------------


def test_a_folder_needs_no_fsspec(tmp_path):
    code = (
        "import sys; from pathlib import Path; from wheelrun.orchestrators.roots import Root;"
        "root = Root.open(sys.argv[1]); root.write('a', b''); root.put(Path(sys.executable), 'b'); root.files('');"
        "sys.exit('fsspec' in sys.modules)"
    )
    for url in (str(tmp_path / "x"), (tmp_path / "y").as_uri()):
        subprocess.run([sys.executable, "-c", code, url], check=True, env={**os.environ})


def test_a_folder_is_marked_as_our_own(tmp_path):
    Root.open(str(tmp_path / "x")).write("a", b"")
    assert (tmp_path / "x" / OWN_MARK).exists()


def test_what_is_written_is_its_owners(tmp_path):
    Root.open(str(tmp_path)).write("runs/1/deployment.json", b"")
    assert (tmp_path / "runs/1/deployment.json").stat().st_mode & 0o077 == 0


def test_a_folder_that_cannot_be_made(tmp_path, source):
    (tmp_path / "file").write_text("")
    root = Root.open(str(tmp_path / "file" / "root"))
    with pytest.raises(UploadError, match=r"cannot be written: (Not a directory|File exists)") as caught:
        root.put(source, WHEEL)
    assert "artifact_root" in caught.value.hint
    assert "cannot be written" in root.check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path):
    root = Root.open(str(tmp_path))
    root.write("runs/1/a", b"")
    (tmp_path / "runs").chmod(0)
    try:
        for call in (lambda: root.read("runs/1/a"), lambda: root.names("runs"), lambda: root.files("runs")):
            with pytest.raises(ClusterError, match="Permission denied"):
                call()
    finally:
        (tmp_path / "runs").chmod(0o700)


def test_links_in_a_folder_are_passed_over(tmp_path):
    root = Root.open(str(tmp_path / "root"))
    root.write("runs/1/a", b"")
    (tmp_path / "secret").write_text("x")
    (tmp_path / "root/runs/1/link").symlink_to(tmp_path / "secret")
    (tmp_path / "root/runs/1/folder").symlink_to(tmp_path)
    root.fetch("runs/1", tmp_path / "into")
    assert [path.name for path in (tmp_path / "into").iterdir()] == ["a"]
    root.delete("runs/1")
    assert (tmp_path / "secret").exists()


def test_a_put_that_fails_leaves_nothing(tmp_path):
    root = Root.open(str(tmp_path / "root"))
    with pytest.raises(FileNotFoundError):
        root.put(tmp_path / "nothing", WHEEL)
    assert root.files("") == []


# --- URLs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "message", "hint"),
    [
        ("", "no artifact root", "artifact_root"),
        ("nope://x/y", "nope", "s3://"),
        ("s3://", "names no bucket", "s3://bucket"),
        ("file://elsewhere/x", "not a folder of this machine", "file://"),
        ("s3://bucket/x?sig=hush", "a secret in its query", "environment"),
    ],
)
def test_urls_that_cannot_be_used(url, message, hint):
    with pytest.raises(ConfigurationError, match=message) as caught:
        Root.open(url)
    assert hint in caught.value.hint
    assert "hush" not in caught.value.message


def test_a_folder_takes_no_options(tmp_path):
    with pytest.raises(ConfigurationError, match="endpoint_url"):
        Root.open(str(tmp_path), options={"endpoint_url": "x"})


@pytest.mark.parametrize(
    ("url", "missing", "hint"),
    [
        ("s3://bucket/x", "fsspec", "pip install 'wheelrun[s3]'"),
        ("s3://bucket/x", "s3fs", "pip install 'wheelrun[s3]'"),
        ("gs://bucket/x", "gcsfs", "pip install 'wheelrun[gcs]'"),
        ("abfs://container/x", "adlfs", "pip install 'wheelrun[azure]'"),
        ("hdfs://host/x", "pyarrow", "pip install 'wheelrun[hdfs]'"),
    ],
)
def test_a_missing_package_is_named(url, missing, hint):
    code = (
        "import sys; sys.modules[sys.argv[2]] = None; from wheelrun.errors import ConfigurationError;"
        "from wheelrun.orchestrators.roots import Root\n"
        "try: Root.open(sys.argv[1])\n"
        "except ConfigurationError as error: print(error.message, '|', error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code, url, missing], check=True, capture_output=True, text=True)
    message, _, said = done.stdout.strip().partition(" | ")
    assert f"needs {missing}, which is not installed" in message
    assert said == hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://AKIA:hu/sh+%2B@bucket/x", "s3://bucket/x"),
        ("webhdfs://me:hush@127.0.0.1:9/x", "webhdfs://127.0.0.1:9/x"),
        ("memory://host:8020/a@b", "memory://host:8020/a@b"),
    ],
)
def test_credentials_in_a_url_are_not_shown(url, shown, s3):
    root = Root.open(url)
    assert root.url == shown
    assert "hush" not in repr(root) + root.place("x")


def test_credentials_in_a_url_are_used(s3):
    root = s3.root("s3://AKIA:hu/sh%2B@bucket/x")
    assert (root._fs.key, root._fs.secret) == ("AKIA", "hu/sh+")


def test_a_secret_in_what_a_storage_says_is_masked():
    error = explained(OSError("no user me:hush there\nmore"), ClusterError, "x cannot be read", "webhdfs", "hush")
    assert error.message == "x cannot be read: OSError: no user me:**** there"


# --- S3 ---------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(s3):
    return s3.root(f"s3://{s3.bucket()}/root")


def test_requests_of_put(s3, bucket, source, age):
    assert s3.asked(lambda: bucket.put(source, WHEEL)) == ["GET 200", "GET 200", "PUT 200"]
    assert s3.asked(lambda: bucket.put(source, WHEEL)) == ["GET 200"]
    age(bucket, WHEEL)
    assert s3.asked(lambda: bucket.put(source, WHEEL)) == ["GET 200", "PUT 200", "GET 200"]
    assert s3.bodies == 0
    assert s3.asked(lambda: bucket.put(source, WHEEL)) == ["GET 200"]


def test_requests_of_a_follower(s3, bucket):
    name = "runs/1/events.jsonl"
    bucket.write(name, b"one\ntwo\n")
    assert s3.asked(lambda: bucket.read(name)) == ["GET 206"]
    assert s3.asked(lambda: bucket.read(name, start=4)) == ["GET 206"]
    assert s3.asked(lambda: bucket.read(name, start=8)) == ["GET 416"]
    assert s3.asked(lambda: bucket.write(name, b"one\n")) == ["PUT 200"]
    assert s3.asked(lambda: bucket.names("runs/1")) == ["GET 200"]

    def missing() -> None:
        with pytest.raises(FileNotFoundError):
            bucket.read("runs/2/events.jsonl", start=8)

    assert s3.asked(missing) == ["GET 404"]


def test_requests_of_a_fetch_and_a_delete(s3, bucket, tmp_path):
    for number in range(10):
        bucket.write(f"runs/1/{number}", b"x")
    assert sorted(s3.asked(lambda: bucket.fetch("runs/1", tmp_path / "into"))) == ["GET 200"] * 11
    assert s3.asked(lambda: bucket.delete("runs/1"))[:2] == ["GET 200", "POST 200"]


def test_others_see_at_once_what_was_written(s3, bucket):
    other = s3.client
    name = bucket.url.split("/")[2]
    assert bucket.names("runs") == []
    other.put_object(Bucket=name, Key="root/runs/1/a", Body=b"x")
    assert bucket.names("runs") == ["1"]
    assert bucket.exists("runs/1/a")
    other.delete_object(Bucket=name, Key="root/runs/1/a")
    assert bucket.names("runs") == []
    assert not bucket.exists("runs/1/a")


@pytest.mark.parametrize("key", ["../../escaped", "a/../../../escaped", "a//b", "/abs", "./x", "ok/.."])
def test_a_hostile_key_is_not_fetched(s3, bucket, tmp_path, key):
    client, name = s3.client, bucket.url.split("/")[2]
    client.put_object(Bucket=name, Key="root/runs/1/fine", Body=b"x")
    client.put_object(Bucket=name, Key=f"root/runs/1/{key}", Body=b"x")
    with pytest.raises(ClusterError, match="would be written elsewhere"):
        bucket.fetch("runs/1", tmp_path / "a" / "b" / "into")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_marks_of_folders_are_passed_over(s3, bucket, tmp_path):
    client, name = s3.client, bucket.url.split("/")[2]
    for key in ("root/", "root/runs/", "root/runs/1/", "root/runs/1/a"):
        client.put_object(Bucket=name, Key=key, Body=b"")
    assert bucket.names("") == ["runs"]
    assert bucket.names("runs") == ["1"]
    assert [file.name for file in bucket.files("runs")] == ["runs/1/a"]
    assert [path.name for path in bucket.fetch("runs/1", tmp_path / "into").iterdir()] == ["a"]


def test_a_bucket_that_is_not_there(s3, source):
    root = s3.root("s3://no-such-bucket/x")
    for call, kind in everything(root, source):
        with pytest.raises(kind, match="there is no such bucket") as caught:
            call()
        assert "make the bucket" in caught.value.hint
        assert "s3://no-such-bucket/x" in caught.value.message
    assert "there is no such bucket" in root.check()


def test_credentials_that_are_refused(s3, bucket, source):
    import requests

    requests.post(f"{s3.url}/moto-api/reset-auth", data=b"0", timeout=10).close()
    try:
        for call, kind in everything(bucket, source):
            with pytest.raises(kind, match=r"credentials are refused|access is denied") as caught:
                call()
            assert "AWS_PROFILE" in caught.value.hint
            assert "\n" not in caught.value.message
        assert "credentials are refused" in bucket.check()
    finally:
        requests.post(f"{s3.url}/moto-api/reset-auth", data=b"Infinity", timeout=10).close()


def test_no_credentials(s3, source, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    root = s3.root("s3://bucket/x", skip_instance_cache=True)
    for call, kind in everything(root, source):
        with pytest.raises(kind, match="no credentials were found"):
            call()
    with pytest.raises(ClusterError, match="no such profile"):
        s3.root("s3://bucket/x", profile="nobody").read("x")


def test_a_server_that_is_gone(s3, source):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        root = Root.open(
            "s3://bucket/x", options={"endpoint_url": f"http://127.0.0.1:{free.getsockname()[1]}"}
        )  # bound, and nobody listens
        for call, kind in everything(root, source):
            with pytest.raises(kind, match="it cannot be reached"):
                call()


def test_a_server_that_does_not_answer(s3, source, monkeypatch):
    monkeypatch.setattr(remote_root, "_SHORT", 0.5)
    monkeypatch.setattr(remote_root, "_LONG", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        root = Root.open("s3://bucket/x", options={"endpoint_url": f"http://127.0.0.1:{silent.getsockname()[1]}"})
        for call, kind in everything(root, source):
            with pytest.raises(kind, match="it did not answer in time"):
                call()


def everything(root, source):
    return [
        (lambda: root.put(source, WHEEL), UploadError),
        (lambda: root.write("a", b""), UploadError),
        (lambda: root.read("a"), ClusterError),
        (lambda: root.read("a", start=5), ClusterError),
        (lambda: root.size("a"), ClusterError),
        (lambda: root.names("a"), ClusterError),
        (lambda: root.files("a"), ClusterError),
    ]


# --- storages with folders: what HDFS is to fsspec --------------------------------------------------------


@pytest.fixture
def hadoop_like(tmp_path):
    """A root through Arrow's filesystems, as HDFS is, that renames onto no file."""
    import fsspec
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow.fs import LocalFileSystem

    class Hadoop(ArrowFSWrapper):
        cachable = False

        def __init__(self, **options):
            super().__init__(LocalFileSystem(), **options)

        def mv(self, path1, path2, **options):
            if Path(path2).exists():
                raise OSError(f"HDFS Rename failed, errno: 5 {path2}")
            super().mv(path1, path2, **options)

    fsspec.register_implementation("hadoop", Hadoop, clobber=True)
    return Root.open(f"hadoop://{tmp_path}/root")


def test_a_storage_with_folders(hadoop_like, source, tmp_path):
    root = hadoop_like
    assert root.check() is None
    assert root.put(source, WHEEL) == 7
    assert root.put(source, WHEEL) == 0
    root.write("runs/1/events.jsonl", b"one\n")
    root.write("runs/1/events.jsonl", b"one\ntwo\n")
    assert root.read("runs/1/events.jsonl", start=4) == b"two\n"
    assert root.read("runs/1/events.jsonl", start=4, limit=2) == b"tw"
    assert root.read("runs/1/events.jsonl") == b"one\ntwo\n"
    assert root.read("runs/1/events.jsonl", start=8) == b""
    assert root.read("runs/1/events.jsonl", start=100) == b""
    with pytest.raises(FileNotFoundError):
        root.read("runs/2/events.jsonl", start=100)
    assert root.names("runs") == ["1"]
    assert root.names("runs/2") == []
    assert abs(root.stat(WHEEL).modified - root.clock()) < 60
    assert (root.fetch("runs", tmp_path / "into") / "1/events.jsonl").read_bytes() == b"one\ntwo\n"
    assert root.delete("runs/1", before=root.clock() - 100) is None
    assert root.delete("runs/1") == 8
    assert root.names("runs") == []
    assert [file.name for file in root.files("")] == [WHEEL]
    assert USED not in root.names(WHEEL.rpartition("/")[0])


def test_a_file_that_cannot_be_renamed_leaves_nothing(hadoop_like, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hadoop_like._fs, "mv", refuse, raising=False)
    with pytest.raises(UploadError, match="no room left"):
        hadoop_like.write("runs/1/a", b"x")
    assert hadoop_like.files("") == []


def test_only_one_can_create_a_file(root):
    assert root.create("claims/1", b"me")
    assert not root.create("claims/1", b"you")
    assert root.read("claims/1") == b"me"
