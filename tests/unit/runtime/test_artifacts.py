"""Values as files: whole or not at all, and back."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from wheelrun.errors import UploadError
from wheelrun.runtime import artifacts


class Thing:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return self.value == other.value

    __hash__ = None


@pytest.mark.parametrize(
    ("value", "kind"),
    [({"a": [1, 2.5, None]}, "json"), ((1, 2), "json"), ("ü\ud800", "json"), ({1, 2}, "pickle")],
)
def test_round_trip(tmp_path, value, kind):
    meta = artifacts.save(tmp_path / "out", value)
    assert artifacts.load(tmp_path / "out") == value
    assert meta["format"] == kind
    assert meta["bytes"] > 0
    assert artifacts.describe(tmp_path / "out") == meta


def test_the_pickled_type_is_named(tmp_path):
    assert artifacts.save(tmp_path / "out", {1, 2})["type"] == "set"


def test_pandas_frames_are_parquet_with_rows(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})
    meta = artifacts.save(tmp_path / "out", frame)
    assert (meta["format"], meta["rows"]) == ("parquet", 3)
    pd.testing.assert_frame_equal(artifacts.load(tmp_path / "out"), frame)


def test_what_cannot_be_stored_is_named_and_leaves_nothing(tmp_path):
    with pytest.raises(artifacts.OutputError, match=r"type _thread\.lock"):
        artifacts.save(tmp_path / "out", threading.Lock())
    assert list(tmp_path.iterdir()) == []


def test_writing_again_replaces(tmp_path):
    artifacts.save(tmp_path / "out", {1})
    artifacts.save(tmp_path / "out", 2)
    assert artifacts.load(tmp_path / "out") == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["meta.json", "value.json"]


def test_the_step_cache_gives_outputs_only_while_they_are_there(tmp_path):
    meta = artifacts.save(tmp_path / "out", 1)
    index = tmp_path / "steps" / "key.json"
    assert artifacts.recall(index) is None
    artifacts.remember(index, {"result": tmp_path / "out"}, [meta])
    outputs, described = artifacts.recall(index)
    assert outputs == {"result": tmp_path / "out"}
    assert described == [meta]
    artifacts.adopt(tmp_path / "out", tmp_path / "runs" / "x" / "out")
    assert artifacts.load(tmp_path / "runs" / "x" / "out") == 1
    (tmp_path / "out" / "meta.json").unlink()
    assert artifacts.recall(index) is None


def test_attributes_of_a_frame_that_have_no_form_are_left_out(tmp_path):
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"unit": "m", "metrics": [object()]}
    artifacts.save(tmp_path / "out", frame)
    assert artifacts.load(tmp_path / "out").attrs == {"unit": "m"}
    assert len(frame.attrs) == 2


def test_a_frame_that_was_written_to_another_disk_is_an_error(tmp_path):
    def elsewhere(_url):
        """A server on another machine: the files are there, not here."""

    kind = type("DataFrame", (), {"__module__": "pyspark.sql.connect.dataframe"})
    frame = kind()
    frame.write = SimpleNamespace(parquet=elsewhere)
    with pytest.raises(UploadError, match=r"the Connect server has written a frame .* another disk") as caught:
        artifacts.save(tmp_path / "out", frame)
    assert "artifact_root" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_frame_whose_parts_are_on_other_machines_is_an_error(tmp_path):
    def only_the_mark(url):
        folder = Path(url.removeprefix("file://"))
        folder.mkdir()
        (folder / "_SUCCESS").touch()

    frame = type("DataFrame", (), {"__module__": "pyspark.sql.classic.dataframe"})()
    frame.write = SimpleNamespace(parquet=only_the_mark)
    with pytest.raises(UploadError, match="Spark has written a frame"):
        artifacts.save(tmp_path / "out", frame)
