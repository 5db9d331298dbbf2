from __future__ import annotations

from pathlib import Path

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.packaging.requirements import read_requirements


def read(root: Path, text: str | bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    path = root / "requirements.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_requirements(path, root.resolve())


def test_named_requirements_stay_as_they_are(tmp_path: Path) -> None:
    text = """
# a comment
pandas>=2,<3  # why
requests[socks] ~= 2.31 ; python_version < "3.13"
pyspark==3.5.1
tool @ https://example.com/tool-1.0.zip
pandas>=2,<3
bare
"""
    found, warnings = read(tmp_path, text)
    assert found == (
        "pandas>=2,<3",
        'requests[socks] ~= 2.31 ; python_version < "3.13"',
        "pyspark==3.5.1",
        "tool @ https://example.com/tool-1.0.zip",
        "bare",
    )
    assert warnings == ()


def test_hashes_and_continued_lines(tmp_path: Path) -> None:
    found, warnings = read(tmp_path, "six==1.16.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nattrs\\\n>=23\n")
    assert found == ("six==1.16.0", "attrs >=23")
    assert warnings == ()


def test_includes_are_followed_once_and_inside_the_root_only(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "deps").mkdir(parents=True)
    (tmp_path / "outside.txt").write_text("evil\n")
    (root / "deps/base.txt").write_text("numpy\n-r ../requirements.txt\n--requirement=more.txt\n")
    (root / "deps/more.txt").write_text("scipy\n")
    found, warnings = read(root, "-r deps/base.txt\n-rdeps/more.txt\n-r ../outside.txt\npolars\n")
    assert found == ("numpy", "scipy", "polars")
    assert warnings == ("requirements.txt:3 is left out: it includes ../outside.txt, which is outside the project",)


def test_a_missing_include_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"requirements.txt:2 includes gone.txt, which is not there"):
        read(tmp_path, "x\n-r gone.txt\n")


def test_what_a_wheel_cannot_say_is_a_warning_without_the_line_itself(tmp_path: Path) -> None:
    found, warnings = read(
        tmp_path,
        "-e .\n.\n-e ../lib\n-c limits.txt\n--index-url https://user:token@example.com/simple\n"
        "git+https://token@example.com/x.git\n./local/thing\nthing-1.0-py3-none-any.whl\n--pre\n",
    )
    assert found == ()
    assert [warning.partition(" is left out: ")[0] for warning in warnings] == [
        f"requirements.txt:{line}" for line in (3, 4, 5, 6, 7, 8, 9)
    ]
    assert "token" not in "".join(warnings)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_encodings_that_say_so(tmp_path: Path, encoding: str) -> None:
    assert read(tmp_path, "pandas>=2\r\nnumpy\r\n".encode(encoding))[0] == ("pandas>=2", "numpy")


def test_another_encoding_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        read(tmp_path, b"# caf\xe9\n")
