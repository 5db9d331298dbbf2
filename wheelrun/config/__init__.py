"""Configuration: from `wheelrun.toml`, `[tool.wheelrun]`, the environment and flags to one `Stack`.

The order of precedence is flag, `WHEELRUN_…` variable, the target's table, `[defaults]`. A target in the
user's own `wheelrun.toml` gives way to the project's of the same name, key by key. The few keys that belong
to wheelrun are read by small tables of readers; an orchestrator's own keys stay raw until its pydantic model
reads them (`validate`), so that pydantic loads only where such a model does.
"""

from __future__ import annotations

from wheelrun.config.places import (
    EMULATOR_PROFILE,
    cache_dir,
    data_dir,
    data_path,
    emulator_login,
    emulator_profile,
    home,
    user_config_file,
)
from wheelrun.config.settings import LOCAL, PackageTable, Settings, TargetTable, load_settings, with_targets
from wheelrun.config.stack import Stack, resolve_stack, validate
from wheelrun.config.units import parse_duration, parse_size

__all__ = [
    "EMULATOR_PROFILE",
    "LOCAL",
    "PackageTable",
    "Settings",
    "Stack",
    "TargetTable",
    "cache_dir",
    "data_dir",
    "data_path",
    "emulator_login",
    "emulator_profile",
    "home",
    "load_settings",
    "parse_duration",
    "parse_size",
    "resolve_stack",
    "user_config_file",
    "validate",
    "with_targets",
]
