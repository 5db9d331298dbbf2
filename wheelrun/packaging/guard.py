"""What must not ship: too much, and secrets."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from wheelrun.errors import SizeError

_LARGEST = 10
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def check_size(sizes: Iterable[tuple[str, int]], limit: int) -> None:
    """Refuse files that are larger than `limit` together.

    Args:
        sizes: Path and bytes of each file that would ship.
        limit: Bytes; 0 is no limit.

    Raises:
        SizeError: They are; its message names the ten largest.
    """
    files = list(sizes)
    total = sum(size for _, size in files)
    if not limit or total <= limit:
        return
    largest = sorted(files, key=lambda file: (-file[1], file[0]))[:_LARGEST]
    width = max(len(readable(size)) for _, size in largest)
    shown = "\n".join(f"  {readable(size):>{width}}  {path}" for path, size in largest)
    raise SizeError(
        f"{readable(total)} would ship; the limit is {readable(limit)}. The largest files:\n{shown}",
        hint="Keep data out with .wheelrunignore, or raise max_size in [tool.wheelrun.package].",
    )


def check_secrets(files: Iterable[tuple[str, Path]], allow: Collection[str]) -> None:
    """Refuse files that hold a secret.

    Args:
        files: The path to show, and the file to read.
        allow: Paths or globs that are let through.

    Raises:
        SecretError: One does.
    """
    from wheelrun.packaging.secrets import find_secrets, refuse

    if findings := find_secrets(files, allow=allow):
        refuse(findings)


def readable(size: float) -> str:
    """Return a number of bytes as people read it: "12 bytes", "3.4 MiB"."""
    for unit in _UNITS[:-1]:
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_UNITS[-1]}"
