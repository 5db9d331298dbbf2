"""How large the cluster is, and how many drivers may run on it at once: pure.

Cores and memory of a worker are what Spark gives out, not what the machine has: a driver and the Connect server take a
core each and are idle most of the time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from wheelrun.errors import ConfigurationError

DRIVER_MEMORY = 1024
"""MiB that Spark sets aside for a driver which does not say what it needs."""
CONNECT_MEMORY = 512
"""MiB of the Connect server's executor; Spark starts none with less than 450."""
CONNECT_CORES = 1
"""Cores that the Connect server's application may take of the cluster's."""

_SMALL_EXECUTOR, _EXECUTOR = 512, 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine has.

    Attributes:
        cores: Its cores.
        memory: Its memory in MiB.
    """

    cores: int
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size of a cluster.

    Attributes:
        workers: How many workers.
        cores: Cores of each.
        memory: MiB of each.
        connect: Whether a Connect server runs on it.
    """

    workers: int
    cores: int
    memory: int
    connect: bool

    @property
    def executor_memory(self) -> int:
        """MiB of an executor whose job does not say: so much that one finds room beside a driver."""
        has_room = self.workers * self.memory >= DRIVER_MEMORY + _EXECUTOR + self._connect_memory
        return _EXECUTOR if has_room and self.memory >= 2 * _EXECUTOR else _SMALL_EXECUTOR

    @property
    def max_drivers(self) -> int:
        """How many drivers may run at once.

        A driver holds a core and memory of a worker while it waits for executors. Were there no bound, enough drivers
        would take everything, and each would wait for ever.
        """
        cores = self.workers * self.cores - self._connect_cores
        memory = self.workers * self.memory - self._connect_memory - self.executor_memory
        return max(1, min(cores // 2, memory // DRIVER_MEMORY))

    @property
    def _connect_cores(self) -> int:
        return CONNECT_CORES if self.connect else 0

    @property
    def _connect_memory(self) -> int:
        return CONNECT_MEMORY if self.connect else 0

    def check(self) -> None:
        """Refuse a cluster on which no job could run.

        Raises:
            ConfigurationError: A driver and an executor find no room on it.
        """
        beside = " beside the Connect server" if self.connect else ""
        total, least = self.workers * self.cores, 2 + self._connect_cores
        if total < least:
            raise ConfigurationError(
                f"{_count(total, 'core')} in all are too few: a driver and an executor need one each{beside}",
                hint=f"--cores {-(-least // self.workers)}, or more workers",
            )
        least = DRIVER_MEMORY + self.executor_memory + self._connect_memory
        if self.memory < DRIVER_MEMORY or self.workers * self.memory < least:
            raise ConfigurationError(
                f"{_count(self.workers, 'worker')} with {self.memory} MiB hold no driver ({DRIVER_MEMORY} MiB)"
                f" and executor ({self.executor_memory} MiB){beside}",
                hint="--memory 2g",
            )


def this_machine() -> Machine:
    """Return what this machine has."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    return Machine(cores=os.cpu_count() or 1, memory=memory)


def size_of(
    machine: Machine, *, workers: int = 2, cores: int | None = None, memory: int | None = None, connect: bool = True
) -> Size:
    """Return the size of a cluster.

    Args:
        machine: What it runs on.
        workers: How many workers.
        cores: Cores of each; by default so many that the machine's are used beside a driver and the Connect server.
        memory: MiB of each; by default a share of half the machine's, at least 2 GiB.
        connect: Whether a Connect server runs on it.

    Raises:
        ConfigurationError: No job could run on it.
    """
    if workers < 1:
        raise ConfigurationError(f"a cluster with {workers} workers runs nothing", hint="--workers 1, or more")
    if cores is None:
        cores = max(2, -(-(machine.cores + 2) // workers))
    if memory is None:
        memory = max(2048, machine.memory // 2 // workers // 1024 * 1024)
    size = Size(workers=workers, cores=cores, memory=memory, connect=connect)
    size.check()
    return size


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
