from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import wheelrun.errors
from wheelrun.errors import StoreError
from wheelrun.states import ErrorInfo, RunState, RunStatus, StepStatus
from wheelrun.store import LAST, RunRecord, RunStore

ROOT = Path(wheelrun.errors.__file__).parents[1]


class Clock:
    def __init__(self) -> None:
        self.now = 1_767_268_800.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def store(tmp_path):
    with RunStore(tmp_path / "home" / "runs.sqlite", clock=Clock()) as store:
        yield store


def record(**changes) -> RunRecord:
    base = RunRecord(project="/p", name="daily", target="local", orchestrator="local", entry="jobs:main")
    return replace(base, **changes)


def start(code: str, path: Path, *argv: str, **pipes) -> subprocess.Popen[str]:
    """Run `code` in a fresh interpreter, with the store's path as `PATH`."""
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom wheelrun.store import RunStore, RunRecord\n"
        "from wheelrun.states import RunState, RunStatus, StepStatus\nPATH = Path(sys.argv[1])\n"
        "RUN = RunRecord(project='/p', name='n', target='local', orchestrator='local', entry='jobs:main')\n" + code
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", program, str(path), *argv], env=environ, text=True, **pipes)


FULL = RunRecord(
    id="20260101-120000-0000abc",
    project="/home/ü/My Repo (v1.2)",
    name="näme\n",
    target="prod",
    orchestrator="databricks",
    entry="jobs/report.py",
    params={"day": "2026-01-01", "n": 1, "f": 0.5, "none": None, "list": [1, {"a": "ß"}]},
    argv=("--out", "x y.csv", ""),
    wheel={"path": "/w.whl", "name": "p", "version": "1+w0123456789ab", "digest": "0" * 64},
    state=RunState.FAILED,
    steps=(
        StepStatus(
            name="load",
            state=RunState.FAILED,
            attempts=2,
            started_at=1.5,
            ended_at=2.5,
            error=ErrorInfo(category="user code", message="m", type="ValueError", traceback="t\n", hint="h"),
            reason="r",
            outputs=({"name": "out", "rows": 3},),
            application_id="local-1",
        ),
        StepStatus(name="save", state=RunState.SKIPPED, reason="upstream load failed"),
    ),
    error=ErrorInfo(category="user code", message="m"),
    reason="step load failed",
    url="https://example.org/1",
    idempotency_key="k",
    created_at=1.25,
    started_at=2.25,
    ended_at=3.25,
    artifact_root="/artifacts",
    stack={"name": "prod", "conf": {"a": "b"}},
    metadata={"job": {"id": 7}},
    rerun_of="20260101-110000-0000abc",
    submitter={"pid": 1, "started": 2.0},
)


def test_what_goes_in_comes_out(store):
    assert store.create(FULL) == (FULL, True)
    assert store.get(FULL.id) == FULL
    assert store.list(with_steps=True) == (FULL,)
    assert store.list() == (replace(FULL, steps=()),)


def test_what_a_reopened_file_says_is_the_same(store):
    store.create(FULL)
    store.close()
    with RunStore(store.path) as again:
        assert again.get(LAST) == FULL


def test_a_file_name_that_is_no_utf8_survives(store):
    odd = os.fsdecode(b"/repo/\xff\xfe")
    run, _ = store.create(record(project=odd, params={"path": odd}, reason="half a pair: \ud800"))
    assert store.get(run.id) == run
    assert store.latest(odd) == run
    assert store.list(odd) == (run,)


def test_what_is_no_json_is_refused_whole(store):
    with pytest.raises(StoreError, match="params cannot be stored as JSON"):
        store.create(record(params={"path": Path("x")}))
    assert store.list() == ()


def test_ids_are_given_in_order(store):
    runs = [store.create(record())[0] for _ in range(200)]
    assert store.list(limit=None) == tuple(reversed(runs))
    assert runs[0].created_at is not None
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-z]{7}", runs[0].id)


def test_an_id_is_taken_once(store):
    store.create(record(id="r1"))
    with pytest.raises(StoreError, match="r1 exists already"):
        store.create(record(id="r1"))


