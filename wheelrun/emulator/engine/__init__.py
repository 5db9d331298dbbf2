"""Runs jobs: their tasks in order, with retries, timeouts, repairs and schedules.

An `Order` is asked for and checked (`orders`, `checks`). The `Engine` makes a `JobRun` of it with one `Attempt` for
each task, remembers them (`records`), and starts a `Conductor` or lets the run wait. The conductor is a thread with a
`Loop`: all that happens in a run is done there, one thing after the other, so that nothing of it needs a lock. It
decides by the `Graph` which tasks run; each is a `Flow`, which makes attempts, and each attempt has a `Body`: what
its kind of task does. Only attempts that run on clusters take threads, from a pool that all runs share.

Every change of a run or an attempt is one document that is written; whoever asks is answered from the documents.
"""

from wheelrun.emulator.engine.engine import Engine

__all__ = ["Engine"]
