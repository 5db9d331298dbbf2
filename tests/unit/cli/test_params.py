from __future__ import annotations

from pathlib import Path

import pytest

from wheelrun.cli.params import read_params
from wheelrun.errors import UsageError


@pytest.mark.parametrize(("name", "text"), [("p.json", '{"n": 3, "tags": ["a"]}'), ("p.TOML", 'n = 3\ntags = ["a"]\n')])
def test_a_table_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_params(tmp_path / name) == {"n": 3, "tags": ["a"]}


def test_yaml_where_it_is_installed(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "p.yaml").write_text("n: 3\n")
    assert read_params(tmp_path / "p.yaml") == {"n": 3}
    (tmp_path / "p.yaml").write_text("n: [3\n")
    with pytest.raises(UsageError, match="not valid YAML"):
        read_params(tmp_path / "p.yaml")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("p.json", "{", "not valid JSON"),
        ("p.json", "[1]", "not a table"),
        ("p.toml", "n = ", "not valid TOML"),
        ("p.txt", "", "not a parameter file"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        read_params(tmp_path / name)
