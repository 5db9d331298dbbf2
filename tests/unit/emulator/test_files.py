from __future__ import annotations

import io
import os
import time
from datetime import datetime, timedelta, timezone

import pytest
import requests
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config
from databricks.sdk.errors import AlreadyExists, BadRequest, DatabricksError, InvalidParameterValue, NotFound
from databricks.sdk.service.catalog import VolumeType

VOLUME = "/Volumes/main/default/wheelrun"


@pytest.fixture
def parts(emulator):
    """A client that sends all but the smallest files in parts of 1 MiB."""
    config = Config(host=emulator.host, token=emulator.token)
    config.files_ext_multipart_upload_min_stream_size = 1
    return WorkspaceClient(config=config)


def call(emulator, method, path, **options):
    headers = {"Authorization": f"Bearer {emulator.token}", **options.pop("headers", {})}
    return requests.request(method, f"{emulator.host}{path}", headers=headers, timeout=10, **options)


def test_a_file_goes_and_comes_back(workspace, emulator):
    content = os.urandom(3 << 20)
    workspace.files.upload(f"{VOLUME}/a/b.whl", io.BytesIO(content))
    assert workspace.files.download(f"{VOLUME}/a/b.whl").contents.read() == content
    told = workspace.files.get_metadata(f"{VOLUME}/a/b.whl")
    assert (told.content_length, told.content_type) == (len(content), "application/octet-stream")
    place = emulator.volumes / "main/default/wheelrun/a/b.whl"
    assert place.read_bytes() == content
    assert place.stat().st_mode & 0o777 == 0o600


def test_an_empty_file(workspace):
    workspace.files.upload(f"{VOLUME}/empty", io.BytesIO(b""))
    assert workspace.files.download(f"{VOLUME}/empty").contents.read() == b""


def test_a_file_stays_when_it_is_not_to_be_replaced(workspace):
    workspace.files.upload(f"{VOLUME}/a", io.BytesIO(b"1"))
    with pytest.raises(AlreadyExists):
        workspace.files.upload(f"{VOLUME}/a", io.BytesIO(b"2"), overwrite=False)
    assert workspace.files.download(f"{VOLUME}/a").contents.read() == b"1"
    workspace.files.upload(f"{VOLUME}/a", io.BytesIO(b"2"))
    assert workspace.files.download(f"{VOLUME}/a").contents.read() == b"2"
    workspace.files.delete(f"{VOLUME}/a")
    with pytest.raises(NotFound):
        workspace.files.delete(f"{VOLUME}/a")


def test_a_large_stream_goes_in_parts(parts, emulator):
    content = os.urandom((4 << 20) + 17)
    parts.files.upload(f"{VOLUME}/large", io.BytesIO(content), part_size=1 << 20, parallelism=3)
    assert (emulator.volumes / "main/default/wheelrun/large").read_bytes() == content
    assert not list(emulator.partial.iterdir())
    with pytest.raises(AlreadyExists):
        parts.files.upload(f"{VOLUME}/large", io.BytesIO(content), part_size=1 << 20, overwrite=False)


def test_a_large_file_goes_in_parts_and_comes_in_ranges(parts, tmp_path):
    (tmp_path / "a").write_bytes(os.urandom((3 << 20) + 1))
    parts.files.upload_from(f"{VOLUME}/large", str(tmp_path / "a"), part_size=1 << 20)
    parts.config.files_ext_parallel_download_min_file_size = 1
    parts.files.download_to(f"{VOLUME}/large", str(tmp_path / "b"), use_parallel=True, parallelism=2)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()


