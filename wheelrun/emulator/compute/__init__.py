"""Where tasks run: clusters, each with a Python environment of its own, and the processes on them."""

from wheelrun.emulator.compute.compute import Compute
from wheelrun.emulator.compute.work import Outcome, Work

__all__ = ["Compute", "Outcome", "Work"]
