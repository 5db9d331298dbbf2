"""What every orchestrator inherits."""

from __future__ import annotations

import pytest

from wheelrun.config import Stack
from wheelrun.deployment import Deployment, StepSpec
from wheelrun.errors import ConfigurationError, SubmissionError, UserCodeError
from wheelrun.orchestrators.base import BaseOrchestrator, BaseOrchestratorConfig, BaseOrchestratorFlavor
from wheelrun.orchestrators.contract import Capabilities, Request, local_path
from wheelrun.states import RunState
from wheelrun.step_settings import Resources


class InProcess(BaseOrchestrator):
    """Runs the steps here, as the simplest orchestrator would."""

    flavor = "in-process"

    def __init__(self, fail_with=None, **options):
        super().__init__(BaseOrchestratorConfig(), **options)
        self.fail_with = fail_with
        self.seen = []

    def prepare(self, deployment, stack, run_id):
        return Request(orchestrator=self.flavor, run_id=run_id, content={})

    def prepare_or_run_pipeline(self, deployment, stack, environment):
        self.seen.append((self.get_orchestrator_run_id(), dict(environment)))
        yield {"handle": 1}
        if self.fail_with:
            raise self.fail_with
        for spec in deployment.steps:
            self.run_step(spec)
        yield {"done": True}


class Placeholder:
    id = "run-1"
    artifact_root = ""

    def __init__(self):
        self.metadata, self.error = {}, None

    def publish(self, metadata):
        self.metadata.update(metadata)

    def fail(self, error):
        self.error = error


def deployment(*steps):
    return Deployment(name="d", entry="e", steps=steps or (StepSpec(name="a", function="builtins:dict"),))


@pytest.fixture
def stack(tmp_path):
    return Stack(
        name="t",
        orchestrator="in-process",
        config={},
        artifact_root=str(tmp_path),
        environment={"A": "1"},
        conf={},
        timeout=None,
    )


def test_run_publishes_each_yield_and_sets_the_run_id_for_its_time_only(stack, tmp_path):
    made, placeholder = InProcess(), Placeholder()
    made.run(deployment(), stack, placeholder)
    assert placeholder.metadata == {"handle": 1, "done": True}
    assert made.seen == [("run-1", {"A": "1", "WHEELRUN_RUN_ID": "run-1"})]
    with pytest.raises(RuntimeError, match="no run is active"):
        made.get_orchestrator_run_id()
    assert (tmp_path / "runs" / "run-1" / "outputs" / "a").is_dir()


def test_a_submission_that_fails_keeps_what_was_yielded_and_marks_the_placeholder(stack):
    placeholder = Placeholder()
    with pytest.raises(SubmissionError):
        InProcess(fail_with=SubmissionError("no answer")).run(deployment(), stack, placeholder)
    assert placeholder.metadata == {"handle": 1}
    assert placeholder.error.message == "no answer"


def test_run_step_raises_the_error_that_was_published(stack):
    step = StepSpec(name="a", function="decimal:Decimal", arguments={"value": "x"})
    with pytest.raises(UserCodeError, match="step 'a' failed") as error:
        InProcess().run(deployment(step), stack, Placeholder())
    assert "InvalidOperation" in error.value.detail


def test_run_step_without_a_run_is_refused():
    with pytest.raises(RuntimeError, match="active deployment"):
        InProcess().run_step(StepSpec(name="a", function="m:f"))


def test_cached_steps_are_left_out_and_nothing_is_launched(stack):
    cached = deployment(StepSpec(name="a", function="builtins:dict", cache=True))
    InProcess().run(cached, stack, Placeholder())
    second = InProcess()
    placeholder = Placeholder()
    placeholder.id = "run-2"
    second.run(cached, stack, placeholder)
    assert second.seen == []
    from wheelrun.runtime.events import EventReader, fold
    from wheelrun.runtime.layout import ArtifactRoot

    status = fold(["a"], EventReader(ArtifactRoot(local_path(stack.artifact_root)).run("run-2").events).read())
    assert status.state is RunState.SUCCEEDED
    assert status.steps[0].state is RunState.CACHED


@pytest.mark.parametrize("member", ["fetch_status", "cancel"])
def test_what_is_not_implemented_names_the_class(member):
    with pytest.raises(NotImplementedError, match="InProcess"):
        getattr(InProcess(), member)(Placeholder())


def test_defaults_of_the_config():
    config = BaseOrchestratorConfig()
    assert (config.is_schedulable, config.is_synchronous, config.supports_client_side_caching) == (False, False, True)


def test_resources_that_cannot_be_honoured_are_an_error_or_a_warning():
    wants = deployment(StepSpec(name="a", function="m:f", resources=Resources(memory="8GiB")))
    with pytest.raises(ConfigurationError, match="cannot honour the resources of step 'a'"):
        InProcess(name="prod").check(wants)

    class Lenient(InProcess):
        capabilities = Capabilities(strict_resources=False)

    lenient = Lenient(name="here")
    lenient.check(wants)
    assert "ignored" in lenient.warnings[0]


def test_resources_in_the_environment_of_the_orchestrator():
    wants = BaseOrchestrator.requires_resources_in_orchestration_environment
    assert not wants(StepSpec(name="a", function="m:f"))
    assert wants(StepSpec(name="a", function="m:f", resources=Resources(cpu_count=2)))
    assert not wants(StepSpec(name="a", function="m:f", resources=Resources(cpu_count=2), step_operator="elsewhere"))


def test_a_flavor_has_the_members_of_the_seed():
    class Flavor(BaseOrchestratorFlavor):
        @property
        def name(self):
            return "x"

        @property
        def implementation_class(self):
            return InProcess

    flavor = Flavor()
    assert (flavor.type, flavor.config_class) == ("orchestrator", BaseOrchestratorConfig)
    assert (flavor.docs_url, flavor.sdk_docs_url, flavor.logo_url) == (None, None, None)


@pytest.mark.parametrize(("root", "path"), [("/a b", "/a b"), ("file:///a%20b", "/a b"), ("file://localhost/x", "/x")])
def test_artifact_roots_on_this_machine(root, path):
    assert str(local_path(root)) == path


def test_artifact_roots_elsewhere_are_refused():
    with pytest.raises(ConfigurationError, match="not a folder of this machine"):
        local_path("s3://bucket/x")


def test_a_request_masks_secrets_when_it_is_shown():
    environment, conf = {"API_TOKEN": "t", "A": "b"}, {"spark.a.secret.key": "k"}
    request = Request(orchestrator="x", run_id="r", content={}, environment=environment, conf=conf)
    shown = request.display()
    assert shown["environment"] == {"API_TOKEN": "****", "A": "b"}
    assert shown["conf"] == {"spark.a.secret.key": "****"}
    assert "'t'" not in repr(request)
