"""Which step may run."""

from __future__ import annotations

import pytest

from wheelrun.deployment import StepSpec
from wheelrun.runtime.graph import Decision, decide
from wheelrun.states import RunState as S


@pytest.mark.parametrize(
    ("run_if", "upstream", "decision"),
    [
        ("all_succeeded", [], Decision.RUN),
        ("all_succeeded", [S.SUCCEEDED, S.CACHED], Decision.RUN),
        ("all_succeeded", [S.SUCCEEDED, S.RUNNING], Decision.WAIT),
        ("all_succeeded", [S.FAILED, S.RUNNING], Decision.WAIT),
        ("all_succeeded", [S.SUCCEEDED, S.FAILED], Decision.SKIP),
        ("all_succeeded", [S.SKIPPED], Decision.SKIP),
        ("all_succeeded", [S.UNKNOWN], Decision.WAIT),
        ("one_failed", [S.SUCCEEDED, S.FAILED], Decision.RUN),
        ("one_failed", [S.SUCCEEDED, S.SUCCEEDED], Decision.SKIP),
        ("one_failed", [S.SKIPPED], Decision.SKIP),
        ("one_failed", [S.FAILED, S.QUEUED], Decision.WAIT),
        ("always", [S.FAILED, S.SKIPPED, S.SUCCEEDED], Decision.RUN),
        ("always", [S.CANCELLED], Decision.RUN),
        ("always", [S.RUNNING], Decision.WAIT),
    ],
)
def test_decisions(run_if, upstream, decision):
    names = tuple(f"s{index}" for index in range(len(upstream)))
    spec = StepSpec(name="x", function="m:f", upstream=names, run_if=run_if)
    steps = {name: StepSpec(name=name, function="m:f") for name in names}
    found, reason = decide(spec, dict(zip(names, upstream, strict=True)), steps)
    assert found is decision
    assert (reason is not None) == (decision is Decision.SKIP)


def test_the_reason_names_the_step_that_failed():
    spec = StepSpec(name="x", function="m:f", upstream=("load",))
    assert decide(spec, {"load": S.FAILED}, {})[1] == "step 'load' failed"


def test_a_failure_at_the_start_of_a_chain_is_told_at_its_end():
    chain = [StepSpec(name="s0", function="m:f")]
    chain += [StepSpec(name=f"s{n}", function="m:f", upstream=(f"s{n - 1}",)) for n in range(1, 2000)]
    steps = {step.name: step for step in chain}
    last = StepSpec(name="last", function="m:f", upstream=("s1999",), run_if="one_failed")
    states = dict.fromkeys(steps, S.SKIPPED)
    assert decide(last, {**states, "s0": S.FAILED}, steps)[0] is Decision.RUN
    assert decide(last, {**states, "s0": S.SUCCEEDED}, steps)[0] is Decision.SKIP
