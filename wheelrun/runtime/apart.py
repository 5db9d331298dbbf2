"""Steps that run in a Spark application each: every one in a process of its own, with a JVM of its own.

The worker decides which step may run, as always, and starts a process for it; that process tells its attempts itself,
and the worker tells of one that ended without a word.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from wheelrun.deployment import Deployment, StepSpec
from wheelrun.runtime.bootstrap import python_command
from wheelrun.runtime.events import EventLog, EventReader, fold
from wheelrun.runtime.execute import Execution
from wheelrun.runtime.launch import Launch, make_scratch, remove_scratch
from wheelrun.runtime.layout import file_name
from wheelrun.runtime.ticket import SECRET_CONF_VARIABLE
from wheelrun.states import ErrorInfo

_NOT_INHERITED = ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET", "WHEELRUN_RUN_ID", SECRET_CONF_VARIABLE)


@dataclass(slots=True, kw_only=True)
class ApartExecution(Execution):
    """An execution whose steps run in processes of their own.

    Attributes:
        launch: What this process was launched with.
        events: A descriptor that gets each event too.
        secret: Spark settings that are secret, for every step.
    """

    launch: Launch
    events: int
    secret: Mapping[str, str] = field(default_factory=dict)

    def _run_step(self, spec: StepSpec) -> None:
        while True:
            before = self.attempts[spec.name]
            error = self._run_apart(spec)
            names = [each.name for each in self.deployment.steps]
            status = {step.name: step for step in fold(names, EventReader(self.paths.events).read()).steps}[spec.name]
            self.states[spec.name], self.attempts[spec.name] = status.state, status.attempts
            if status.state.is_terminal:
                return
            attempt = self.attempts[spec.name] = max(status.attempts, before + 1)
            delay = self._settle(spec, attempt, error)
            if delay is None:
                return
            self.sleep(delay)

    def _run_apart(self, spec: StepSpec) -> ErrorInfo:
        """Run a step's attempts; return what has happened if they ended without a word."""
        from wheelrun.runtime.supervisor import died

        scratch = f"{self.launch.scratch}-{file_name(spec.name)}"
        conf = {**self.launch.conf, **self.launch.step_conf.get(spec.name, {}), **self.secret}
        launch = replace(self.launch, session="apart", isolation="pipeline", conf=conf, scratch=scratch)
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
        make_scratch(scratch)
        try:
            process = subprocess.Popen(
                python_command("wheelrun.runtime.apart", spec.name, str(self.events)),
                stdin=subprocess.PIPE,
                env=environment,
                pass_fds=(self.events,),
            )
            process.communicate(launch.to_json().encode())
            code = process.returncode
        finally:
            remove_scratch(scratch)
        return died(spec.name, -code if code < 0 else code << 8)  # as `waitpid` has it


def main() -> int:
    """Run one step. Arguments: its name, and the descriptor for events; the launch is on standard input."""
    from wheelrun.runtime.worker import execution_of, session_of, set_up

    name, events = sys.argv[1], int(sys.argv[2])
    launch = Launch.from_json(sys.stdin.read())
    set_up(launch)
    paths = Path(launch.artifact_root) / "runs" / launch.run_id
    deployment = Deployment.from_json((paths / "deployment.json").read_text(encoding="utf-8"))
    log = EventLog(paths / "events.jsonl", also=events)
    session = session_of(launch, deployment, log)
    try:
        execution_of(launch, deployment, log, session).run_one(name)
    finally:
        session.close()
    return 0
