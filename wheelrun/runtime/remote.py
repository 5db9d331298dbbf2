"""The address of a Spark Connect server: what of it may be seen, and what is secret.

A connection string is `sc://host:port/;key=value;…`. It is the one setting of Spark that carries secrets in its value
and not under a name that tells them, so they are taken out of it as early as can be. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from wheelrun.errors import ConfigurationError

SCHEME = "sc://"
DEFAULT_PORT = 15002

REMOTE = "SPARK_REMOTE"
"""The variable from which pyspark takes the address."""

TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"  # noqa: S105 - a name
"""The variable from which pyspark takes the token, if the address has none."""

SECRETS = "SPARK_REMOTE_SECRETS"
"""The variable that takes the address's other secret parameters, as they are written there, to the process."""

_FORM = "sc://host:port, or with parameters: sc://host:port/;use_ssl=true"
_SECRET = re.compile(r"token|secret|passw|pwd|credential|auth|cookie|bearer|key", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """An address, taken apart.

    Attributes:
        host: Name or number; an IPv6 number without its brackets.
        port: The port.
        parameters: What may be stored: name -> value, decoded.
        secrets: What may not, the token included.
    """

    host: str
    port: int = DEFAULT_PORT
    parameters: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> Remote:
        """Read a connection string.

        Raises:
            ConfigurationError: it is none; the message holds nothing of its parameters.
        """
        place, *words = text.strip().split(";")
        place = place.removesuffix("/")
        if not place.startswith(SCHEME) or re.search(r"[/?#@\s]", place.removeprefix(SCHEME)):
            raise ConfigurationError(f"{address(text)!r} is not the address of a Connect server", hint=_FORM)
        try:
            parts = urlsplit(f"//{place.removeprefix(SCHEME)}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host:
            raise ConfigurationError(f"{address(text)!r} has no host, or a port that is none", hint=_FORM)
        found = {}
        for number, word in enumerate(filter(None, words), 1):
            name, equals, value = word.partition("=")
            if not equals or not name:
                message = f"parameter {number} of the address {address(text)!r} is not key=value"
                raise ConfigurationError(message, hint=_FORM)
            found[name] = unquote(value)
        if "session_id" in found:
            raise ConfigurationError(
                f"the address {address(text)!r} names a session, and every run has its own",
                hint="leave session_id out",
            )
        secrets = {name: value for name, value in found.items() if _SECRET.search(name)}
        return cls(
            host=host,
            port=DEFAULT_PORT if port is None else port,
            parameters={name: value for name, value in found.items() if name not in secrets},
            secrets=secrets,
        )

    @property
    def place(self) -> str:
        """Where it is, without any parameters: what is shown."""
        return f"{SCHEME}{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def public(self) -> str:
        """The connection string without its secrets: what is stored."""
        return with_parameters(self.place, self.parameters)

    @property
    def environment(self) -> dict[str, str]:
        """The secrets as environment variables, under names that tell that they are."""
        others = {name: value for name, value in self.secrets.items() if name != "token"}
        return {
            **({TOKEN: self.secrets["token"]} if "token" in self.secrets else {}),
            **({SECRETS: written(others)} if others else {}),
        }


def with_parameters(text: str, parameters: Mapping[str, str]) -> str:
    """Return a connection string with further parameters."""
    if not parameters:
        return text
    return f"{text}{';' if ';' in text else '/;'}{written(parameters)}"


def written(parameters: Mapping[str, str]) -> str:
    """Return parameters as a connection string has them."""
    return ";".join(f"{name}={quote(value)}" for name, value in parameters.items())


def read(text: str) -> dict[str, str]:
    """Read what `written` gave."""
    pairs = (word.partition("=") for word in text.split(";") if word)
    return {name: unquote(value) for name, _, value in pairs}


def address(text: str) -> str:
    """Return what may be shown of a text that is meant as a connection string: its scheme, host and port."""
    scheme, colon, rest = text.strip().partition("://")
    if not colon:
        return "…"
    return f"{scheme}://{re.split(r'[/;?#]', rest)[0].rpartition('@')[2]}"


def without_secrets(value: Any) -> Any:
    """Return a setting's value without the secrets of a connection string, if it is one."""
    if not isinstance(value, str) or not value.strip().startswith(SCHEME):
        return value
    try:
        return Remote.parse(value).public
    except ConfigurationError:
        return address(value)
