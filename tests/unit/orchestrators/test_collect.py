"""Nothing that a run refers to is ever collected."""

from __future__ import annotations

import json

import pytest

from wheelrun.deployment import Deployment, StepSpec, WheelRef
from wheelrun.errors import ClusterError, UploadError
from wheelrun.orchestrators import collect as module
from wheelrun.orchestrators.collect import Item, collect, digests_in, unreferenced
from wheelrun.orchestrators.roots import Root

MINE, OTHERS, ALSO, FREE, BUNDLE = (digit * 64 for digit in "abcde")


def wheel(digest):
    return f"wheels/shop/{digest}/shop-1.0-py3-none-any.whl"


def deployment(*digests):
    first, *also = (WheelRef(file="shop.whl", name="shop", version="1.0", digest=digest) for digest in digests)
    steps = (StepSpec(name="x", function="x:y"),)
    return Deployment(name="x", entry="x:y", steps=steps, wheel=first, also=tuple(also)).to_json().encode()


def names(items):
    return [item.name for item in items]


def make_all_old(root, age):
    age(root, *(file.name for file in root.files("")))


def prune(root, **options):
    """Collect as a machine does that has recorded one run."""
    return names(collect(root, wheels_in_use={MINE}, runs_in_use={"mine"}, **options))


@pytest.fixture
def shared(root, age):
    """A root that several machines use, on which all is two hours old."""
    for digest in (MINE, OTHERS, ALSO, FREE):
        root.write(wheel(digest), b"a wheel")
    root.write(f"bundles/{BUNDLE}/bundle.tar.gz", b"a bundle")
    root.write("runs/others/deployment.json", deployment(OTHERS, ALSO))
    root.write("runs/others/events.jsonl", b'{"time": 1, "event": "run", "state": "succeeded"}\n')
    root.write("runs/mine/outputs/load/result/meta.json", b"{}")
    make_all_old(root, age)
    return root


def test_what_no_run_refers_to_is_collected(shared):
    known = {"wheels_in_use": {MINE}, "runs_in_use": {"mine"}}
    expected = [Item(name=f"wheels/shop/{FREE}", bytes=7), Item(name=f"bundles/{BUNDLE}", bytes=8)]
    assert unreferenced(shared, **known) == expected
    assert shared.exists(wheel(FREE))
    assert collect(shared, **known) == expected
    assert [file.name for file in shared.files("wheels")] == [wheel(digest) for digest in (MINE, OTHERS, ALSO)]
    assert shared.files("bundles") == []
    assert shared.names("runs/others") == ["deployment.json", "events.jsonl"]
    assert collect(shared, **known) == []


def test_an_empty_root(root):
    assert prune(root) == []


def test_what_was_written_or_found_within_the_hour_stays(shared):
    young = "f" * 64
    shared.write(wheel(young), b"x")
    assert shared.keep(wheel(FREE))
    assert prune(shared) == [f"bundles/{BUNDLE}"]
    assert shared.exists(wheel(FREE))
    assert shared.exists(wheel(young))


def test_the_clock_is_the_roots(shared, monkeypatch):
    monkeypatch.setattr(shared, "clock", lambda: 0.0)
    assert prune(shared) == []


@pytest.mark.parametrize("document", [b'{"format": 99, "bundle": "%s"}', b"[%s", b'"sha256:%s"'])
def test_a_document_of_any_form_refers_to_what_it_mentions(shared, document):
    shared.write("runs/newer/deployment.json", document % FREE.encode())
    shared.write("runs/newest/deployment.json", document % BUNDLE.encode())
    assert prune(shared) == []


def test_a_run_whose_deployment_is_not_there_yet_refers_to_nothing(shared):
    shared.write("runs/starting/logs/stdout.log", b"")
    assert prune(shared) == [f"wheels/shop/{FREE}", f"bundles/{BUNDLE}"]


def test_a_reference_that_comes_while_it_looks_counts(shared, monkeypatch):
    listed = module._shelved

    def shelved(*arguments):
        found = list(listed(*arguments))
        shared.write("runs/new/deployment.json", deployment(FREE))
        return found

    monkeypatch.setattr(module, "_shelved", shelved)
    assert prune(shared) == [f"bundles/{BUNDLE}"]


def test_a_submission_that_finds_the_wheel_while_it_looks_keeps_it(shared, monkeypatch):
    mentioned = module._mentioned

    def slowly(root, run_id):
        shared.keep(wheel(FREE))
        return mentioned(root, run_id)

    monkeypatch.setattr(module, "_mentioned", slowly)
    assert prune(shared) == [f"bundles/{BUNDLE}"]
    assert shared.exists(wheel(FREE))


def test_a_deployment_that_cannot_be_read_ends_it(shared, monkeypatch):
    read = shared.read

    def refuse(name, **options):
        if name == "runs/others/deployment.json":
            raise ClusterError(f"{name} cannot be read: access is denied", hint="ask")
        return read(name, **options)

    monkeypatch.setattr(shared, "read", refuse)
    with pytest.raises(ClusterError, match="what run others refers to cannot be told, so nothing is removed"):
        prune(shared)
    assert shared.exists(wheel(FREE))


