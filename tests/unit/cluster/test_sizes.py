from __future__ import annotations

import pytest

from wheelrun.cluster.sizes import CONNECT_CORES, DRIVER_MEMORY, Machine, Size, size_of, this_machine
from wheelrun.errors import ConfigurationError


@pytest.mark.parametrize("cores", [1, 2, 3, 8, 64])
@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("connect", [True, False])
def test_by_default_a_driver_and_executors_fit(cores, workers, connect):
    size = size_of(Machine(cores=cores, memory=4096), workers=workers, connect=connect)
    total = size.workers * size.cores
    assert size.cores >= 2
    assert total >= cores + 2
    assert size.memory >= 2048


@pytest.mark.parametrize("connect", [True, False])
@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("cores", [1, 2, 4, 16])
@pytest.mark.parametrize("memory", [1024, 1536, 2048, 8192])
def test_drivers_never_take_everything(workers, cores, memory, connect):
    size = Size(workers=workers, cores=cores, memory=memory, connect=connect)
    try:
        size.check()
    except ConfigurationError:
        return
    left_cores = workers * cores - size.max_drivers - (CONNECT_CORES if connect else 0)
    left_memory = workers * memory - size.max_drivers * DRIVER_MEMORY - (512 if connect else 0)
    assert left_cores >= 1
    assert left_memory >= size.executor_memory


@pytest.mark.parametrize(
    ("given", "says", "hint"),
    [
        ({"workers": 0}, "runs nothing", "--workers 1"),
        ({"workers": 1, "cores": 2}, "2 cores in all are too few", "--cores 3"),
        ({"workers": 1, "cores": 1, "connect": False}, "1 core in all", "--cores 2"),
        ({"workers": 2, "cores": 4, "memory": 512}, "2 workers with 512 MiB hold no driver", "--memory 2g"),
        ({"workers": 1, "cores": 4, "memory": 1024}, "1 worker with 1024 MiB", "--memory 2g"),
    ],
)
def test_what_holds_no_job_is_refused(given, says, hint):
    with pytest.raises(ConfigurationError, match=says) as caught:
        size_of(Machine(cores=2, memory=8192), **given)
    assert hint in caught.value.hint


def test_two_workers_of_1g_are_enough():
    size = size_of(Machine(cores=2, memory=8192), workers=2, memory=1024)
    assert (size.cores, size.executor_memory, size.max_drivers) == (2, 512, 1)


def test_this_machine():
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.memory > 256