# --- idempotency ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in RunState if state not in {RunState.FAILED, RunState.CANCELLED}])
def test_a_key_is_answered_with_the_run_that_has_it(store, state):
    first, _ = store.create(record(idempotency_key="k", steps=(StepStatus(name="a"),), state=state))
    assert store.create(record(idempotency_key="k", name="again")) == (first, False)
    assert len(store.list()) == 1


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
def test_a_key_is_free_again_after_a_failure(store, state):
    first, _ = store.create(record(idempotency_key="k"))
    store.update(first.id, state=state)
    second, created = store.create(record(idempotency_key="k"))
    assert created
    assert second.id != first.id


def test_a_key_does_not_answer_for_other_work(store):
    store.create(record(idempotency_key="k", params={"day": "1"}))
    with pytest.raises(StoreError, match="another params"):
        store.create(record(idempotency_key="k", params={"day": "2"}))


def test_no_key_and_an_empty_key_bind_nothing(store):
    assert all(store.create(record(idempotency_key=key))[1] for key in (None, None, "", ""))


def test_a_run_is_not_reopened_under_a_key_that_moved_on(store):
    first, _ = store.create(record(idempotency_key="k"))
    store.update(first.id, state=RunState.FAILED)
    second, _ = store.create(record(idempotency_key="k"))
    for attempt in (store.reopen, lambda run_id: store.update(run_id, state=RunState.SUCCEEDED)):
        with pytest.raises(StoreError, match=f"went to {second.id}"):
            attempt(first.id)
    assert store.get(first.id).state is RunState.FAILED
    assert store.reopen(first.id, idempotency_key=None).state is RunState.QUEUED


# --- references -------------------------------------------------------------------------------------------


def test_a_part_of_an_id_is_enough(store):
    store.create(record(id="20260101-120000-aaaaxyz"))
    store.create(record(id="20260102-120000-bbbbxyw"))
    for ref in ("20260102-120000-bbbbxyw", "20260102", "bbbbxyw", "xyw", "w"):
        assert store.get(ref).id == "20260102-120000-bbbbxyw"


def test_a_whole_id_goes_before_a_part(store):
    for run_id in ("ab", "abc", "xab"):
        store.create(record(id=run_id))
    assert store.get("ab").id == "ab"


def test_a_part_that_fits_both_ends_of_one_id_is_that_id(store):
    store.create(record(id="aba"))
    assert store.get("a").id == "aba"


def test_a_part_that_fits_several_lists_them(store):
    for run_id in ("a1", "a2", "3a"):
        store.create(record(id=run_id))
    with pytest.raises(StoreError, match=r"'a' fits several runs: a2, a1, 3a$"):
        store.get("a")
    for number in range(20):
        store.create(record(id=f"b{number:02}"))
    with pytest.raises(StoreError, match=r"fits several runs: b19, .*, b10, …$"):
        store.get("b")


@pytest.mark.parametrize("ref", ["", "nothing", "%", "_", "*", "a' OR 1", "\udcff", "20260101-120000-aaaaxyy"])
def test_a_reference_to_nothing_is_told(store, ref):
    store.create(record(id="20260101-120000-aaaaxyz"))
    with pytest.raises(StoreError, match="no run ") as caught:
        store.get(ref)
    assert "wheelrun runs" in caught.value.hint
    assert ("Did you mean 20260101-120000-aaaaxyz?" in caught.value.hint) == ref.endswith("xyy")


def test_last_is_the_latest(store):
    first, _ = store.create(record(project="/a", steps=(StepStatus(name="s"),)))
    second, _ = store.create(record(project="/b"))
    assert store.get(LAST) == store.latest() == second
    assert store.get(LAST, project="/a") == store.latest("/a") == first
    with pytest.raises(StoreError, match="no runs yet of /c"):
        store.get(LAST, project="/c")


def test_an_empty_store_has_no_last(store):
    assert store.latest() is None
    with pytest.raises(StoreError, match="no runs yet"):
        store.get(LAST)


# --- changes ----------------------------------------------------------------------------------------------


def test_update_changes_and_returns(store):
    run, _ = store.create(record())
    new = store.update(run.id, state=RunState.RUNNING, url="u", submitter={"pid": 1, "started": 2.0})
    assert new.started_at is not None
    assert (
        store.get(run.id)
        == new
        == replace(
            run,
            state=RunState.RUNNING,
            url="u",
            submitter={"pid": 1, "started": 2.0},
            started_at=new.started_at,
        )
    )