def test_what_is_not_wheelruns_own_stays(root, age):
    strange = [
        "wheels/shop/not-a-digest/x.whl",
        "wheels/shop/README",
        f"wheels/{FREE}",
        f"wheels/.hidden/{FREE}/x.whl",
        f"other/{FREE}/x",
        f"bundles/{FREE}",
        "data.csv",
    ]
    for name in strange:
        root.write(name, b"x")
    make_all_old(root, age)
    assert prune(root) == []
    assert all(root.exists(name) for name in strange)


def test_hostile_names_are_left(s3, age):
    bucket = s3.bucket()
    root = s3.root(f"s3://{bucket}/root")
    for key in (f"wheels/../{FREE}/x.whl", f"wheels/../../{FREE}/x.whl", f"runs/../{FREE}/x", "steps/../x.json"):
        s3.client.put_object(Bucket=bucket, Key=f"root/{key}", Body=b"x")
    s3.client.put_object(Bucket=bucket, Key=f"{FREE}/x.whl", Body=b"x")
    make_all_old(root, age)
    assert prune(root, runs_older_than=0) == []
    assert s3.client.list_objects_v2(Bucket=bucket)["KeyCount"] == 5


def entry(*outputs):
    return json.dumps({"outputs": dict(zip("abc", outputs, strict=False)), "descriptions": []}).encode()


def test_entries_of_the_step_cache_stay_sound(shared, age):
    entries = {
        "sound": entry("/mnt/root/runs/mine/outputs/load/result"),
        "slash": entry("s3a://bucket/runs/mine/outputs/load/result/"),
        "nested": entry("/data/runs/x/outputs/root/runs/mine/outputs/load/result"),
        "gone": entry("/mnt/root/runs/mine/outputs/load/other"),
        "half-gone": entry("/mnt/root/runs/mine/outputs/load/result", "/mnt/root/runs/mine/outputs/load/other"),
        "run-gone": entry("/mnt/root/runs/long-ago/outputs/load/result"),
        "elsewhere": entry("/somewhere/else"),
        "leads-out": entry("/runs/mine/outputs/../../../x"),
        "damaged": b"{",
        "other-form": b'{"outputs": [1]}',
    }
    for key, content in entries.items():
        shared.write(f"steps/{key}.json", content)
    make_all_old(shared, age)
    shared.write("steps/young.json", entries["gone"])
    gone = [f"steps/{key}.json" for key in ("gone", "half-gone", "run-gone")]
    assert prune(shared)[:3] == gone
    left = {*entries, "young"} - {"gone", "half-gone", "run-gone"}
    assert shared.names("steps") == sorted(f"{key}.json" for key in left)


def test_runs_go_only_when_asked(shared):
    assert names(unreferenced(shared, wheels_in_use=(), runs_in_use=())) == [
        f"wheels/shop/{MINE}",
        f"wheels/shop/{FREE}",
        f"bundles/{BUNDLE}",
    ]


def test_a_forgotten_run_goes_with_all_that_only_it_refers_to(shared, age):
    shared.write("steps/theirs.json", entry("/mnt/root/runs/others/outputs/load/result"))
    shared.write("runs/others/outputs/load/result/meta.json", b"{}")
    make_all_old(shared, age)
    assert prune(shared, runs_older_than=86400) == [f"wheels/shop/{FREE}", f"bundles/{BUNDLE}"]
    assert prune(shared, runs_older_than=60) == [
        "steps/theirs.json",
        "runs/others",
        f"wheels/shop/{OTHERS}",
        f"wheels/shop/{ALSO}",
    ]
    assert shared.names("runs") == ["mine"]
    assert shared.exists(wheel(MINE))


@pytest.mark.parametrize(
    "events",
    [
        b"",
        b'{"time": 1, "event": "run", "state": "running"}\n',
        b'{"time": 1, "event": "run", "state": "failed"}\n{"time": 2, "event": "resume", "steps": []}\n',
    ],
)
def test_a_run_that_has_not_ended_does_not_go(shared, age, events):
    shared.write("runs/others/events.jsonl", events)
    make_all_old(shared, age)
    assert "runs/others" not in prune(shared, runs_older_than=60)


def test_a_run_that_is_written_to_does_not_go(shared):
    shared.write("runs/others/logs/stdout.log", b"still here\n")
    assert "runs/others" not in prune(shared, runs_older_than=0)


def test_a_run_that_was_never_started_goes(shared, age):
    shared.write("runs/never/deployment.json", deployment(FREE))
    make_all_old(shared, age)
    assert "runs/never" in prune(shared, runs_older_than=60)


def test_a_root_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UploadError):
        prune(Root.open(str(tmp_path / "file" / "root")))


def test_digests_in_a_document():
    document = f'{{"a": "{MINE}", "b": "sha256:{OTHERS}", "c": "0123abc", "d": "{FREE[:32]}"}}'
    assert digests_in(document.encode()) == {MINE, OTHERS, FREE[:32]}


def test_requests_of_a_collection(s3, age):
    root = s3.root(f"s3://{s3.bucket()}/root")
    for number in range(20):
        root.write(f"runs/{number}/deployment.json", deployment(MINE))
    for digit in "bcdef":
        root.write(wheel(digit * 64), b"x")
    make_all_old(root, age)
    asked = s3.asked(lambda: prune(root))
    # 1 wheel costs 2 PUT and DELETE of the mark, 1 GET of the folder, 1 DELETE; 1 run costs 1 GET of its deployment
    assert asked.count("DELETE 204") == 5 * 2 + 1
    assert asked.count("PUT 200") == 5 + 1
    assert asked.count("GET 206") == 20
    assert len(asked) < 60
