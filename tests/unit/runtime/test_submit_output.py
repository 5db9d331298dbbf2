"""What spark-submit says of what it submitted. The samples have the form of what real clusters made it say."""

from __future__ import annotations

import pytest

from wheelrun.runtime.submit_output import POD_PHASES, YARN_ENDS, YARN_STATES, Told, last_words, read, state_of
from wheelrun.states import RunState as S

YARN_BEGIN = """\
26/01/10 09:15:02 INFO Client: Will allocate AM container, with 1408 MB memory including 384 MB overhead
26/01/10 09:15:09 INFO Client: Submitting application application_1736500000000_0042 to ResourceManager
26/01/10 09:15:09 INFO YarnClientImpl: Submitted application application_1736500000000_0042
26/01/10 09:15:10 INFO Client: Application report for application_1736500000000_0042 (state: ACCEPTED)
26/01/10 09:15:10 INFO Client:
\t client token: N/A
\t diagnostics: AM container is launched, waiting for AM container to Register with RM
\t ApplicationMaster host: N/A
\t ApplicationMaster RPC port: -1
\t queue: default
\t start time: 1768036509016
\t final status: UNDEFINED
\t tracking URL: http://rm.example:8088/proxy/application_1736500000000_0042/
\t user: ann
"""

YARN_RUNS = """\
26/01/10 09:15:20 INFO Client: Application report for application_1736500000000_0042 (state: RUNNING)
26/01/10 09:15:20 INFO Client:
\t client token: N/A
\t diagnostics: N/A
\t ApplicationMaster host: node7.example
\t ApplicationMaster RPC port: 40123
\t queue: default
\t start time: 1768036509016
\t final status: UNDEFINED
\t tracking URL: http://rm.example:8088/proxy/application_1736500000000_0042/
\t user: ann
"""

YARN_END = """\
26/01/10 09:16:00 INFO Client: Application report for application_1736500000000_0042 (state: FINISHED)
26/01/10 09:16:00 INFO Client:
\t client token: N/A
\t diagnostics: {why}
\t ApplicationMaster host: node7.example
\t ApplicationMaster RPC port: 40123
\t queue: default
\t start time: 1768036509016
\t final status: {final}
\t tracking URL: http://rm.example:8088/proxy/application_1736500000000_0042/
\t user: ann
"""

YARN_FAILS = """\
26/01/10 09:15:52 INFO Client: Application report for application_1736500000000_0042 (state: FAILED)
26/01/10 09:15:52 INFO Client:
\t client token: N/A
\t diagnostics: Application application_1736500000000_0042 failed 1 times due to AM Container for \
appattempt_1736500000000_0042_000001 exited with  exitCode: 1
Failing this attempt.Diagnostics: [2026-01-10 09:15:50.804]Exception from container-launch.
Container id: container_e09_1736500000000_0042_01_000001
Exit code: 1

. Failing the application.
\t ApplicationMaster host: N/A
\t ApplicationMaster RPC port: -1
\t queue: default
\t start time: 1768036509016
\t final status: FAILED
\t tracking URL: http://history.example:8188/applicationhistory/app/application_1736500000000_0042
\t user: ann
26/01/10 09:15:52 ERROR Client: Application diagnostics message: Application application_1736500000000_0042 failed
Exception in thread "main" org.apache.spark.SparkException: Application application_1736500000000_0042 finished with \
failed status
\tat org.apache.spark.deploy.yarn.Client.run(Client.scala:1309)
26/01/10 09:15:52 INFO ShutdownHookManager: Shutdown hook called
"""