def test_metadata_is_merged(store):
    run, _ = store.create(record(metadata={"job": {"id": 1}}))
    store.add_metadata(run.id, {"job": {"run": 2}})
    store.add_metadata(run.id, {"pid": 3})
    assert store.get(run.id).metadata == {"job": {"id": 1, "run": 2}, "pid": 3}


def test_a_report_is_written_whole(store):
    run, _ = store.create(record(steps=(StepStatus(name="a"), StepStatus(name="b"), StepStatus(name="c"))))
    store.set_status(
        run.id,
        RunStatus(
            state=RunState.RUNNING,
            steps=(StepStatus(name="b", state=RunState.RUNNING, attempts=1),),
            started_at=7.0,
        ),
    )
    got = store.get(run.id)
    assert (got.state, got.started_at) == (RunState.RUNNING, 7.0)
    assert [(step.name, step.state.value) for step in got.steps] == [
        ("a", "queued"),
        ("b", "running"),
        ("c", "queued"),
    ]


def test_a_report_that_cannot_be_written_whole_is_not_written(store):
    run, _ = store.create(record(steps=(StepStatus(name="a"),)))
    odd = StepStatus(name="a", outputs=({"value": object()},))
    with pytest.raises(StoreError, match="outputs cannot be stored as JSON"):
        store.set_status(run.id, RunStatus(state=RunState.SUCCEEDED, steps=(odd,)))
    assert store.get(run.id) == run


def test_steps_can_become_fewer(store):
    run, _ = store.create(record(steps=tuple(StepStatus(name=name) for name in "abc")))
    store.update(run.id, steps=(StepStatus(name="b"),))
    assert store.get(run.id).steps == (StepStatus(name="b"),)


def test_a_late_report_changes_nothing(store):
    run, _ = store.create(record())
    ended = store.set_status(run.id, RunStatus(state=RunState.CANCELLED))
    assert store.set_status(run.id, RunStatus(state=RunState.RUNNING)) == ended == store.get(run.id)
    assert store.update(run.id, state=RunState.QUEUED) == ended


def test_reopen_takes_one_of_two(store):
    run, _ = store.create(record())
    store.update(run.id, state=RunState.FAILED, error=ErrorInfo(category="cluster", message="m"))
    assert store.reopen(run.id, submitter={"pid": 5, "started": 1.0}).submitter == {"pid": 5, "started": 1.0}
    with pytest.raises(StoreError, match="is queued: only a run that has ended"):
        store.reopen(run.id)
    got = store.get(run.id)
    assert (got.state, got.error, got.ended_at) == (RunState.QUEUED, None, None)


def test_deployments(store):
    run, _ = store.create(record())
    assert store.load_deployment(run.id) is None
    assert store.deployments() == ()
    store.save_deployment(run.id, '{"a": 1}')
    store.save_deployment(run.id, '{"a": "ü\n"}')
    assert store.load_deployment(run.id) == '{"a": "ü\n"}'
    assert store.deployments() == ('{"a": "ü\n"}',)


def test_delete_forgets_all_of_it(store):
    run, _ = store.create(record(steps=(StepStatus(name="a"),), idempotency_key="k"))
    store.save_deployment(run.id, "{}")
    store.delete(run.id)
    assert store.list() == ()
    with closing(sqlite3.connect(store.path)) as db:
        for table in ("runs", "steps", "deployments"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.update("nope", url="u"),
        lambda store: store.add_metadata("nope", {}),
        lambda store: store.set_status("nope", RunStatus(state=RunState.RUNNING)),
        lambda store: store.reopen("nope"),
        lambda store: store.delete("nope"),
        lambda store: store.save_deployment("nope", "{}"),
        lambda store: store.load_deployment("nope"),
    ],
)
def test_a_run_that_is_not_there_cannot_be_changed(store, call):
    with pytest.raises(StoreError, match="no run 'nope'"):
        call(store)


# --- lists ------------------------------------------------------------------------------------------------


def test_lists_filter_and_page(store):
    states = [RunState.FAILED, RunState.RUNNING, RunState.SUCCEEDED, RunState.UNKNOWN]
    runs = [store.create(record(project=f"/p{number % 2}", state=states[number % 4]))[0] for number in range(40)][::-1]
    assert store.list("/p1", limit=None) == tuple(run for run in runs if run.project == "/p1")
    wanted = (RunState.FAILED, RunState.RUNNING, RunState.FAILED)
    assert store.list(states=wanted) == tuple(run for run in runs if run.state in wanted)
    assert (
        store.list("/p0", states=wanted, limit=3)
        == tuple(run for run in runs if run.project == "/p0" and run.state in wanted)[:3]
    )
    assert store.list("/nowhere") == ()
    assert store.list(limit=0) == ()
    pages, before = [], None
    while page := store.list(states=wanted, limit=6, before=before):
        pages.append(page)
        before = page[-1].id
    assert [len(page) for page in pages] == [6, 6, 6, 2]
    assert [run for page in pages for run in page] == [run for run in runs if run.state in wanted]


