"""`wheelrun rerun`."""

from __future__ import annotations

from wheelrun.cli.again import again

command = again(
    "rerun",
    short="Run a run's wheel and parameters again.",
    text="Run the wheel of RUN with its parameters again, as a new run; the project may have changed since.",
    continues=False,
)
