"""From a source tree to a wheel: project, ignore, snapshot, setup_py, wheel, cache."""