def test_a_page_goes_on_where_a_run_was_deleted(store):
    runs = [store.create(record())[0] for _ in range(3)]
    store.delete(runs[1].id)
    assert store.list(before=runs[1].id) == (runs[0],)


def test_unfinished(store):
    for state in RunState:
        store.create(record(state=state, steps=(StepStatus(name="a"),)))
    assert {run.state for run in store.unfinished()} == {RunState.QUEUED, RunState.RUNNING, RunState.UNKNOWN}
    assert all(run.steps for run in store.unfinished())


def test_no_query_reads_a_whole_table(store, monkeypatch):
    runs = [store.create(record(idempotency_key=f"k{number}", steps=(StepStatus(name="a"),)))[0] for number in range(3)]
    seen: list[str] = []
    store._db.set_trace_callback(seen.append)
    store.get(runs[0].id)
    store.get(runs[0].id[:-1])
    store.get(runs[0].id[1:])
    store.latest("/p")
    store.list()
    store.list("/p", states=(RunState.FAILED, RunState.QUEUED), before=runs[2].id, with_steps=True)
    store.list(states=(RunState.FAILED,))
    store.unfinished()
    store.create(record(idempotency_key="k1"))
    store.create(record(idempotency_key="new"))
    store.set_status(runs[0].id, RunStatus(state=RunState.SUCCEEDED, steps=(StepStatus(name="a", attempts=1),)))
    store.save_deployment(runs[0].id, "{}")
    store.load_deployment(runs[0].id)
    store.delete(runs[0].id)
    store._db.set_trace_callback(None)
    statements = [text for text in seen if text.startswith(("SELECT", "UPDATE", "DELETE", "INSERT"))]
    assert len(statements) > 15
    for text in statements:
        for *_, plan in store._db.execute(f"EXPLAIN QUERY PLAN {text}"):
            # The newest rows are read off the end of an index, up to the limit; subqueries are so limited.
            limited = "USING INDEX" in plan or "USING COVERING INDEX" in plan
            assert limited or not re.match(r"SCAN (TABLE )?(runs|steps|deployments)", plan), (text, plan)


# --- others at the same file ------------------------------------------------------------------------------


def test_thirty_processes_write_at_once(tmp_path):
    path = tmp_path / "home" / "runs.sqlite"
    code = """
sys.stdin.readline()
from dataclasses import replace
with RunStore(PATH) as store:
    one, created = store.create(replace(RUN, idempotency_key="shared"))
    print("shared", one.id, int(created))
    store.add_metadata(one.id, {"by": {sys.argv[2]: 1}})
    for number in range(5):
        run, _ = store.create(replace(RUN, name=sys.argv[2]))
        store.set_status(run.id, RunStatus(state=RunState.RUNNING, steps=(StepStatus(name="a"),)))
        store.set_status(run.id, RunStatus(state=RunState.SUCCEEDED))
        print("own", run.id)
"""
    processes = [
        start(code, path, str(number), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in range(30)
    ]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=120) for process in processes]
    assert {error for _, error in outputs} == {""}
    assert {process.returncode for process in processes} == {0}
    lines = [line.split() for out, _ in outputs for line in out.splitlines()]
    shared = [line for line in lines if line[0] == "shared"]
    assert len({run_id for _, run_id, _ in shared}) == 1
    assert sum(int(created) for *_, created in shared) == 1
    with RunStore(path) as store:
        assert set(store.get(shared[0][1]).metadata["by"]) == {str(number) for number in range(30)}
        runs = store.list(states=(RunState.SUCCEEDED,), limit=None, with_steps=True)
        assert {run.id for run in runs} == {line[1] for line in lines if line[0] == "own"}
        assert len(runs) == 150
        assert all(run.steps == (StepStatus(name="a"),) for run in runs)
    for out, _ in outputs:
        own = [line.split()[1] for line in out.splitlines() if line.startswith("own")]
        assert own == sorted(own)


