"""The machine that a bundle is for, and whether a wheel with compiled code suits it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wheelrun.errors import ConfigurationError, nearest
from wheelrun.packaging.wheel import Wheel

#: Names of compiled code: extension modules and shared libraries, neither of which loads out of an archive.
_COMPILED = re.compile(r"\.(?:so|pyd|dylib|dll)(?:\.[0-9.]+)?\Z", re.IGNORECASE)
_PYTHON = re.compile(r"3\.\d+")
_MANYLINUX = re.compile(r"(x86_64|aarch64)-manylinux_2_(\d+)")
# uv's other words for the same.
_ALIASES = {
    "linux": "x86_64-manylinux_2_28",
    "x86_64-unknown-linux-gnu": "x86_64-manylinux_2_28",
    "aarch64-unknown-linux-gnu": "aarch64-manylinux_2_28",
    "x86_64-manylinux2014": "x86_64-manylinux_2_17",
    "aarch64-manylinux2014": "aarch64-manylinux_2_17",
    "windows": "x86_64-pc-windows-msvc",
    "macos": "aarch64-apple-darwin",
}
_MUSL = {"x86_64-unknown-linux-musl": "x86_64", "aarch64-unknown-linux-musl": "aarch64"}
_WINDOWS = {
    "x86_64-pc-windows-msvc": "win_amd64",
    "aarch64-pc-windows-msvc": "win_arm64",
    "i686-pc-windows-msvc": "win32",
}
_MACOS = {"aarch64-apple-darwin": "arm64", "x86_64-apple-darwin": "x86_64"}
# What uv takes for the target's system where the word does not say it.
_MACOS_VERSION = (13, 0)
_MUSL_MINOR = 2
# The glibc with which each architecture's wheels begin, and the names that some had before PEP 600.
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


@dataclass(frozen=True, slots=True)
class Platform:
    """The Python and the system of the machines that a bundle is unpacked on.

    Attributes:
        python: The minor version: "3.11".
        tag: The system in the words of uv's `--python-platform`. The default is any Linux of glibc 2.28 or later
            on x86-64: Debian 10, RHEL 8, Ubuntu 20.04 and all that came after them.

    Raises:
        ConfigurationError: `python` is no minor version of Python 3.
    """

    python: str
    tag: str = "x86_64-manylinux_2_28"

    def __post_init__(self) -> None:
        if not _PYTHON.fullmatch(self.python):
            raise ConfigurationError(
                f"{self.python!r} is no version of Python that a bundle can be made for",
                hint='Write the minor version alone, such as "3.11".',
            )

    def __str__(self) -> str:
        return f"Python {self.python} on {self.tag}"


def is_compiled(name: str) -> bool:
    """Tell whether the file of this name is an extension module or a shared library."""
    return bool(_COMPILED.search(name))


def compiled_extensions(wheel: Wheel) -> tuple[str, ...]:
    """Return the names of the wheel's extension modules and shared libraries, sorted.

    None of them can be loaded out of an archive on the path: Python finds the module and refuses it.
    """
    return tuple(name for name in wheel.files if is_compiled(name))


def fits(wheel: Wheel, platform: Platform) -> bool:
    """Tell whether the tags in the wheel's name suit the platform, as an installer would judge.

    A wheel of pure Python suits any. A `linux_x86_64` wheel, as compilers leave it, suits every Linux of that
    architecture: nothing in its name says which glibc it needs.

    Raises:
        ConfigurationError: The platform's word is none that is known here.
    """
    from packaging.tags import compatible_tags, cpython_tags, parse_tag

    tags = parse_tag("-".join(wheel.path.name.removesuffix(".whl").split("-")[-3:]))
    major, minor = (int(number) for number in platform.python.split("."))
    interpreter = f"cp{major}{minor}"
    systems = list(_systems(platform.tag))
    supported = {
        *cpython_tags((major, minor), abis=[interpreter], platforms=systems),
        *compatible_tags((major, minor), interpreter=interpreter, platforms=systems),
    }
    return not supported.isdisjoint(tags)


def refuse_unfit(wheel: Wheel, platform: Platform) -> None:
    """Refuse a wheel with compiled code that was made for another platform.

    Raises:
        ConfigurationError: It holds extensions that the platform cannot load.
    """
    extensions = compiled_extensions(wheel)
    if extensions and not fits(wheel, platform):
        raise ConfigurationError(
            f"{wheel.path.name} holds compiled code ({extensions[0]}), and it was not made for {platform}",
            hint="build it on such a machine, or make it a dependency of its own with wheels for both, so that it"
            " travels in the bundle",
        )


def _systems(word: str) -> Iterable[str]:
    """Return the platform tags that a machine of uv's word takes."""
    word = _ALIASES.get(word, word)
    if match := _MANYLINUX.fullmatch(word):
        return _glibc(match[1], int(match[2]))
    if arch := _MUSL.get(word):
        return [*(f"musllinux_1_{minor}_{arch}" for minor in range(_MUSL_MINOR, -1, -1)), f"linux_{arch}"]
    if word in _WINDOWS:
        return [_WINDOWS[word]]
    if word in _MACOS:
        from packaging.tags import mac_platforms

        return mac_platforms(_MACOS_VERSION, _MACOS[word])
    known = nearest(word, [*_ALIASES, *_ALIASES.values(), *_MUSL, *_WINDOWS, *_MACOS])
    raise ConfigurationError(
        f"{word!r} is no platform that is known",
        hint=f"Did you mean {known!r}?" if known else 'Write it as uv does, such as "x86_64-manylinux_2_28".',
    )


def _glibc(arch: str, newest: int) -> Iterator[str]:
    for minor in range(newest, _OLDEST_GLIBC[arch] - 1, -1):
        yield f"manylinux_2_{minor}_{arch}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{arch}"
    yield f"linux_{arch}"
