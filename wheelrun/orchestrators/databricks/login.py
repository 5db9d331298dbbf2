"""The official client's settings, found by its unified authentication; with a token it asks the workspace nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wheelrun._version import __version__

if TYPE_CHECKING:
    from databricks.sdk.core import Config


def config_of(host: str, profile: str, token: str) -> Config:
    """Return the client's settings.

    The client asks each host that it is told what is there. For a token nothing of that is needed: then the host is
    told where the credentials are, as the client's own ones of a running cluster do it.

    Args:
        host: The workspace's address, "" if the client has to find it.
        profile: A profile of ~/.databrickscfg, or "".
        token: A token, or "".

    Raises:
        ImportError: the client is not installed.
        ValueError: there are no credentials, or the client has another objection.
    """
    from databricks.sdk.core import Config
    from databricks.sdk.credentials_provider import CredentialsProvider, CredentialsStrategy, pat_auth

    class Token(CredentialsStrategy):
        def auth_type(self) -> str:
            return "pat"

        def __call__(self, cfg: Config) -> CredentialsProvider:
            if cfg.auth_type not in (None, "pat"):
                raise ValueError(f"{cfg.auth_type} is asked for")
            cfg.host = host
            found: CredentialsProvider = pat_auth(cfg)
            return found

    def made(at: str | None, strategy: CredentialsStrategy | None) -> Config:
        return Config(
            host=at,
            profile=profile or None,
            token=token or None,
            auth_type="pat" if token else None,
            credentials_strategy=strategy,
            retry_timeout_seconds=1,
            product="wheelrun",
            product_version=__version__,
        )

    if host:
        try:
            return made("", Token())
        except ValueError:  # other credentials, which may need to know what the host tells
            pass
    return made(host or None, None)
