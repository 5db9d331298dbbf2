"""`wheelrun resume`."""

from __future__ import annotations

from wheelrun.cli.again import again

command = again(
    "resume",
    short="Take up a run that failed or was cancelled.",
    text="""Take up RUN, which failed or was cancelled: what succeeded keeps its outputs, the rest runs again.

    Settings that were secret were not recorded and have to be given again, by -e or in the environment.
    """,
    continues=True,
)
