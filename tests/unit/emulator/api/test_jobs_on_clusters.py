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
