"""The target that exists while the emulator is up. Where there is none, to know that costs next to nothing."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

from wheelrun.config import EMULATOR_PROFILE, emulator_profile


def targets(environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return the table of the target `emulator`; none while the emulator is not up.

    It names a profile, whose file has the address and the token.

    Args:
        environ: Says where wheelrun keeps its data.
    """
    if not emulator_profile(environ).exists():
        return {}
    from wheelrun.emulator.folder import folder_of

    if not folder_of(environ).is_alive:
        return {}
    table = {
        "orchestrator": "databricks",
        "profile": EMULATOR_PROFILE,
        "serverless": {"environment_version": "4"},
        "python_version": platform.python_version(),
    }
    return {"emulator": table}
