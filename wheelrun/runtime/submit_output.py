"""What spark-submit says of what it submitted, line by line as it comes. Pure.

YARN's client (`org.apache.spark.deploy.yarn.Client`) tells an application's id, its state and, in a block below, its
page and final status. Kubernetes' (`LoggingPodStatusWatcherImpl`) tells the driver's pod and its phase. Spark says both
at the level INFO.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from wheelrun.states import RunState

INFO = """\
logger.submitted-yarn.name = org.apache.spark.deploy.yarn.Client
logger.submitted-yarn.level = info
logger.submitted-k8s.name = org.apache.spark.deploy.k8s.submit
logger.submitted-k8s.level = info
"""
"""Settings of log4j that make Spark say what is read here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known of what was submitted.

    Attributes:
        id: `application_…`, or `namespace:pod`; None until it is told.
        state: The native word for where it is: a YARN application's state or a pod's phase; empty until it is told.
        final: YARN's word for how an application ended.
        url: A page that shows it.
        message: Why it is where it is, where that is told.
        exit_code: The exit status of the driver's container.
    """

    id: str | None = None
    state: str = ""
    final: str = ""
    url: str | None = None
    message: str = ""
    exit_code: int | None = None


YARN_STATES: Mapping[str, RunState] = {
    "NEW": RunState.QUEUED,
    "NEW_SAVING": RunState.QUEUED,
    "SUBMITTED": RunState.QUEUED,
    "ACCEPTED": RunState.QUEUED,
    "RUNNING": RunState.RUNNING,
    "FAILED": RunState.FAILED,
    "KILLED": RunState.CANCELLED,
}
"""org.apache.hadoop.yarn.api.records.YarnApplicationState; of FINISHED the final status tells more."""

YARN_ENDS: Mapping[str, RunState] = {
    "SUCCEEDED": RunState.SUCCEEDED,
    "FAILED": RunState.FAILED,
    "KILLED": RunState.CANCELLED,
}
"""org.apache.hadoop.yarn.api.records.FinalApplicationStatus."""

POD_PHASES: Mapping[str, RunState] = {
    "Pending": RunState.QUEUED,
    "Running": RunState.RUNNING,
    "Succeeded": RunState.SUCCEEDED,
    "Failed": RunState.FAILED,
}
"""The phases of a pod's life."""

KILLED: Mapping[str, str] = {"yarn": "KILLED", "kubernetes": "Failed"}
"""What an application is called by each kind of master once it was ended from outside."""


def state_of(kind: str, told: Told) -> RunState:
    """Return the state of an application; a native word that nobody mapped is `unknown`, never success."""
    if kind == "kubernetes":
        return POD_PHASES.get(told.state, RunState.UNKNOWN)
    if told.state == "FINISHED":
        return YARN_ENDS.get(told.final, RunState.UNKNOWN)
    return YARN_STATES.get(told.state, RunState.UNKNOWN)


def read(kind: str, lines: Iterable[str], told: Told | None = None) -> Told:
    """Return what is known after some more lines.

    Args:
        kind: Who speaks: a name in `READERS`.
        lines: Whole lines.
        told: What was known before.
    """
    told = told or Told()
    for line in lines:
        told = READERS[kind](told, line)
    return told


_REPORT = re.compile(r"\bApplication report for (application_\d+_\d+) \(state: (\w+)\)")
_SUBMITTED = re.compile(r"\bSubmitt(?:ed|ing) application (application_\d+_\d+)\b")
_DETAIL = re.compile(r"\s+([A-Za-z][A-Za-z ]*): (.*)")
_PHASE = re.compile(r"\bApplication status for \S+ \(phase: (\w+)\)")
_POD = re.compile(r"\bsubmission ID ([^\s:]+):(\S+) ")
_NOTHING = ("", "N/A")


def _yarn(told: Told, line: str) -> Told:
    if found := _REPORT.search(line):
        return replace(told, id=found[1], state=found[2])
    if found := _SUBMITTED.search(line):
        return replace(told, id=found[1])
    detail = _DETAIL.fullmatch(line)
    if detail is None or detail[2].strip() in _NOTHING:
        return told
    name, value = detail[1], detail[2].strip()
    if name == "tracking URL":
        return replace(told, url=value)
    if name == "final status":
        return replace(told, final=value)
    if name == "diagnostics":
        return replace(told, message=value)
    return told


def _kubernetes(told: Told, line: str) -> Told:
    if found := _PHASE.search(line):
        return replace(told, state=found[1])
    if found := _POD.search(line):
        return replace(told, id=f"{found[1]}:{found[2]}")
    detail = _DETAIL.fullmatch(line)
    if detail is None or detail[2].strip() in _NOTHING:
        return told
    name, value = detail[1].lower(), detail[2].strip()
    if name == "pod name":
        return replace(told, id=f"{_namespace(told) or 'default'}:{value}")
    if name == "namespace":
        return replace(told, id=f"{value}:{(told.id or ':').partition(':')[2]}")
    if name == "phase":
        return replace(told, state=value, message="" if value != told.state else told.message)
    if name in ("pending reason", "termination reason"):
        return replace(told, message=value)
    if name == "exit code" and value.isdigit():
        return replace(told, exit_code=int(value))
    return told


def _namespace(told: Told) -> str:
    return (told.id or "").partition(":")[0]


READERS: Mapping[str, Callable[[Told, str], Told]] = {"yarn": _yarn, "kubernetes": _kubernetes}
"""Who speaks -> what reads a line."""

_RAISED = re.compile(r'Exception in thread "main" (?:[\w.$]+: )?(.+)')
_REFUSED = re.compile(r"(?:Error|ERROR): (.+)")
_CHATTER = re.compile(
    r"|\s.*|Caused by: .*|WARNING: .*|\d\d/\d\d/\d\d \d\d:\d\d:\d\d .*|Run with --help .*"
    r"|Error: (Could not create the Java Virtual Machine|A fatal exception has occurred)\..*"
)


def last_words(*texts: str) -> str:
    """Return the line that tells why spark-submit, or the driver below it, ended; empty if nothing does.

    Args:
        *texts: What was written: standard error, then standard output.
    """
    lines = [[line for line in text.splitlines() if not _CHATTER.fullmatch(line)] for text in texts]
    for pattern in (_RAISED, _REFUSED):
        for words in lines:
            for line in reversed(words):
                if found := pattern.match(line):
                    return found[1].strip()
    return next((words[-1].strip() for words in reversed(lines) if words), "")
