"""What a driver on a cluster is told on its command line: where the code and the deployment lie. No secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SECRET_CONF_VARIABLE = "_WHEELRUN_CONF"  # noqa: S105 - the variable's name
"""The environment variable that carries Spark settings whose values must not be on a command line, as JSON."""

DRIVER_VARIABLE = "_WHEELRUN_DRIVER"
"""The environment variable with the name that a driver goes by, where whoever starts it gives it one."""

CODE_VARIABLE = "_WHEELRUN_CODE"
"""The environment variable with the folders of the code, as a path, where they are unpacked already."""

SCRATCH_VARIABLE = "_WHEELRUN_SCRATCH"
"""The environment variable with the folder of a driver's temporary files, where whoever starts it removes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One start of a driver.

    Attributes:
        root: The artifact root as the cluster names it: a folder, or a URL of a Hadoop file system.
        run_id: The run's id.
        deployment_id: The digest of the deployment that is meant.
        start: Which start of the run this is, from 1: a driver of an earlier start that comes late gives way.
        code: Names of the code's archives below the root, in the order of the path, wheelrun's own included.
        isolation: "pipeline" (one application for all steps) or "step" (each its own).
        conf: Spark settings for the applications of single steps.
        step_conf: What single steps have besides.
        own_logs: Whether the driver writes its output into the run's folder itself, where nobody else does.
        source_root: The working tree beside a driver on the client's machine: nothing may be imported from there.
        supervised: Whether the driver ends when nobody holds the run's lock.
    """

    root: str
    run_id: str
    deployment_id: str
    start: int
    code: tuple[str, ...]
    isolation: str = "pipeline"
    conf: Mapping[str, str] = field(default_factory=dict)
    step_conf: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    own_logs: bool = False
    source_root: str = ""
    supervised: bool = False

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Ticket:
        """Read the JSON's table; what a newer wheelrun added is passed over."""
        known = {name: table[name] for name in cls.__dataclass_fields__ if name in table}
        return cls(**{**known, "code": tuple(table["code"])})
