from __future__ import annotations

from wheelrun.cluster import conf

KEY, TOKEN = "the-secret-key", "the-secret-token"


def test_no_secret_is_on_a_command_line_or_in_an_environment(folder, state):
    for name in state.names:
        words = " ".join(conf.command(name, state, folder))
        variables = repr(conf.environment(name, folder, {}, spark_home="/spark", java={}))
        assert KEY not in words + variables
        assert TOKEN not in words + variables
    assert KEY in conf.master_conf(state, folder, KEY).values()
    assert TOKEN in conf.connect_conf(state, TOKEN).values()
    assert not any("token" in key for key in conf.connect_conf(state, None))
    assert not any("filter" in key for key in conf.master_conf(state, folder, None))


def test_the_persons_spark_and_python_settings_stay_away(folder):
    inherited = {
        "PATH": "/bin",
        "AWS_PROFILE": "dev",
        "SPARK_CONF_DIR": "/mine",
        "SPARK_MASTER_HOST": "0.0.0.0",
        "_SPARK_AUTH_SECRET": "x",
        "PYSPARK_SUBMIT_ARGS": "x",
        "PYTHONPATH": "/work",
        "WHEELRUN_RUN_ID": "r",
        "JAVA_HOME": "/old",
    }
    found = conf.environment("worker-2", folder, inherited, spark_home="/spark", java={"JAVA_HOME": "/java"})
    assert found["PATH"] == "/bin"
    assert found["AWS_PROFILE"] == "dev"
    assert found["JAVA_HOME"] == "/java"
    assert found["SPARK_CONF_DIR"] == str(folder.conf("worker"))
    assert found["SPARK_LOCAL_IP"] == "127.0.0.1"
    assert found["WHEELRUN_CLUSTER_PART"] == "worker-2"
    assert not found.keys() & {"SPARK_MASTER_HOST", "_SPARK_AUTH_SECRET", "PYTHONPATH", "WHEELRUN_RUN_ID"}


def test_the_connect_server_leaves_room(folder, state):
    settings = conf.connect_conf(state, None)
    assert settings["spark.cores.max"] == "1"
    assert settings["spark.master"] == state.master
    assert conf.driver_conf(state)["spark.ui.port"] == "0"
    assert conf.master_conf(state, folder, None)["spark.deploy.maxDrivers"] == "2"