class TestUpload:
    def begin(self, emulator, path="a"):
        answer = call(emulator, "POST", f"/api/2.0/fs/files{VOLUME}/{path}?action=initiate-upload&overwrite=false")
        return answer.json()["multipart_upload"]["session_token"]

    def url(self, emulator, token, number=1, seconds=60):
        expires = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        body = {
            "path": f"{VOLUME}/a",
            "session_token": token,
            "start_part_number": number,
            "count": 1,
            "expire_time": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        answer = call(emulator, "POST", "/api/2.0/fs/create-upload-part-urls", json=body)
        return answer.json()["upload_part_urls"][0]["url"]

    def complete(self, emulator, token, parts):
        path = f"/api/2.0/fs/files{VOLUME}/a?action=complete-upload&upload_type=multipart&session_token={token}"
        return call(emulator, "POST", path, json={"parts": parts})

    def test_nothing_is_there_before_it_is_complete(self, emulator, workspace):
        token = self.begin(emulator)
        tags = [requests.put(self.url(emulator, token, n), data=b"%d" % n, timeout=9).headers["etag"] for n in (1, 2)]
        with pytest.raises(NotFound):
            workspace.files.get_metadata(f"{VOLUME}/a")
        wrong = self.complete(emulator, token, [{"part_number": 1, "etag": tags[1]}])
        assert wrong.status_code == 400
        listed = [{"part_number": 2, "etag": tags[1]}, {"part_number": 1, "etag": tags[0]}]
        assert self.complete(emulator, token, listed).status_code == 200
        assert workspace.files.download(f"{VOLUME}/a").contents.read() == b"12"
        assert self.complete(emulator, token, listed).status_code == 404

    def test_one_that_is_aborted_leaves_nothing(self, emulator, workspace):
        token = self.begin(emulator)
        url = self.url(emulator, token)
        requests.put(url, data=b"1", timeout=9)
        path = f"/api/2.0/fs/files{VOLUME}/a?action=abort-upload&upload_type=multipart&session_token={token}"
        assert call(emulator, "POST", path).status_code == 200
        assert not list(emulator.partial.iterdir())
        assert requests.put(url, data=b"1", timeout=9).status_code == 404

    def test_an_address_is_good_for_one_part_and_one_time(self, emulator):
        token = self.begin(emulator)
        late = requests.put(self.url(emulator, token, seconds=-1), data=b"1", timeout=9)
        assert (late.status_code, "Request has expired" in late.text) == (403, True)
        url = self.url(emulator, token)
        for other in (url.replace("/1?", "/2?"), url.partition("?")[0], url.replace("expires=", "expires=9")):
            assert requests.put(other, data=b"1", timeout=9).status_code == 403
        assert requests.get(url, timeout=9).status_code == 405

    def test_a_session_is_for_one_path(self, emulator):
        token = self.begin(emulator, "other")
        assert self.complete(emulator, token, [{"part_number": 1, "etag": "x"}]).status_code == 404


def test_a_download_goes_on_only_in_the_same_file(emulator, workspace):
    workspace.files.upload(f"{VOLUME}/a", io.BytesIO(b"0123456789"))
    path = f"/api/2.0/fs/files{VOLUME}/a"
    answer = call(emulator, "GET", path, headers={"Range": "bytes=3-"})
    assert (answer.status_code, answer.content) == (206, b"3456789")
    same = {"Range": "bytes=3-", "If-Unmodified-Since": answer.headers["last-modified"]}
    assert call(emulator, "GET", path, headers=same).status_code == 206
    later = time.time() + 5
    os.utime(emulator.volumes / "main/default/wheelrun/a", (later, later))
    assert call(emulator, "GET", path, headers=same).status_code == 412


def test_directories(workspace):
    workspace.files.create_directory(f"{VOLUME}/d/e")
    workspace.files.create_directory(f"{VOLUME}/d/e")
    workspace.files.get_directory_metadata(f"{VOLUME}/d/e")
    workspace.files.upload(f"{VOLUME}/d/f", io.BytesIO(b"123"))
    listed = list(workspace.files.list_directory_contents(f"{VOLUME}/d"))
    assert [(item.path, item.name, item.is_directory, item.file_size) for item in listed] == [
        (f"{VOLUME}/d/e", "e", True, None),
        (f"{VOLUME}/d/f", "f", False, 3),
    ]
    with pytest.raises(BadRequest, match="not empty") as caught:
        workspace.files.delete_directory(f"{VOLUME}/d")
    assert caught.value.get_error_details().error_info.reason == "FILES_API_DIRECTORY_IS_NOT_EMPTY"
    workspace.files.delete_directory(f"{VOLUME}/d/e")
    with pytest.raises(NotFound):
        workspace.files.get_directory_metadata(f"{VOLUME}/d/e")
    with pytest.raises(NotFound):
        list(workspace.files.list_directory_contents(f"{VOLUME}/d/e"))


def test_a_long_directory_comes_in_pages(workspace, emulator):
    for number in range(25):
        (emulator.volumes / "main/default/wheelrun" / f"{number:02}").touch()
    found = [item.name for item in workspace.files.list_directory_contents(VOLUME, page_size=7)]
    assert found == [f"{number:02}" for number in range(25)]
    first = call(emulator, "GET", f"/api/2.0/fs/directories{VOLUME}?page_size=7").json()
    assert len(first["contents"]) == 7
    assert call(emulator, "GET", f"/api/2.0/fs/directories{VOLUME}?page_token=%00").status_code == 400


def test_a_file_is_no_directory_and_the_other_way_round(workspace):
    workspace.files.create_directory(f"{VOLUME}/d")
    workspace.files.upload(f"{VOLUME}/f", io.BytesIO(b""))
    for wrong in (
        lambda: workspace.files.get_metadata(f"{VOLUME}/d"),
        lambda: workspace.files.get_directory_metadata(f"{VOLUME}/f"),
        lambda: workspace.files.delete(f"{VOLUME}/d"),
        lambda: workspace.files.delete_directory(f"{VOLUME}/f"),
    ):
        with pytest.raises(NotFound):
            wrong()
    with pytest.raises(DatabricksError):
        workspace.files.upload(f"{VOLUME}/d", io.BytesIO(b""))
    with pytest.raises(DatabricksError):
        workspace.files.create_directory(f"{VOLUME}/f/g")


@pytest.mark.parametrize("path", ["/Workspace/Shared/a", "/Volumes/main/default", VOLUME, f"{VOLUME}/../../../a"])
def test_a_path_in_no_volume(emulator, path):
    for method in ("PUT", "GET", "DELETE"):
        answer = call(emulator, method, f"/api/2.0/fs/files{path.replace('..', '%2E%2E')}", data=b"")
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_no_link_is_followed(workspace, emulator, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (emulator.volumes / "main/default/wheelrun/link").symlink_to(tmp_path)
    for path in (f"{VOLUME}/link/secret", f"{VOLUME}/link"):
        with pytest.raises(InvalidParameterValue, match="goes through a link"):
            workspace.files.download(path)


def test_volumes(workspace, emulator):
    made = workspace.volumes.create("main", "jobs", "store", VolumeType.MANAGED, comment="c")
    assert (made.full_name, made.volume_type) == ("main.jobs.store", VolumeType.MANAGED)
    with pytest.raises(DatabricksError, match="already exists"):
        workspace.volumes.create("main", "jobs", "store", VolumeType.MANAGED)
    assert [item.name for item in workspace.volumes.list("main", "jobs")] == ["store"]
    assert workspace.volumes.read("main.default.wheelrun").name == "wheelrun"
    workspace.files.upload("/Volumes/main/jobs/store/a", io.BytesIO(b""))
    workspace.volumes.delete("main.jobs.store")
    with pytest.raises(NotFound, match=r"Volume 'main.jobs.store' does not exist"):
        workspace.files.upload("/Volumes/main/jobs/store/a", io.BytesIO(b""))
    with pytest.raises(NotFound):
        workspace.volumes.read("main.jobs.store")
    assert not (emulator.volumes / "main/jobs/store").exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", "a.b"])
def test_a_name_that_is_none(workspace, name):
    with pytest.raises(DatabricksError):
        workspace.volumes.create("main", "default", name, VolumeType.MANAGED)
