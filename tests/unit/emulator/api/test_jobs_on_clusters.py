"""Jobs on the compute that the emulator really has."""

from __future__ import annotations

import datetime as dt

from databricks.sdk.service import jobs
from databricks.sdk.service.compute import Environment

SOON = dt.timedelta(seconds=120)


def test_values_from_task_to_task(emulator, workspace):
    path = emulator.workspace / "values.py"
    path.write_text(
        "import sys\n"
        "print(sys.argv[1:])\n"
        "from databricks.sdk.runtime import dbutils\n"
        "dbutils.jobs.taskValues.set('n', {'a': 1})\n"
    )

    def task(key, parameter, *after):
        return jobs.SubmitTask(
            task_key=key,
            environment_key="e",
            depends_on=[jobs.TaskDependency(one) for one in after],
            spark_python_task=jobs.SparkPythonTask("/Workspace/values.py", parameters=[parameter]),
        )

    run = workspace.jobs.submit_and_wait(
        tasks=[task("a", "{{job.run_id}}"), task("b", "{{tasks.a.values.n}}", "a")],
        environments=[jobs.JobEnvironment("e", Environment(environment_version="2"))],
        timeout=SOON,
    )
    first, second = (workspace.jobs.get_run_output(one.run_id).logs for one in run.tasks)
    assert first == f"['{run.run_id}']\n"
    assert second == "['{\"a\": 1}']\n"


GETS = """
import sys
from databricks.sdk.runtime import dbutils

values = dbutils.jobs.taskValues
values.set("rows", [1, 2])
if sys.argv[1:]:
    print(values.get("a", "rows"), values.get("a", "none", default=5), values.get(taskKey="x", key="y", default=6))
    try:
        values.get("a", "none")
    except ValueError as error:
        print(error)
"""


def test_values_that_a_task_asks_for(emulator, workspace):
    (emulator.workspace / "values.py").write_text(GETS)

    def task(key, *parameters, after=()):
        return jobs.SubmitTask(
            task_key=key,
            environment_key="e",
            depends_on=[jobs.TaskDependency(one) for one in after],
            spark_python_task=jobs.SparkPythonTask("/Workspace/values.py", parameters=list(parameters)),
        )

    run = workspace.jobs.submit_and_wait(
        tasks=[task("a"), task("b", "get", after=["a"])],
        environments=[jobs.JobEnvironment("e", Environment(environment_version="2"))],
        timeout=SOON,
    )
    logs = workspace.jobs.get_run_output(run.tasks[1].run_id).logs
    assert logs == "[1, 2] 5 6\nNo task value with key 'none' was set by the task 'a'\n"
