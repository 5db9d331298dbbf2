"""Patterns of ignore files; that they are git's is shown in test_ignore_against_git.py."""

from __future__ import annotations

import pytest

from wheelrun.packaging.gitignore import PatternTable, byte_text, parse, translate


def decide(content: str, path: str, *, is_dir: bool = False) -> str | None:
    pattern = PatternTable(parse(content.encode())).decide(
        byte_text(path.rpartition("/")[2]), byte_text(path), is_dir=is_dir
    )
    return pattern and pattern.text


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("*.log", "a/b.log"),
        ("name", "a/b/name"),
        (".env*", "x/.env.local"),
        ("/build", "build"),
        ("docs/_build", "docs/_build"),
        ("**/deep.txt", "a/b/deep.txt"),
        ("a/**/z", "a/z"),
        ("a/**/z", "a/b/c/z"),
        ("a/**", "a/b"),
        ("*.py[co]", "x.pyc"),
        ("[!a]x", "bx"),
        ("[[:digit:]]", "7"),
        ("[]-]", "-"),
        (r"\#kept", "#kept"),
        (r"\!kept", "!kept"),
        (r"end\ ", "end "),
        ("end   ", "end"),
        ("crlf\r\n", "crlf"),
        ("\ufeffbom", "bom"),
        ("données/*.csv", "données/été.csv"),
        ("h??", "hé"),
        ("a*b*c", "a-b\n-c"),
        ("foo**/bar", "foo/x/bar"),
    ],
)
def test_matches(content: str, path: str) -> None:
    assert decide(content, path) is not None


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("# comment", "# comment"),
        ("", "x"),
        ("/", "x"),
        ("/build", "a/build"),
        ("a/b", "x/a/b"),
        ("a/*", "a/b/c"),
        ("a/*/z", "a/z"),
        ("a?z", "a/z"),
        ("x\\", "x"),
        ("[ab", "[ab"),
        ("[[:nothing:]]", "n"),
        ("[^a]", "a"),
        ("h?", "hé"),
        ("folder/", "folder"),
        ("[a-", "a"),
        ("[a-\\", "a"),
    ],
)
def test_does_not_match(content: str, path: str) -> None:
    assert decide(content, path) is None


def test_the_last_match_decides_whatever_kind_it_is_of() -> None:
    assert decide("*.log\n!keep.log\n", "keep.log") == "!keep.log"
    assert decide("!keep.log\n*.log\n", "keep.log") == "*.log"
    assert decide("keep.log\n!k*\n/keep.log\n![k]eep.log\n", "keep.log") == "![k]eep.log"
    assert decide("![k]eep.log\n!k*\n/keep.log\n", "keep.log") == "/keep.log"
    assert decide("a/[x]\n!a/x\n", "a/x") == "!a/x"


def test_a_slash_at_the_end_means_folders() -> None:
    assert decide("folder/", "folder", is_dir=True) == "folder/"
    assert decide("x/**/", "x/y", is_dir=True) == "x/**/"


def test_lines_are_counted_as_an_editor_does() -> None:
    assert [(pattern.line, pattern.text) for pattern in parse(b"# one\n\nthree\n!four/\n")] == [
        (3, "three"),
        (4, "!four/"),
    ]


def test_text_of_a_pattern_is_readable() -> None:
    assert parse("été".encode())[0].text == "été"


def test_nothing_to_match_is_no_expression() -> None:
    assert translate("[", whole_path=False) is None
    assert translate("a\\", whole_path=True) is None
