"""Which orchestrator a Spark master wants, where a submission names a master and no target. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wheelrun.errors import ConfigurationError

MASTERS: tuple[tuple[str, str | None, str], ...] = (
    (r"local(\[.*\])?", None, "local"),
    (r"local-cluster\[.*\]", None, "spark-submit"),
    (r"spark://.+", "client", "spark-submit"),
    (r"spark://.+", None, "spark-standalone"),
    (r"yarn", None, "spark-submit"),
    (r"k8s://.+", None, "spark-submit"),
)
"""A master's form, a deploy mode (None for any), and the orchestrator. The first row that fits is taken."""

_OWN_DEPLOY_MODE = frozenset({"spark-submit"})
_LOOPBACK = re.compile(r"spark://(127\.0\.0\.1|localhost|\[::1\]):\d+")


def orchestrator_of(master: str, deploy_mode: str | None = None) -> str:
    """Return the name of the orchestrator for a master.

    Args:
        master: As Spark writes it: yarn, local[4], spark://host:7077.
        deploy_mode: "client", "cluster", or None where it was not said.

    Raises:
        ConfigurationError: it is no master.
    """
    for form, mode, orchestrator in MASTERS:
        if re.fullmatch(form, master) and mode in (None, deploy_mode):
            return orchestrator
    raise ConfigurationError(
        f"{master!r} is not a Spark master",
        hint="local[4], spark://host:7077, yarn, k8s://https://host:6443, local-cluster[2,1,1024]",
    )


def settings_of(master: str, deploy_mode: str | None = None) -> dict[str, str]:
    """Return what a submission with a master and no target sets: the orchestrator and its own keys.

    Raises:
        ConfigurationError: it is no master, or one without cluster mode was asked for that.
    """
    orchestrator = orchestrator_of(master, deploy_mode)
    if orchestrator == "local" and deploy_mode == "cluster":
        raise ConfigurationError(f"master {master!r} has no cluster mode", hint="leave --deploy-mode out")
    settings = {"orchestrator": orchestrator, "master": master}
    if deploy_mode is not None and orchestrator in _OWN_DEPLOY_MODE:
        settings["deploy_mode"] = deploy_mode
    return settings


def is_loopback(master: str) -> bool:
    """Whether a master is a standalone one that listens on this machine only."""
    return _LOOPBACK.fullmatch(master) is not None


def is_here(orchestrator: str, config: Mapping[str, Any]) -> bool:
    """Whether a target's runs need no artifact root but a folder of this machine, unless somebody says otherwise.

    Args:
        orchestrator: The orchestrator's name.
        config: Its own keys, raw.
    """
    if orchestrator == "spark-standalone":
        return is_loopback(str(config.get("master", "")))
    return orchestrator in ("local", "docker") or (
        orchestrator == "spark-submit" and config.get("deploy_mode") != "cluster"
    )
