"""Which settings are secret, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping

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


def is_secret(name: str) -> bool:
    """Whether a setting of this name holds a secret: it is never stored, logged, or put on a command line."""
    return bool(_SECRET_NAME.search(name)) and not _HARMLESS_NAME.search(name)


def public(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings without the secret ones: what may be stored."""
    return {name: without_secrets(value) for name, value in settings.items() if not is_secret(name)}


def masked(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings with secret values masked: what may be shown."""
    return {name: MASK if is_secret(name) else without_secrets(value) for name, value in settings.items()}
