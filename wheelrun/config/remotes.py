"""The addresses of Connect servers in a target: given by flag, table or environment, and freed of their secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wheelrun.runtime.remote import REMOTE, SCHEME, TOKEN, Remote

CONNECT = "spark-connect"
"""The orchestrator whose targets are Connect servers."""

CONF = "spark.remote"


def settled(
    config: Mapping[str, Any], environment: Mapping[str, str], conf: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the config and environment of a Connect target with what the process's environment says of it.

    The target's own address and token go first. A token of the environment is taken over under its own name, so that
    it is known later that there was one.

    Args:
        config: The target's own keys.
        environment: The run's variables.
        conf: Spark settings.
        environ: The process's environment.
    """
    config, environment = dict(config), dict(environment)
    given = (config.get("remote"), environment.get(REMOTE), conf.get(CONF), environ.get(REMOTE))
    if (remote := next(filter(None, given), None)) is not None:
        config["remote"] = remote
    has_token = isinstance(remote, str) and "token=" in remote.partition(";")[2]
    if environ.get(TOKEN) and not has_token and "token_file" not in config:
        environment.setdefault(TOKEN, environ[TOKEN])
    return config, environment


def without_secrets(
    config: Mapping[str, Any], environment: Mapping[str, str], conf: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str], dict[str, str]]:
    """Take the secrets out of connection strings and put them into the run's variables, where they are known as such.

    Raises:
        ConfigurationError: what looks like a connection string is none.
    """
    config, environment, conf = dict(config), dict(environment), dict(conf)
    for table, name in ((conf, CONF), (environment, REMOTE), (config, "remote")):
        text = table.get(name)
        if isinstance(text, str) and text.strip().startswith(SCHEME):
            remote = Remote.parse(text)
            table[name] = remote.public
            environment |= remote.environment
    return config, environment, conf


def given_again(
    config: Mapping[str, Any], env: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a recorded target's config at its resumption, and where secrets that were not recorded may be found.

    Args:
        config: The recorded keys.
        env: Variables that are given with the resumption: another `SPARK_REMOTE` is where the server is now.
        environ: The process's environment, whose `SPARK_REMOTE` counts if it is the same server.
    """
    config, known = dict(config), dict(environ)
    if "remote" in config and env.get(REMOTE):
        config["remote"] = env[REMOTE]
    ambient = environ.get(REMOTE, "")
    if ambient.startswith(SCHEME) and (remote := Remote.parse(ambient)).public == config.get("remote"):
        known |= remote.environment
    return config, known
