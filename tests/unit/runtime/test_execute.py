"""Running a deployment's steps in this process."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from wheelrun.deployment import Deployment, StepSpec
from wheelrun.runtime import artifacts
from wheelrun.runtime.context import current_run
from wheelrun.runtime.events import EventLog, EventReader, fold
from wheelrun.runtime.execute import Execution, SessionLostError, retry_delay
from wheelrun.runtime.layout import ArtifactRoot
from wheelrun.runtime.surroundings import environment
from wheelrun.states import RunState as S

calls: list = []


def give(value=1):
    calls.append(value)
    return value


def add(a, b):
    return a + b


def fail(x=None):
    raise ValueError("no good")


def fail_until_third():
    if current_run().attempt < 3:
        raise ValueError(f"attempt {current_run().attempt}")
    return "third"


def two_values():
    return 1, 2


def one_value():
    return 1


def exits(code):
    sys.exit(code)


def sleeps(seconds=30):
    time.sleep(seconds)


def tell(x=None):
    return [x, list(current_run().failed_steps)]


def see_environment():
    import os

    return os.environ.get("WHEELRUN_TEST_VARIABLE")


async def asynchronous():
    return "awaited"


barrier = threading.Barrier(2)


def meet():
    barrier.wait(20)
    return threading.current_thread() is threading.main_thread()


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    module = sys.modules[__name__]
    monkeypatch.setitem(sys.modules, "jobs_under_test", module)
    calls.clear()


def spec(name, function, *upstream, **changes):
    arguments = changes.pop("arguments", {})
    return StepSpec(
        name=name, function=f"jobs_under_test:{function}", upstream=upstream, arguments=arguments, **changes
    )


def out(step, name="result"):
    return {"$output": [step, name]}


class Ran:
    def __init__(self, tmp_path, *steps, run_id="r1", **settings):
        options = {key: settings.pop(key) for key in ("session_alive", "ready") if key in settings}
        self.deployment = Deployment(name="d", entry="e", steps=steps, **settings)
        self.root = ArtifactRoot(tmp_path)
        self.slept = []
        self.execution = Execution(
            deployment=self.deployment, run_id=run_id, root=self.root, log=EventLog(self.root.run(run_id).events),
            sleep=self.slept.append, **options,
        )  # fmt: skip
        self.run_id = run_id

    def run(self):
        self.state = self.execution.run_all()
        return self

    @property
    def events(self):
        return EventReader(self.root.run(self.run_id).events).read()

    @property
    def status(self):
        return fold([s.name for s in self.deployment.steps], self.events)

    @property
    def states(self):
        return {step.name: step.state for step in self.status.steps}

    def output(self, step, name="result"):
        return artifacts.load(self.root.run(self.run_id).output(step, name))


def test_values_go_from_step_to_step(tmp_path):
    ran = Ran(
        tmp_path,
        spec("a", "give", arguments={"value": {"$tuple": [1, 2]}}),
        spec("b", "give", arguments={"value": {"$tuple": [3]}}),
        spec("c", "add", "a", "b", arguments={"a": out("a"), "b": out("b")}),
    ).run()
    assert ran.state is S.SUCCEEDED
    assert ran.output("c") == (1, 2, 3)
    assert ran.status.state is S.SUCCEEDED
    assert ran.status.steps[2].outputs[0]["type"] == "tuple"


def test_a_failure_skips_what_stands_on_it_and_lets_the_rest_run(tmp_path):
    ran = Ran(
        tmp_path,
        spec("bad", "fail"),
        spec("after", "give", "bad"),
        spec("apart", "give"),
        spec("on_failure", "tell", "bad", run_if="one_failed", arguments={"x": out("bad")}),
        spec("at_the_end", "tell", "after", "apart", run_if="always"),
    ).run()
    assert ran.states == {
        "bad": S.FAILED, "after": S.SKIPPED, "apart": S.SUCCEEDED, "on_failure": S.SUCCEEDED, "at_the_end": S.SUCCEEDED,
    }  # fmt: skip
    assert ran.output("on_failure") == [None, ["bad"]]
    assert ran.status.state is S.FAILED
    assert ran.status.error.message == "step 'bad' failed: no good"
    assert ran.status.error.category == "user code"


def test_the_traceback_holds_the_users_frames_only(tmp_path):
    ran = Ran(tmp_path, spec("bad", "fail")).run()
    trace = ran.status.steps[0].error.traceback
    assert trace.startswith("Traceback")
    assert "test_execute.py" in trace
    assert "execute.py" not in trace.replace("test_execute.py", "")


def test_retries_wait_longer_each_time_and_then_succeed(tmp_path):
    ran = Ran(tmp_path, spec("a", "fail_until_third", retries=2, retry_delay=1.0, retry_backoff=3.0)).run()
    assert ran.state is S.SUCCEEDED
    assert ran.slept == [1.0, 3.0]
    assert ran.status.steps[0].attempts == 3
    assert ran.output("a") == "third"


def test_retries_mean_retries():
    once = spec("a", "give", retries=1)
    assert retry_delay(once, 1) == 1.0
    assert retry_delay(once, 2) is None


def test_several_outputs(tmp_path):
    ran = Ran(
        tmp_path,
        spec("a", "two_values", outputs=("x", "y")),
        spec("b", "give", "a", arguments={"value": out("a", "y")}),
    )
    ran.run()
    assert ran.output("a", "x") == 1
    assert ran.output("b") == 2


def test_outputs_that_are_not_the_declared_ones_fail_the_step(tmp_path):
    ran = Ran(tmp_path, spec("a", "one_value", outputs=("x", "y"))).run()
    assert ran.states["a"] is S.FAILED
    assert "declares the outputs x, y" in ran.status.steps[0].error.message


@pytest.mark.parametrize(("code", "state"), [(0, S.SUCCEEDED), (None, S.SUCCEEDED), (3, S.FAILED), ("why", S.FAILED)])
def test_exit(tmp_path, code, state):
    ran = Ran(tmp_path, spec("a", "exits", arguments={"code": code})).run()
    assert ran.states["a"] is state
    if state is S.FAILED:
        how = "with status 3" if code == 3 else "with the words: why"
        assert ran.status.steps[0].error.message == f"step 'a' exited {how}"


def test_a_step_that_takes_too_long_is_interrupted_and_may_be_tried_again(tmp_path):
    ran = Ran(tmp_path, spec("a", "sleeps", timeout=0.05, retries=1), spec("b", "give")).run()
    step = ran.status.steps[0]
    assert (step.state, step.attempts) == (S.FAILED, 2)
    assert step.error.category == "timeout"
    assert step.error.message == "step 'a' took longer than 0.05 s"
    assert ran.states["b"] is S.SUCCEEDED


def test_coroutines_are_awaited(tmp_path):
    assert Ran(tmp_path, spec("a", "asynchronous")).run().output("a") == "awaited"


def test_environment_is_set_for_the_step_and_put_back(tmp_path):
    ran = Ran(
        tmp_path,
        spec("a", "see_environment", environment={"WHEELRUN_TEST_VARIABLE": "x"}),
        spec("b", "see_environment"),
    ).run()
    assert (ran.output("a"), ran.output("b")) == ("x", None)


def test_environment_puts_back_what_was_there(monkeypatch):
    import os

    monkeypatch.setenv("WHEELRUN_TEST_VARIABLE", "before")
    with environment({"WHEELRUN_TEST_VARIABLE": "inside"}):
        assert os.environ["WHEELRUN_TEST_VARIABLE"] == "inside"
    assert os.environ["WHEELRUN_TEST_VARIABLE"] == "before"


def test_cached_outputs_serve_the_next_run_and_only_with_the_same_key(tmp_path):
    step = spec("a", "give", cache=True, arguments={"value": 7})
    assert Ran(tmp_path, step).run().states["a"] is S.SUCCEEDED
    second = Ran(tmp_path, step, run_id="r2").run()
    assert second.states["a"] is S.CACHED
    assert second.output("a") == 7
    assert second.status.steps[0].outputs[0]["type"] == "int"
    other = spec("a", "give", cache=True, arguments={"value": 8})
    assert Ran(tmp_path, other, run_id="r3").run().states["a"] is S.SUCCEEDED
    assert calls == [7, 8]


def test_another_process_takes_up_where_one_left(tmp_path):
    steps = (spec("a", "give"), spec("b", "give", "a"))
    first = Ran(tmp_path, *steps)
    first.execution.run_one("a")
    second = Ran(tmp_path, *steps).run()
    assert second.states == {"a": S.SUCCEEDED, "b": S.SUCCEEDED}
    assert calls == [1, 1]


def test_a_step_alone_needs_its_upstream_to_have_ended(tmp_path):
    from wheelrun.errors import ConfigurationError

    ran = Ran(tmp_path, spec("a", "give"), spec("b", "give", "a"))
    with pytest.raises(ConfigurationError, match="has not ended"):
        ran.execution.run_one("b")


def test_independent_steps_run_at_the_same_time(tmp_path):
    barrier.reset()
    ran = Ran(
        tmp_path,
        spec("a", "meet"),
        spec("b", "meet"),
        spec("c", "add", "a", "b", arguments={"a": out("a"), "b": out("b")}),
        max_parallel_steps=2,
    )
    ran.run()
    assert ran.state is S.SUCCEEDED
    assert ran.output("c") == 0


def test_parallel_steps_time_out_too(tmp_path):
    ran = Ran(tmp_path, spec("a", "sleep_in_pieces", timeout=0.05), spec("b", "give"), max_parallel_steps=2).run()
    assert ran.states == {"a": S.FAILED, "b": S.SUCCEEDED}
    assert ran.status.steps[0].error.category == "timeout"


def sleep_in_pieces():
    for _ in range(3000):
        time.sleep(0.01)


def test_a_dead_jvm_ends_the_process_after_the_step_was_told(tmp_path):
    ran = Ran(tmp_path, spec("a", "fail"), spec("b", "give"), session_alive=lambda: False)
    with pytest.raises(SessionLostError):
        ran.run()
    error = ran.status.steps[0].error
    assert (error.category, ran.states["b"]) == ("cluster", S.QUEUED)
    assert "the JVM died" in error.message


def test_a_script_runs_as_main_with_its_own_argv(tmp_path):
    code = tmp_path / "code"
    (code / "jobs").mkdir(parents=True)
    (code / "jobs" / "neighbour.py").write_text("WORD = 'beside'\n")
    (code / "jobs" / "report.py").write_text(
        "import sys, pathlib, neighbour\n"
        "assert __name__ == '__main__'\n"
        "pathlib.Path(sys.argv[1]).write_text(neighbour.WORD + ' ' + ' '.join(sys.argv[2:]))\n"
        "sys.exit(0)\n"
    )
    script = StepSpec(name="report", function="jobs/report.py", kind="script")
    ran = Ran(tmp_path, script, argv=(str(tmp_path / "out"), "a b", "c"))
    ran.execution.code = (code,)
    before = sys.argv, list(sys.path)
    assert ran.run().state is S.SUCCEEDED
    assert (tmp_path / "out").read_text() == "beside a b c"
    assert (sys.argv, list(sys.path)) == before
    sys.modules.pop("neighbour")


def test_a_pickled_output_is_warned_about_by_type(tmp_path):
    ran = Ran(tmp_path, spec("a", "give_set")).run()
    (warning,) = [event for event in ran.events if event["event"] == "warning"]
    assert "type set was pickled" in warning["message"]


def give_set():
    return {1, 2}
