"""What all tests share: an environment that knows nothing of the person who runs them."""

from __future__ import annotations

import os
import signal

import pytest

# What a shell starts in the background ignores Ctrl-C, what nohup starts ignores hang-ups, and children inherit that.
for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, default)


@pytest.fixture(autouse=True)
def environ(tmp_path_factory, monkeypatch):
    """Point wheelrun away from the real home; the environment is given too, for those that pass it on."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith("WHEELRUN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WHEELRUN_HOME", str(home))
    monkeypatch.setenv("WHEELRUN_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    return dict(os.environ)
