"""Growing files in whole parts."""

from __future__ import annotations

from wheelrun.runtime.parts import EVENTS, MOST, STDOUT, Part, PartReader, PartWriter, parts, task_key


def test_names_are_read_back_and_sorted():
    names = ["0002-stdout-000000-5.part", "0001-events-000001-7.part", "other", "0001-events-000000-7.part", ".x"]
    assert [part.name for part in parts(names)] == [names[3], names[1], names[0]]
    assert parts(names, STDOUT) == [Part(2, STDOUT, 0, 5)]


def test_what_is_new_goes_into_the_next_part(tmp_path):
    source, folder = tmp_path / "log", tmp_path / "parts"
    folder.mkdir()
    writer = PartWriter(source, folder, 3, STDOUT)
    assert not writer.copy()
    source.write_bytes(b"one\n")
    assert writer.copy()
    assert not writer.copy()
    with source.open("ab") as stream:
        stream.write(b"two\nthree")
    assert writer.copy(limit=8)
    assert writer.copy()
    assert [(path.name, path.read_bytes()) for path in sorted(folder.iterdir())] == [
        ("0003-stdout-000000-4.part", b"one\n"),
        ("0003-stdout-000001-4.part", b"two\n"),
        ("0003-stdout-000002-5.part", b"three"),
    ]


def test_a_part_that_is_full_ends_with_a_line(tmp_path):
    source = tmp_path / "log"
    source.write_bytes(b"x" * (MOST - 10) + b"\n" + b"y" * 20 + b"\n")
    PartWriter(source, tmp_path, 1, EVENTS).copy()
    assert [part.bytes for part in parts(path.name for path in tmp_path.iterdir())] == [MOST - 9, 21]


def test_a_reader_takes_each_part_once_and_in_order():
    reader = PartReader(STDOUT)
    first, second, other = Part(1, STDOUT, 0, 1), Part(1, STDOUT, 1, 1), Part(2, STDOUT, 0, 1)
    assert list(reader.due([second.name])) == []
    assert [part for part in reader.due([second.name, first.name, other.name]) if reader.took(part) is None] == [
        first,
        second,
        other,
    ]
    assert reader.has_read
    assert list(reader.due([second.name, first.name, other.name])) == []


def test_a_part_that_is_not_whole_yet_is_due_again():
    reader, part = PartReader(), Part(1, STDOUT, 0, 9)
    assert list(reader.due([part.name])) == [part]
    assert list(reader.due([part.name])) == [part]


def test_keys_are_the_names_where_they_can_be():
    assert task_key("load_1-a") == "load_1-a"
    assert task_key("größe") != task_key("größer")
    assert len(task_key("x" * 300)) <= 100
    assert task_key("日本").isascii()
