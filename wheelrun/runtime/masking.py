"""Which settings are secret, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wheelrun.runtime.remote import without_secrets

MASK = "****"

_SECRET_NAME = re.compile(
    r"secret|token|passw(or)?d|passphrase|credential|api[._-]?key|access[._-]?key|private[._-]?key|account[._-]?key|sas[._-]",
    re.IGNORECASE,
)
_HARMLESS_NAME = re.compile(
    r"token(izer|s?[._-]?(ttl|renew|enabled|limit|count|length))|max[._-]?tokens|credentials?[._-]?provider",
    re.IGNORECASE,
)


REFERENCE = re.compile(r"\{\{secrets/([^/{}]+)/([^/{}]+)\}\}")
"""A reference to a secret that the target keeps: scope and key. It is no secret itself."""


def is_secret(name: str) -> bool:
    """Whether a setting of this name holds a secret: it is never stored, logged, or put on a command line."""
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def is_hidden(name: str, value: Any) -> bool:
    """Whether a setting's value must not be seen: its name tells so, and it is no reference to where the secret is."""
    return is_secret(name) and not (isinstance(value, str) and REFERENCE.fullmatch(value))


def public(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings without the secret ones: what may be stored."""
    return {name: without_secrets(value) for name, value in settings.items() if not is_hidden(name, value)}


def masked(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with secret values masked: what may be shown."""
    return {name: MASK if is_hidden(name, value) else without_secrets(value) for name, value in settings.items()}
