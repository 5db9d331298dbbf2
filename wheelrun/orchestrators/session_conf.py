"""Which Spark settings a session of a running server takes, and which are settled when the server starts.

The server refuses some of these itself, but takes others without a word and without effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from wheelrun.errors import ConfigurationError

_STATIC_SQL = (
    "cache.serializer",
    "catalogImplementation",
    "extensions",
    "filesourceTableRelationCacheSize",
    "globalTempDatabase",
    "hive.metastore.",
    "hive.thriftServer.singleSession",
    "queryExecutionListeners",
    "sources.disabledJdbcConnProviderList",
    "streaming.streamingQueryListeners",
    "streaming.ui.",
    "ui.retainedExecutions",
    "warehouse.dir",
)
"""What below `spark.sql.` is settled when the server starts."""

_OF_THE_APPLICATION = (
    "api.mode", "app.", "appStateStore.", "archives", "authenticate", "barrier.", "blacklist.", "blockManager.",
    "broadcast.", "buffer.", "checkpoint.", "cleaner.", "closure.", "connect.", "cores.max", "decommission.",
    "default.parallelism", "deploy.", "diskStore.", "driver.", "driverEnv.", "dynamicAllocation.", "eventLog.",
    "excludeOnFailure.", "executor.", "executorEnv.", "extraListeners", "files", "history.", "io.", "jars", "job.",
    "kerberos.", "kryo", "kubernetes.", "local.", "locality.", "log.", "logConf", "logLineage", "master", "maxRemote",
    "memory.", "metrics.", "mesos.", "modify.acls", "network.", "plugins", "port.", "pyspark.", "python.", "r.", "rdd.",
    "redaction.", "remote", "repl.", "resources.", "rpc.", "scheduler.", "security.", "serializer", "shuffle.",
    "speculation", "ssl.", "stage.", "standalone.", "storage.", "submit.", "task.", "taskMetrics.", "ui.", "unsafe.",
    "worker.", "yarn.",
)  # fmt: skip
"""What below `spark.` is settled when the application starts, which is the server."""

_REFUSED = re.compile(
    r"spark\.("
    + "|".join(re.escape(name) for name in (*_OF_THE_APPLICATION, *(f"sql.{name}" for name in _STATIC_SQL)))
    + ")"
)

_INSTEAD: Mapping[str, str] = {
    "spark.app.name": "give the run another name with --name",
    "spark.archives": "install what the code depends on where the server runs",
    "spark.executorEnv": "set it where the server is started; -e sets it for the steps' own process only",
    "spark.files": "ship the file in the wheel and open it through importlib.resources",
    "spark.master": "the server has one; --remote names another server",
    "spark.remote": "name the server with --remote",
    "spark.submit.pyFiles": "put the code into the project, or into `also` of [package]",
}
_WHERE = "set it where the server is started, or submit to another target"


def session_conf(
    conf: Mapping[str, str], target: str, *, what: str = "is a running Spark Connect server"
) -> dict[str, str]:
    """Return the settings that the sessions of a run get.

    Args:
        conf: Spark settings.
        target: The target's name, for the message.
        what: What the target does or is, for the message.

    Raises:
        ConfigurationError: a setting cannot be set in a session.
    """
    for name in conf:
        if _REFUSED.match(name):
            raise ConfigurationError(
                f"target {target!r} {what}, where {name} cannot be set",
                hint=next((hint for start, hint in _INSTEAD.items() if name.startswith(start)), _WHERE),
            )
    return dict(conf)
