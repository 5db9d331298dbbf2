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
    found, reason = decide(spec, dict(zip(names, upstream, strict=True)))
    assert found is decision
    assert (reason is not None) == (decision is Decision.SKIP)


def test_the_reason_names_the_step_that_failed():
    spec = StepSpec(name="x", function="m:f", upstream=("load",))
    assert decide(spec, {"load": S.FAILED})[1] == "step 'load' failed"
