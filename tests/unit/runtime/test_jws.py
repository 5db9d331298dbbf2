from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.runtime.jws import LIFETIME, bearer_token, new_key


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_token_is_signed_and_ends_soon(tmp_path):
    file = tmp_path / "key"
    file.write_text(new_key() + "\n")
    header, claims, signature = bearer_token(file, now=1000.7).split(".")
    assert json.loads(decoded(header)) == {"alg": "HS256", "typ": "JWT"}
    assert json.loads(decoded(claims)) == {"exp": 1000 + LIFETIME}
    signed = hmac.new(decoded(file.read_text().strip()), f"{header}.{claims}".encode(), hashlib.sha256).digest()
    assert decoded(signature) == signed
    assert "=" not in bearer_token(file)


def test_keys_differ():
    assert new_key() != new_key()
    assert len(decoded(new_key())) == 32


@pytest.mark.parametrize(("text", "says"), [("é", "no key"), ("abc", "too short"), ("", "too short")])
def test_what_is_no_key(tmp_path, text, says):
    file = tmp_path / "key"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=says):
        bearer_token(file)


def test_no_file(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        bearer_token(tmp_path / "key")