def pod(phase: str, container: str = "N/A") -> str:
    return f"""\
26/01/10 09:20:01 INFO LoggingPodStatusWatcherImpl: State changed, new state:\x20
\t pod name: daily-5f1d0c9a1b2c3d4e-driver
\t namespace: team-a
\t labels: spark-app-name -> daily, spark-app-selector -> spark-00112233445566778899aabbccddeeff, spark-role -> driver
\t pod uid: 00000000-1111-2222-3333-444444444444
\t creation time: 2026-01-10T09:20:00Z
\t service account name: spark
\t volumes: spark-local-dir-1, spark-conf-volume-driver
\t node name: node7
\t start time: 2026-01-10T09:20:00Z
\t phase: {phase}
\t container status: {container}
"""


WAITS = """\
\x20
\t\t container name: spark-kubernetes-driver
\t\t container image: registry.example/spark:4
\t\t container state: waiting
\t\t pending reason: ContainerCreating"""

ENDED = """\
\x20
\t\t container name: spark-kubernetes-driver
\t\t container image: registry.example/spark:4
\t\t container state: terminated
\t\t container started at: 2026-01-10T09:20:05Z
\t\t container finished at: 2026-01-10T09:20:45Z
\t\t exit code: {code}
\t\t termination reason: {why}"""

SHORT = """\
26/01/10 09:20:03 INFO LoggingPodStatusWatcherImpl: Waiting for application daily with application ID \
spark-00112233445566778899aabbccddeeff and submission ID team-a:daily-5f1d0c9a1b2c3d4e-driver to finish...
26/01/10 09:20:04 INFO LoggingPodStatusWatcherImpl: Application status for \
spark-00112233445566778899aabbccddeeff (phase: Running)
"""


def after(kind: str, *texts: str) -> Told:
    return read(kind, "".join(texts).splitlines())


def test_nothing_is_known_of_nothing():
    assert after("yarn") == after("kubernetes") == Told()
    assert state_of("yarn", Told()) is state_of("kubernetes", Told()) is S.UNKNOWN


def test_an_application_of_yarn_from_its_submission_to_its_end():
    told = after("yarn", YARN_BEGIN)
    assert told.id == "application_1736500000000_0042"
    assert told.url == "http://rm.example:8088/proxy/application_1736500000000_0042/"
    assert told.message == "AM container is launched, waiting for AM container to Register with RM"
    assert (told.state, state_of("yarn", told)) == ("ACCEPTED", S.QUEUED)
    told = read("yarn", YARN_RUNS.splitlines(), told)
    assert state_of("yarn", told) is S.RUNNING
    told = read("yarn", YARN_END.format(final="SUCCEEDED", why="N/A").splitlines(), told)
    assert (told.state, told.final, state_of("yarn", told)) == ("FINISHED", "SUCCEEDED", S.SUCCEEDED)


@pytest.mark.parametrize("form", ["Client:54 - ", "yarn.Client: ", "[main] o.a.s.d.y.Client: "])
def test_the_id_is_found_whatever_the_log_lines_look_like(form):
    told = after(
        "yarn", f"2026-01-10 09:15:10 INFO  {form}Application report for application_1_0001 (state: RUNNING)\n"
    )
    assert (told.id, told.state) == ("application_1_0001", "RUNNING")


def test_an_application_of_yarn_that_fails_tells_why():
    told = after("yarn", YARN_BEGIN, YARN_FAILS)
    assert state_of("yarn", told) is S.FAILED
    assert told.message.startswith("Application application_1736500000000_0042 failed 1 times")
    assert told.url == "http://history.example:8188/applicationhistory/app/application_1736500000000_0042"
    told = after("yarn", YARN_BEGIN, YARN_END.format(final="FAILED", why="User application exited with status 1"))
    assert (state_of("yarn", told), told.message) == (S.FAILED, "User application exited with status 1")


@pytest.mark.parametrize(("final", "state"), [*YARN_ENDS.items(), ("UNDEFINED", S.UNKNOWN), ("ENDED", S.UNKNOWN)])
def test_how_an_application_of_yarn_finished(final, state):
    assert state_of("yarn", after("yarn", YARN_END.format(final=final, why="N/A"))) is state


