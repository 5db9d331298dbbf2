from __future__ import annotations

from pathlib import Path

import pytest

from wheelrun.errors import SecretError, SizeError
from wheelrun.packaging.guard import check_secrets, check_size, readable


def test_the_ten_largest_are_named() -> None:
    sizes = [(f"f{number:02}.bin", number * 1024) for number in range(1, 13)]
    with pytest.raises(SizeError) as caught:
        check_size(sizes, 1000)
    message = caught.value.message
    assert message.startswith("78.0 KiB would ship; the limit is 1000 bytes.")
    assert [line.split()[-1] for line in message.splitlines()[1:]] == [
        f"f{number:02}.bin" for number in range(12, 2, -1)
    ]
    assert "max_size" in str(caught.value.hint)


def test_a_limit_that_is_kept_or_none() -> None:
    check_size([("a", 1000)], 1000)
    check_size([("a", 10**12)], 0)


def test_sizes_as_people_read_them() -> None:
    assert [readable(size) for size in (0, 1023, 1536, 5 * 1024**2, 3 * 1024**5)] == [
        "0 bytes",
        "1023 bytes",
        "1.5 KiB",
        "5.0 MiB",
        "3072.0 TiB",
    ]


def test_secrets_are_refused_unless_allowed(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    # Put together here, so that no detector takes this file for a leak.
    key.write_text("\n".join([f"-----{word} RSA PRIVATE KEY-----" for word in ("BEGIN", "END")]) + "\n")
    env = tmp_path / ".env"
    env.write_text("DATABASE_PASSWORD=" + "k3Jf9sPq27xLmT8v" + "\n")
    with pytest.raises(SecretError):
        check_secrets([("pkg/.env", env)], ())
    check_secrets([("pkg/.env", env)], ["pkg/.env"])
