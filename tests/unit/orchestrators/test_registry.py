"""Orchestrators by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from wheelrun.errors import ConfigurationError
from wheelrun.orchestrators import registry
from wheelrun.orchestrators.base import BaseOrchestratorFlavor
from wheelrun.orchestrators.local import LocalOrchestrator


class PluginFlavor(BaseOrchestratorFlavor):
    name = "plugin"
    implementation_class = LocalOrchestrator


@pytest.fixture
def plugins(monkeypatch):
    installed = []
    monkeypatch.setattr(registry, "entry_points", lambda group: installed)

    def install(name, value):
        installed.append(EntryPoint(name=name, value=value, group=registry.GROUP))

    return install


def test_the_built_in_ones():
    assert registry.flavor("local").implementation_class is LocalOrchestrator
    assert "local" in registry.names()


def test_a_plugin(plugins):
    plugins("plugin", f"{__name__}:PluginFlavor")
    import sys

    sys.modules.setdefault(__name__, sys.modules[PluginFlavor.__module__])
    assert registry.flavor("plugin").name == "plugin"
    assert registry.names() == (*registry.BUILT_IN, "plugin")


def test_an_unknown_name_shows_the_nearest():
    with pytest.raises(ConfigurationError, match="no orchestrator 'locl'") as error:
        registry.flavor("locl")
    assert error.value.hint == "did you mean 'local'?"


def test_a_broken_plugin_breaks_no_other(plugins):
    plugins("broken", "this_is_not_there:Flavor")
    assert registry.flavor("local").name == "local"
    assert registry.names() == (*registry.BUILT_IN, "broken")
    with pytest.raises(ConfigurationError, match=r"'broken' of .* cannot be loaded: ModuleNotFoundError"):
        registry.flavor("broken")


def test_what_is_no_flavor_is_refused(plugins):
    plugins("wrong", "builtins:dict")
    with pytest.raises(ConfigurationError, match="is not a BaseOrchestratorFlavor"):
        registry.flavor("wrong")


def test_two_plugins_with_one_name_are_an_error(plugins):
    plugins("twice", "a:Flavor")
    plugins("twice", "b:Flavor")
    with pytest.raises(ConfigurationError, match="both claim"):
        registry.flavor("twice")


def test_a_plugin_cannot_take_a_built_in_name(plugins):
    plugins("local", "a:Flavor")
    with pytest.raises(ConfigurationError, match="claims the name of the built-in orchestrator 'local'"):
        registry.flavor("local")