def test_ids_follow_the_order_of_creation_across_processes(store):
    code = "with RunStore(PATH) as store:\n  for _ in sys.stdin: print(store.create(RUN)[0].id, flush=True)"
    processes = [start(code, store.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    ids = []
    for _ in range(20):
        ids.append(store.create(record())[0].id)  # by a clock that is months behind
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
            ids.append(process.stdout.readline().strip())
    for process in processes:
        process.communicate(timeout=60)
    theirs = [run_id for number, run_id in enumerate(ids) if number % 4]
    assert theirs == sorted(theirs)


@pytest.mark.parametrize("written", [0, 1, 7, 20])
def test_a_killed_writer_leaves_a_sound_file(tmp_path, written):
    path = tmp_path / "home" / "runs.sqlite"
    code = """
with RunStore(PATH) as store:
    print("open", flush=True)
    while True:
        run, _ = store.create(RUN)
        steps = tuple(StepStatus(name=f"s{n}") for n in range(50))
        store.set_status(run.id, RunStatus(state=RunState.RUNNING, steps=steps))
        store.save_deployment(run.id, "x" * 50_000)
        print(run.id, flush=True)
"""
    process = start(code, path, stdout=subprocess.PIPE)
    lines = [process.stdout.readline().strip() for _ in range(written + 1)]
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()  # communicate() would miss what readline() has read ahead
    process.communicate(timeout=60)
    told = lines[1:] + [line for line in rest.splitlines() if len(line) == 23]
    with RunStore(path) as store:
        assert store._db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store._db.execute("PRAGMA foreign_key_check").fetchall() == []
        for run_id in told:
            assert len(store.get(run_id).steps) == 50
            assert store.load_deployment(run_id) == "x" * 50_000
        assert store.create(record())[1]
        assert len(store.list(limit=None)) in {len(told) + 1, len(told) + 2}


def test_a_killed_holder_of_the_lock_does_not_block(store):
    code = """
store = RunStore(PATH)
store._db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""
    process = start(code, store.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    process.kill()
    process.communicate(timeout=60)
    assert store.create(record())[1]


def test_a_reader_sees_run_and_steps_of_one_moment(store):
    run, _ = store.create(record(steps=(StepStatus(name="a", attempts=0),), metadata={"n": 0}))
    stop = threading.Event()

    def write():
        with RunStore(store.path) as other:
            number = 0
            while not stop.is_set():
                number += 1
                other.update(run.id, metadata={"n": number}, steps=(StepStatus(name="a", attempts=number),))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(300):
            got = store.get(run.id)
            assert got.metadata["n"] == got.steps[0].attempts
    finally:
        stop.set()
        thread.join()


def test_threads_share_one_store(store):
    def work():
        for _ in range(20):
            run, _ = store.create(record())
            store.update(run.id, state=RunState.SUCCEEDED)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list(states=(RunState.SUCCEEDED,), limit=None)) == 120


# --- failures ---------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_and_loses_nothing(store):
    run, _ = store.create(record())
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="the disk is full") as caught:
        store.save_deployment(run.id, "x" * 1_000_000)
    assert "WHEELRUN_HOME" in caught.value.hint
    assert store.get(run.id) == run
    store._db.execute("PRAGMA max_page_count = 100000")
    store.save_deployment(run.id, "x" * 1_000_000)


def test_a_store_that_became_read_only_is_told(store):
    store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="it is read-only"):
        store.create(record())


def test_a_damaged_page_is_told(store):
    for _ in range(50):
        store.create(record(name="x" * 2000))
    store.close()
    with store.path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 200_000)
    with RunStore(store.path) as again, pytest.raises(StoreError, match="is damaged"):
        again.list(limit=None)


def test_a_closed_store_is_told(store):
    store.close()
    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.list()


def test_the_import_is_cheap(tmp_path):
    code = (
        "before = set(sys.modules)\nimport wheelrun.store\n"
        "print(*sorted(name.partition('.')[0] for name in sys.modules))\n"
    )
    program = f"import sys\n{code}"
    result = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(result.stdout.split())
    assert loaded - set(sys.stdlib_module_names) - {"__main__", "wheelrun"} == set()
    assert not loaded & {"difflib", "subprocess", "hashlib", "asyncio", "logging", "random"}
