"""What each orchestrator can do, as a table: made from their `Capabilities`, so that it cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterable

from wheelrun.orchestrators import registry
from wheelrun.orchestrators.contract import Capabilities

ROWS = {
    "live_logs": "logs while it runs",
    "cancel": "cancel",
    "resume": "resume",
    "survives_client": "goes on without the client",
    "parallel_steps": "steps at the same time",
    "step_isolation": "an application for each step",
    "resources": "resources of steps",
    "schedule": "schedules",
}
"""A field of `Capabilities` -> what it is called in the table."""


def matrix(names: Iterable[str] = registry.BUILT_IN) -> str:
    """Return the table as Markdown: a column for each orchestrator, a row for each capability."""
    columns = {name: registry.flavor(name).implementation_class.capabilities for name in names}
    head = ["", *(f"`{name}`" for name in columns)]
    lines = [head, ["---", *("---" for _ in columns)]]
    for field, words in ROWS.items():
        lines.append([words, *(_cell(capabilities, field) for capabilities in columns.values())])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cell(capabilities: Capabilities, field: str) -> str:
    if getattr(capabilities, field):
        return "yes"
    return "warned about" if field == "resources" and not capabilities.strict_resources else "no"
