"""Runs jobs: their tasks in order, with retries, timeouts, repairs and schedules."""

from wheelrun.emulator.engine.engine import Engine

__all__ = ["Engine"]
