"""What spark-submit is started with, what is refused, and where a run is whose driver is on a cluster."""

from __future__ import annotations

import json
import sys

import pytest

from wheelrun.config import Stack, validate
from wheelrun.deployment import Deployment, StepSpec, WheelRef
from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators import registry
from wheelrun.orchestrators.submit import SubmitOrchestrator
from wheelrun.orchestrators.submit_command import find_program, kill_command
from wheelrun.orchestrators.submit_masters import KINDS, SubmitConfig, check, kind_of
from wheelrun.orchestrators.submit_state import overlaid, told_of
from wheelrun.runtime.submit_output import READERS, Told
from wheelrun.states import RunState as S
from wheelrun.states import RunStatus, StepStatus
from wheelrun.step_settings import Resources

WHEEL = WheelRef(file="shop-1.0-py3-none-any.whl", name="shop", version="1.0", digest="d" * 64)
YARN = {"master": "yarn", "deploy_mode": "cluster", "cluster_root": "/mnt/share"}
KUBE = {"master": "k8s://https://host:6443", "deploy_mode": "cluster", "cluster_root": "/mnt/share"}


def program(path, text="#!/bin/sh\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def prepared(tmp_path, environ):
    """Return the request of a submission; the spark-submit is a wrapper around a Spark that is elsewhere."""
    submit = program(tmp_path / "bin" / "spark-submit")

    def prepare(config, *, conf=None, environment=None, resources=None, root=None, **given):
        config = SubmitConfig(**{"submit_command": str(submit), **config})
        stack = Stack(
            name="t",
            orchestrator="spark-submit",
            config={},
            artifact_root=root or str(tmp_path / "root"),
            environment=environment or {},
            conf=conf or {},
            timeout=None,
        )
        step = StepSpec(name="a", function="jobs:a", resources=resources or Resources())
        deployment = Deployment(name="daily", entry="jobs:a", steps=(step,), wheel=WHEEL, **given)
        made = SubmitOrchestrator(config, name="t", environ={**environ, "WHEELRUN_HOME": str(tmp_path / "home")})
        made.check(deployment)
        return made.prepare(deployment, stack, "RUN")

    return prepare


def option(request, name):
    argv = request.content["argv"]
    return argv[argv.index(name) + 1] if name in argv else None


def ticket(request):
    return json.loads(request.content["argv"][-1])


def test_it_is_registered():
    assert registry.flavor("spark-submit").implementation_class is SubmitOrchestrator


def test_the_command_line_is_a_list_and_all_settings_are_in_a_file(prepared, tmp_path):
    request = prepared(
        {"master": "yarn", "queue": "night", "packages": ["g:n:1"], "proxy_user": "ann"},
        conf={"spark.a": "b c", "spark.my.token": "hush"},
        environment={"API_TOKEN": "hush", "PLAIN": "x"},
    )
    argv = request.content["argv"]
    assert argv[:5] == [str(tmp_path / "bin" / "spark-submit"), "--master", "yarn", "--deploy-mode", "client"]
    assert option(request, "--queue") == "night"
    assert option(request, "--packages") == "g:n:1"
    assert option(request, "--proxy-user") == "ann"
    assert option(request, "--properties-file").endswith("/wheelrun-run-RUN/conf/spark-defaults.conf")
    assert "hush" not in json.dumps(argv)
    assert "--conf" not in argv
    assert request.conf["spark.a"] == "b c"
    assert request.conf["spark.my.token"] == "hush"
    assert request.environment["API_TOKEN"] == "hush"
    shown = json.dumps(request.display())
    assert "hush" not in shown
    assert "spark.my.token" in shown


def test_what_is_not_said_is_not_on_the_command_line(prepared):
    argv = prepared({"master": "local-cluster[1,1,512]"}).content["argv"]
    assert [word for word in argv if word.startswith("--")] == ["--master", "--deploy-mode", "--properties-file"]


def test_a_driver_on_this_machine_is_told_where_the_run_is_and_what_must_not_be_imported(prepared, tmp_path):
    told = ticket(prepared({"master": "local-cluster[1,1,512]"}))
    assert told["root"] == str(tmp_path / "root")
    assert told["supervised"]
    assert told["own_logs"]
    assert told["source_root"]
    assert told["code"][0].endswith("/shop-1.0-py3-none-any.zip")
    assert told["code"][1].startswith("wheels/wheelrun/")


def test_executors_get_the_code_as_archives_where_the_master_unpacks_them(prepared, tmp_path):
    for master in ("local-cluster[1,1,512]", "spark://host:7077"):
        request = prepared({"master": master}, conf={"spark.archives": "more.zip#more"})
        first, second, more = request.conf["spark.archives"].split(",")
        assert first == f"{tmp_path}/root/wheels/shop/{WHEEL.digest}/shop-1.0-py3-none-any.zip#wheelrun_code_0"
        assert second.endswith("#wheelrun_code_1")
        assert more == "more.zip#more"
        assert request.conf["spark.executorEnv.PYTHONPATH"] == "wheelrun_code_0:wheelrun_code_1"
        assert option(request, "--py-files") is None


def test_executors_get_the_code_as_zips_on_yarn_and_kubernetes(prepared, tmp_path):
    zips = option(prepared(YARN), "--py-files").split(",")
    assert zips[0] == f"{tmp_path}/root/wheels/shop/{WHEEL.digest}/shop-1.0-py3-none-any.zip"
    request = prepared(KUBE)
    zips = option(request, "--py-files").split(",")
    assert zips[0] == f"local:///mnt/share/wheels/shop/{WHEEL.digest}/shop-1.0-py3-none-any.zip"
    assert request.content["argv"][-2].startswith("local:///mnt/share/wheels/wheelrun/")
    assert "spark.archives" not in request.conf
    assert "spark.executorEnv.PYTHONPATH" not in request.conf
    assert ticket(request)["root"] == "/mnt/share"
    assert not ticket(request)["supervised"]


def test_an_artifact_root_behind_a_url_is_read_by_spark_itself(prepared):
    pytest.importorskip("fsspec")
    pytest.importorskip("s3fs")
    request = prepared({**YARN, "cluster_root": None}, root="s3://bucket/runs")
    assert option(request, "--py-files").startswith("s3a://bucket/runs/wheels/shop/")
    assert request.content["argv"][-2].startswith("s3a://bucket/runs/wheels/wheelrun/")


@pytest.mark.parametrize(
    ("config", "driver"), [(YARN, "spark.yarn.appMasterEnv."), (KUBE, "spark.kubernetes.driverEnv.")]
)
def test_driver_and_executors_on_a_cluster_get_the_environment(prepared, config, driver):
    request = prepared(config, environment={"A_TOKEN": "hush", "B": "1"})
    for prefix in (driver, "spark.executorEnv."):
        assert request.conf[f"{prefix}A_TOKEN"] == "hush"
        assert request.conf[f"{prefix}B"] == "1"
    assert "hush" not in json.dumps(request.display())


def test_the_environment_of_a_driver_on_this_machine_is_no_setting(prepared):
    request = prepared({"master": "yarn"}, environment={"B": "1"})
    assert request.conf["spark.executorEnv.B"] == "1"
    assert not any("appMasterEnv" in name for name in request.conf)


@pytest.mark.parametrize(
    ("config", "environment", "executors", "driver"),
    [
        ({"master": "local-cluster[1,1,512]"}, {}, sys.executable, None),
        ({"master": "spark://127.0.0.1:7077"}, {}, sys.executable, None),
        ({"master": "spark://host:7077"}, {}, "python3", sys.executable),
        ({"master": "yarn"}, {"PYSPARK_PYTHON": "py"}, "py", None),
        ({"master": "yarn", "python": "mine"}, {"PYSPARK_PYTHON": "py"}, "mine", None),
        (YARN, {}, "python3", None),
        (YARN, {"PYSPARK_PYTHON": "py", "PYSPARK_DRIVER_PYTHON": "pd"}, "py", "pd"),
    ],
)
def test_the_python_of_driver_and_executors(prepared, config, environment, executors, driver):
    conf = prepared(config, environment=environment).conf
    assert conf["spark.pyspark.python"] == executors
    assert conf.get("spark.pyspark.driver.python") == driver


def test_on_this_machine_everything_listens_on_loopback(prepared):
    request = prepared({"master": "local-cluster[1,1,512]"})
    assert request.conf["spark.driver.bindAddress"] == "127.0.0.1"
    assert request.environment["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert "spark.driver.bindAddress" not in prepared({"master": "spark://host:7077"}).conf


@pytest.mark.parametrize(
    ("config", "resources", "conf"),
    [
        (YARN, {"cpu_count": 2, "memory": "4GiB", "executors": 3},
         {"spark.driver.cores": "2", "spark.driver.memory": "4096m", "spark.executor.instances": "3"}),
        (KUBE, {"executor_cpu_count": 2, "executor_memory": "512MiB"},
         {"spark.executor.cores": "2", "spark.executor.memory": "512m"}),
        ({"master": "spark://h:1"}, {"executors": 3, "executor_cpu_count": 2},
         {"spark.cores.max": "6", "spark.executor.cores": "2"}),
        ({"master": "local-cluster[1,1,512]"}, {"memory": "1GiB"}, {"spark.driver.memory": "1024m"}),
    ],
)  # fmt: skip
def test_resources_become_settings(prepared, config, resources, conf):
    assert conf.items() <= prepared(config, resources=Resources(**resources)).conf.items()


@pytest.mark.parametrize(
    ("config", "resources"),
    [
        ({"master": "local-cluster[1,1,512]"}, {"executors": 2}),
        ({"master": "local-cluster[1,1,512]"}, {"executor_memory": "1GiB"}),
        ({"master": "spark://h:1"}, {"cpu_count": 2}),
        ({"master": "yarn"}, {"cpu_count": 2}),
        ({"master": "yarn"}, {"gpu_count": 1}),
        ({"master": "spark://h:1"}, {"gpu_count": 1}),
    ],
)
def test_resources_that_a_master_cannot_honour_are_refused(prepared, config, resources):
    with pytest.raises(ConfigurationError, match=f"target 't' cannot honour {next(iter(resources))}"):
        prepared(config, resources=Resources(**resources))


def test_a_driver_with_gpus_needs_to_be_told_how_to_find_them(prepared):
    with pytest.raises(ConfigurationError, match="how a driver finds its GPUs") as error:
        prepared(KUBE, resources=Resources(gpu_count=1))
    assert "spark.driver.resource.gpu.discoveryScript" in error.value.hint
    conf = {"spark.driver.resource.gpu.discoveryScript": "/gpus.sh"}
    request = prepared(KUBE, resources=Resources(gpu_count=1), conf=conf)
    assert request.conf["spark.driver.resource.gpu.amount"] == "1"
    assert request.conf["spark.driver.resource.gpu.vendor"] == "nvidia.com"


@pytest.mark.parametrize(
    ("config", "said", "hint"),
    [
        ({"master": "spark://h:1", "deploy_mode": "cluster"}, "runs no Python driver", "spark-standalone"),
        ({"master": "local-cluster[1,1,512]", "deploy_mode": "cluster"}, "runs no Python driver", "leave deploy_mode"),
        ({"master": "k8s://h", "queue": "q"}, "cannot honour queue = 'q'", "yarn"),
        ({"master": "local-cluster[1,1,512]", "principal": "p"}, "cannot honour principal", "yarn, kubernetes"),
        ({"master": "spark://h:1", "keytab": "/k"}, "cannot honour keytab", "yarn, kubernetes"),
        ({"master": "local-cluster[1,1,512]", "proxy_user": "u"}, "cannot honour proxy_user", "standalone"),
        ({"master": "yarn", "proxy_user": "u", "principal": "p", "keytab": "/k"}, "exclude each other", "one of them"),
        ({"master": "yarn", "principal": "p"}, "belong together", "both"),
        ({"master": "yarn", "isolation": "step", "deploy_mode": "cluster"}, "no further applications", "isolation"),
        ({"master": "yarn", "properties_file": "/none/p"}, "properties_file names '/none/p'", None),
        ({"master": "yarn", "jars": ["/none.jar"]}, "jars names '/none.jar'", None),
        ({"master": "yarn", "files": ["/none.csv#data.csv"]}, "files names", None),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(config, said, hint):
    with pytest.raises(ConfigurationError, match=said) as error:
        check(SubmitConfig(**config), target="t")
    assert hint is None or hint in error.value.hint


def test_files_elsewhere_and_patterns_are_spark_submits_to_find(tmp_path):
    (tmp_path / "a.jar").touch()
    check(
        SubmitConfig(
            master="yarn",
            jars=(str(tmp_path / "a.jar"), "hdfs:///b.jar", "local:/c.jar", str(tmp_path / "*.jar")),
            files=(f"{tmp_path}/a.jar#renamed",),
        ),
        target="t",
    )


def test_a_file_is_named_from_the_projects_root_on(tmp_path):
    config = SubmitConfig(master="yarn", jars=("a.jar", "hdfs:///b.jar", "/c.jar#c"), properties_file="p.conf")
    anchored = config.anchored(tmp_path)
    assert anchored.jars == (f"{tmp_path}/a.jar", "hdfs:///b.jar", "/c.jar#c")
    assert (anchored.properties_file, anchored.keytab) == (tmp_path / "p.conf", None)


@pytest.mark.parametrize("setting", ["spark.master", "spark.submit.deployMode"])
def test_a_setting_at_odds_with_a_key_is_refused(prepared, setting):
    with pytest.raises(ConfigurationError, match=f"{setting} = 'other' is at odds with"):
        prepared({"master": "yarn"}, conf={setting: "other"})


@pytest.mark.parametrize("master", ["local[2]", "mesos://h", "spark://h", "local-cluster[2]", "yarn-cluster"])
def test_what_is_no_master_of_spark_submits_is_refused(master):
    with pytest.raises(ConfigurationError, match="master = "):
        validate(SubmitConfig, {"master": master}, "t")


def test_a_folder_of_this_machine_is_no_root_for_a_cluster(prepared):
    with pytest.raises(ConfigurationError, match="is a folder of this machine") as error:
        prepared({**YARN, "cluster_root": None})
    assert "cluster_root" in error.value.hint


def test_each_kind_of_master_has_a_reader_where_it_runs_drivers():
    for kind in KINDS:
        assert (kind.cluster is None) == (kind.reader not in READERS)
    assert kind_of("spark://a:1,b:2").name == "standalone"


def test_the_users_properties_file_keeps_what_it_says_of_archives(prepared, tmp_path):
    (tmp_path / "p.conf").write_text("# no\nspark.archives   data.zip#data\nspark.other=1\n")
    request = prepared({"master": "local-cluster[1,1,512]", "properties_file": str(tmp_path / "p.conf")})
    assert request.conf["spark.archives"].endswith(",data.zip#data")


def test_spark_submit_is_found(tmp_path, environ):
    own = program(tmp_path / "spark" / "bin" / "spark-submit")
    (tmp_path / "spark" / "jars").mkdir()
    (tmp_path / "spark" / "jars" / "spark-core_2.13-4.3.0.jar").touch()
    found = find_program(None, {**environ, "SPARK_HOME": str(tmp_path / "spark")})
    assert (found.path, found.spark.version) == (str(own), "4.3.0")
    assert find_program(str(own), environ).spark.home == tmp_path / "spark"
    wrapper = program(tmp_path / "wrappers" / "spark3-submit")
    found = find_program("spark3-submit", {"PATH": str(wrapper.parent)})
    assert (found.path, found.spark) == (str(wrapper), None)
    for missing in ("spark9-submit", str(tmp_path / "none")):
        with pytest.raises(ConfigurationError, match="is not a program"):
            find_program(missing, {"PATH": str(wrapper.parent)})


def test_what_ends_an_application():
    assert kill_command("yarn", "application_1_2", program="s", master="yarn", yarn="/bin/yarn") == (
        "/bin/yarn", "application", "-kill", "application_1_2",
    )  # fmt: skip
    assert kill_command("kubernetes", "ns:pod", program="s", master="k8s://h", yarn=None) == (
        "s", "--kill", "ns:pod", "--master", "k8s://h",
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="`yarn` is not on PATH") as error:
        kill_command("yarn", "application_1_2", program="s", master="yarn", yarn=None)
    assert "yarn application -kill application_1_2" in error.value.hint


ACCEPTED = Told(id="application_1_2", state="ACCEPTED", url="http://rm/2")


def seen(status, told, *, kind="yarn", held=True, asked=False, interrupted=False, silence=None):
    steps = (StepStatus(name="a", state=S.RUNNING if status is S.RUNNING else S.QUEUED),)
    return overlaid(
        RunStatus(state=status, steps=steps),
        told,
        kind=kind,
        held=held,
        asked=asked,
        interrupted=interrupted,
        silence=silence,
        run_id="R",
        now=5.0,
    )


@pytest.mark.parametrize(
    ("told", "state", "reason"),
    [
        (Told(), S.QUEUED, "spark-submit is submitting the driver"),
        (ACCEPTED, S.QUEUED, "waiting for resources (ACCEPTED)"),
        (Told(id="x", state="ACCEPTED", message="no room"), S.QUEUED, "waiting for resources (ACCEPTED): no room"),
        (Told(id="x", state="RUNNING"), S.QUEUED, "the driver is starting"),
        (Told(id="x", state="FAILED"), S.QUEUED, "x has ended (FAILED)"),
        (Told(id="x", state="ODD"), S.UNKNOWN, "x is in a state that is not known: ODD"),
    ],
)
def test_a_run_that_waits_tells_for_what(told, state, reason):
    status = seen(S.QUEUED, told)
    assert (status.state, status.reason, status.url) == (state, reason, told.url)


def test_what_the_driver_tells_goes_before_what_spark_submit_tells():
    assert seen(S.RUNNING, Told(id="x", state="ODD")).state is S.RUNNING
    assert seen(S.SUCCEEDED, Told(id="x", state="FAILED"), held=False).state is S.SUCCEEDED


@pytest.mark.parametrize(
    ("told", "options", "state", "said"),
    [
        (ACCEPTED, {}, S.UNKNOWN, "application_1_2 was ACCEPTED when it was last seen"),
        (ACCEPTED, {"silence": 3.0}, S.RUNNING, "the driver gives signs of life"),
        (ACCEPTED, {"silence": 300.0}, S.FAILED, "gives no sign of life"),
        (Told(), {"interrupted": True}, S.FAILED, "interrupted before it arrived"),
        (Told(id="x", state="FAILED", message="AM"), {}, S.FAILED, "x ended before the run did (FAILED): AM"),
        (Told(id="x", state="FINISHED", final="SUCCEEDED"), {}, S.FAILED, "x ended before the run did (FINISHED)"),
        (Told(id="x", state="KILLED"), {}, S.CANCELLED, "x was ended (KILLED)"),
        (Told(id="x", state="Failed"), {"asked": True, "silence": 300.0}, S.CANCELLED, "x was ended (Failed)"),
    ],
)
def test_a_run_whose_spark_submit_has_gone(told, options, state, said):
    status = seen(S.RUNNING, told, held=False, **options)
    assert status.state is state
    assert said in (status.error.message if status.error else status.reason)
    if state.is_terminal:
        assert status.steps[0].state is state
        assert "wheelrun resume R" in status.error.hint


def test_what_was_told_of_an_earlier_start_counts_no_more():
    events = [
        {"event": "submission", "start": 1, "id": "old", "state": "KILLED"},
        {"event": "submission", "start": 2, "id": "new", "state": "ACCEPTED", "time": 1.0},
        {"event": "run", "state": "running"},
    ]
    assert told_of(events, 2) == Told(id="new", state="ACCEPTED")
    assert told_of(events, 3) == Told()
