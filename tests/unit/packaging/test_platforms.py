from __future__ import annotations

from pathlib import Path

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.packaging.platforms import Platform, compiled_extensions, fits
from wheelrun.packaging.wheel import Wheel


def wheel(tags: str = "py3-none-any", files: tuple[str, ...] = ()) -> Wheel:
    path = Path(f"/w/shop-1.0+w0123456789ab-{tags}.whl")
    return Wheel(path=path, name="shop", version="1.0+w0123456789ab", digest="d" * 64, files=files, size=1)


def test_what_is_compiled() -> None:
    found = ("a/fast.cpython-311-x86_64-linux-gnu.so", "a/libx.so.3.1", "a/win.PYD", "a/x.dll", "a/y.dylib")
    assert compiled_extensions(wheel(files=("a/__init__.py", *found, "a/so.py", "a/notes.so.txt"))) == found
    assert compiled_extensions(wheel(files=("a/__init__.py",))) == ()


@pytest.mark.parametrize(
    ("tags", "word", "expected"),
    [
        ("py3-none-any", "x86_64-manylinux_2_28", True),
        ("py3-none-any", "windows", True),
        ("py2.py3-none-any", "macos", True),
        ("cp311-cp311-linux_x86_64", "x86_64-manylinux_2_28", True),
        ("cp311-cp311-linux_x86_64", "aarch64-manylinux_2_28", False),
        ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", "linux", True),
        ("cp311-cp311-manylinux1_x86_64", "x86_64-manylinux_2_28", True),
        ("cp311-cp311-manylinux_2_31_x86_64", "x86_64-manylinux_2_28", False),
        ("cp311-cp311-manylinux_2_28_aarch64", "aarch64-unknown-linux-gnu", True),
        ("cp311-cp311-manylinux_2_12_x86_64", "x86_64-manylinux2014", True),
        ("cp312-cp312-manylinux_2_17_x86_64", "x86_64-manylinux_2_28", False),
        ("cp38-abi3-manylinux_2_17_x86_64", "x86_64-manylinux_2_28", True),
        ("cp312-abi3-manylinux_2_17_x86_64", "x86_64-manylinux_2_28", False),
        ("py3-none-manylinux_2_17_x86_64", "x86_64-manylinux_2_28", True),
        ("cp311-cp311-musllinux_1_1_x86_64", "x86_64-manylinux_2_28", False),
        ("cp311-cp311-musllinux_1_1_x86_64", "x86_64-unknown-linux-musl", True),
        ("cp311-cp311-macosx_11_0_arm64", "macos", True),
        ("cp311-cp311-macosx_14_0_arm64", "aarch64-apple-darwin", False),
        ("cp311-cp311-win_amd64", "windows", True),
        ("cp311-cp311-win_amd64", "linux", False),
    ],
)
def test_whether_tags_fit(tags: str, word: str, expected: bool) -> None:
    assert fits(wheel(tags), Platform("3.11", word)) is expected


def test_a_word_that_nobody_knows() -> None:
    with pytest.raises(ConfigurationError, match="x86_64-manylinux_2-28") as caught:
        fits(wheel(), Platform("3.11", "x86_64-manylinux_2-28"))
    assert "'x86_64-manylinux_2_28'" in (caught.value.hint or "")
    with pytest.raises(ConfigurationError) as caught:
        fits(wheel(), Platform("3.11", "?"))
    assert "as uv does" in (caught.value.hint or "")


@pytest.mark.parametrize("python", ["3", "3.11.7", "py311", "2.7", "--help", ""])
def test_no_version_of_python(python: str) -> None:
    with pytest.raises(ConfigurationError, match="no version of Python"):
        Platform(python)


def test_a_platform_in_words() -> None:
    assert str(Platform("3.12")) == "Python 3.12 on x86_64-manylinux_2_28"
