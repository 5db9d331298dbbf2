"""The run store: what was submitted, where, and how it went, in one sqlite file for all projects.

`record` holds the value and its rules, `rows` its form in the file, `migrations` the file itself, and `runs`
the store that puts them together.
"""

from __future__ import annotations

from wheelrun.store.record import RunRecord, new_run_id
from wheelrun.store.runs import LAST, RunStore

__all__ = ["LAST", "RunRecord", "RunStore", "new_run_id"]