@pytest.mark.parametrize(("word", "state"), [*YARN_STATES.items(), ("HIBERNATING", S.UNKNOWN)])
def test_the_states_of_yarn(word, state):
    told = after("yarn", f"INFO Client: Application report for application_1_0001 (state: {word})\n")
    assert state_of("yarn", told) is state


def test_a_pod_from_its_creation_to_its_end():
    told = after("kubernetes", pod("Pending"))
    assert (told.id, told.message) == ("team-a:daily-5f1d0c9a1b2c3d4e-driver", "")
    assert state_of("kubernetes", told) is S.QUEUED
    told = read("kubernetes", pod("Pending", WAITS).splitlines(), told)
    assert told.message == "ContainerCreating"
    told = read("kubernetes", SHORT.splitlines(), told)
    assert (told.id, state_of("kubernetes", told)) == ("team-a:daily-5f1d0c9a1b2c3d4e-driver", S.RUNNING)
    told = read("kubernetes", pod("Succeeded", ENDED.format(code=0, why="Completed")).splitlines(), told)
    assert (state_of("kubernetes", told), told.exit_code, told.message) == (S.SUCCEEDED, 0, "Completed")


def test_a_pod_that_fails_tells_why():
    told = after("kubernetes", SHORT, pod("Failed", ENDED.format(code=137, why="OOMKilled")))
    assert (state_of("kubernetes", told), told.exit_code, told.message) == (S.FAILED, 137, "OOMKilled")


def test_the_id_is_known_from_the_submission_alone():
    assert after("kubernetes", SHORT).id == "team-a:daily-5f1d0c9a1b2c3d4e-driver"


@pytest.mark.parametrize(("phase", "state"), [*POD_PHASES.items(), ("Unknown", S.UNKNOWN), ("Odd", S.UNKNOWN)])
def test_the_phases_of_a_pod(phase, state):
    assert state_of("kubernetes", after("kubernetes", pod(phase))) is state


NO_MASTER = """\
WARNING: Using incubator modules: jdk.incubator.vector
Exception in thread "main" org.apache.spark.SparkException: Master must either be yarn or start with spark, k8s, or \
local
\tat org.apache.spark.deploy.SparkSubmit.error(SparkSubmit.scala:1090)
"""
NO_PYTHON = """\
Exception in thread "main" java.io.IOException: Cannot run program "/no/python": error=2, No such file or directory
\tat java.base/java.lang.ProcessBuilder.start(ProcessBuilder.java:1143)
Caused by: java.io.IOException: error=2, No such file or directory
\t... 15 more
"""
NO_MEMORY = """\
Invalid maximum heap size: -Xmxlots
Error: Could not create the Java Virtual Machine.
Error: A fatal exception has occurred. Program will exit.
"""
LOGS = "26/01/10 09:20:04 INFO SparkContext: Successfully stopped SparkContext (Uptime: 5575 ms)\n"


@pytest.mark.parametrize(
    ("stderr", "stdout", "words"),
    [
        (NO_MASTER, "", "Master must either be yarn or start with spark, k8s, or local"),
        (NO_MEMORY, "", "Invalid maximum heap size: -Xmxlots"),
        (NO_PYTHON, "", 'Cannot run program "/no/python": error=2, No such file or directory'),
        ("Error: Unrecognized option: --bogus\n\nRun with --help for usage help\n", "", "Unrecognized option: --bogus"),
        (NO_MASTER.splitlines()[0] + "\n" + LOGS, "ModuleNotFoundError: No module named 'x'\n\n",
         "ModuleNotFoundError: No module named 'x'"),
        ("/bin/sh: java: not found\n" + LOGS, "", "/bin/sh: java: not found"),
        (LOGS + "\t final status: FAILED\n\t user: ann\n", "", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_why_spark_submit_ended(stderr, stdout, words):
    assert last_words(stderr, stdout) == words
