from __future__ import annotations

from wheelrun.deployment import StepSpec
from wheelrun.orchestrators.docker.containers import Ended
from wheelrun.orchestrators.docker.supervise import Clock, ContainerLaunch
from wheelrun.runtime.events import EventLog, EventReader
from wheelrun.runtime.supervisor import GRACE
from wheelrun.states import RunState


def test_a_launch_survives_its_journey():
    launch = ContainerLaunch(
        run_id="r", artifact_root="/a", code=(), source_root="", working_directory="/opt/wheelrun/home",
        engine={"url": "unix:///x", "source": "a test", "tls": {}}, containers={"s": {"image": "i"}},
    )  # fmt: skip
    assert ContainerLaunch.from_json(launch.to_json()) == launch


def test_a_steps_time_counts_from_its_clock_and_starts_again_with_each_attempt(tmp_path):
    log, now = EventLog(tmp_path / "events.jsonl"), [0.0]
    spec = StepSpec(name="s", function="m:f", timeout=10.0)
    clock = Clock(EventReader(tmp_path / "events.jsonl"), spec, now=lambda: now[0])
    now[0] = 100.0
    assert not clock.is_over()
    log.emit("clock", step="other", timeout=1.0)
    log.emit("clock", step="s", timeout=10.0)
    assert not clock.is_over()
    now[0] = 109.0 + GRACE
    assert not clock.is_over()
    now[0] = 111.0 + GRACE
    assert clock.is_over()
    log.emit("step", step="s", state=RunState.FAILED, attempt=1, retry_in=5.0)
    assert not clock.is_over()
    log.close()
    assert clock.error().message == "step 's' took longer than 10 s"


def test_a_step_without_a_timeout_is_never_over(tmp_path):
    assert not Clock(EventReader(tmp_path / "none"), StepSpec(name="s", function="m:f")).is_over()


def test_how_a_container_ended_is_told_apart():
    assert Ended(code=137, out_of_memory=True, memory=2**26).error("s").type == "OutOfMemory"
    killed = Ended(code=137).error("s")
    assert killed.message.endswith("killed by SIGKILL")
    assert "out of memory?" in killed.hint
    assert Ended(code=139).error("s").message.endswith("killed by SIGSEGV")
    assert Ended(code=3).error("s").message.endswith("exit status 3")
    assert Ended(code=255).error("s").message.endswith("exit status 255")
    assert Ended(code=127, words="python3: not found").error("s").message.endswith(": python3: not found")
