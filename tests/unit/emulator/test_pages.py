from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
import requests
from databricks.sdk.service.jobs import ConditionTask, ConditionTaskOp, SubmitTask, Task, TaskDependency

from wheelrun.emulator import pages
from wheelrun.emulator.authentication import cookie_name

EVIL = "</title></pre>\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}"


class Document(HTMLParser):
    """What a page holds: its tags, its texts, its links."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.links, self.attributes = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.links += [value for name, value in attrs if name in {"href", "src", "action"}]

    def handle_data(self, data):
        if data.strip():
            self.texts.append(data.strip())


def run(life="TERMINATED", result="SUCCESS", **more):
    state = {"life_cycle_state": life, "state_message": EVIL} | ({"result_state": result} if result else {})
    return {
        "run_id": 1,
        "job_run_id": 1,
        "job_id": 2,
        "run_name": EVIL,
        "run_type": "JOB_RUN",
        "state": state,
        "start_time": 1767225600000,
        "end_time": 1767225665000,
        **more,
    }


def task(key, identity, life="TERMINATED", result="SUCCESS", *, after=(), **more):
    return {
        **run(life, result),
        "run_id": identity,
        "task_key": key,
        "depends_on": [{"task_key": name} for name in after],
        **more,
    }


def is_harmless(document):
    assert not {"script", "img", "iframe", "style", "object"} & set(document.tags)
    assert not [name for name in document.attributes if name.startswith("on") or name == "style"]
    assert all(link.startswith("/") and not link.startswith("//") for link in document.links)


@pytest.mark.parametrize(
    "page",
    [
        lambda: pages.runs_page(
            [run()],
            [
                {
                    "job_id": 2,
                    "created_time": 1,
                    "settings": {
                        "name": EVIL,
                        "schedule": {"quartz_cron_expression": EVIL, "timezone_id": EVIL, "pause_status": "PAUSED"},
                    },
                }
            ],
        ),
        lambda: pages.job_page(
            {"job_id": 2, "settings": {"name": EVIL, "tags": {EVIL: EVIL}, "tasks": [{"task_key": EVIL}]}}, [run()]
        ),
        lambda: pages.run_page(
            run(
                tasks=[task(EVIL, 3, cluster_instance={"cluster_id": EVIL})],
                job_parameters=[{"name": EVIL, "value": EVIL}],
                trigger=EVIL,
            )
        ),
        lambda: pages.run_page(run(run_id=3), {"logs": EVIL, "error": EVIL, "error_trace": EVIL}),
        lambda: pages.login_page(following=EVIL, refused=True),
        lambda: pages.problem_page(EVIL),
    ],
    ids=["runs", "job", "run", "task", "login", "problem"],
)
def test_names_are_text_whatever_they_say(page):
    document = Document(page())
    is_harmless(document)
    assert any("<script>" in text and "{{7*7}}" in text for text in document.texts) or "form" in document.tags


def test_a_page_of_a_run_goes_on_only_while_it_does():
    for life, result, again in (
        ("RUNNING", None, True),
        ("TERMINATED", "FAILED", False),
        ("INTERNAL_ERROR", None, False),
    ):
        assert ('http-equiv="refresh"' in pages.run_page(run(life, result))) is again
    assert 'http-equiv="refresh"' in pages.runs_page([run(), run("QUEUED", None)], [])


def test_a_run_whose_code_failed_is_told_as_failed():
    told = run("INTERNAL_ERROR", "FAILED")
    assert "FAILED" in pages.run_page(told)
    assert "INTERNAL_ERROR" not in pages.run_page(told)


def test_the_graph_shows_the_last_attempt_and_leads_to_it():
    told = run(
        tasks=[
            task("a", 10, result="FAILED"),
            task("b", 11, "BLOCKED", None, after=["a"]),
            task("a", 12, attempt_number=1),
            task("c", 13, "RUNNING", None, after=["b", "a"]),
        ]
    )
    text = pages.run_page(told)
    svg = text[text.index("<svg") : text.index("</svg>")]
    assert re.findall(r'<a href="(/run/\d+)">', svg) == ["/run/12", "/run/11", "/run/13"]
    assert re.findall(r'<g class="(\w+)">', svg) == ["good", "idle", "active"]
    assert svg.count("<path") == 3
    columns = [int(x) for x in re.findall(r'<rect x="(\d+)"', svg)]
    assert columns == sorted(set(columns))


def test_only_the_end_of_a_long_log_is_shown():
    text = pages.run_page(run(run_id=3), {"logs": "begin" + "x" * pages.LOG_SHOWN, "logs_truncated": False})
    assert "begin" not in text
    assert '<a href="/run/3/log">' in text


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(-5, "0.0 s"), (400, "0.4 s"), (12_000, "12 s"), (185_000, "3 min 5 s"), (7_800_000, "2 h 10 min")],
)
def test_durations(milliseconds, words):
    assert pages.duration(milliseconds) == words


@pytest.fixture
def browser(emulator):
    """A browser that has signed in by the address that `up` prints."""
    with requests.Session() as session:
        answer = session.get(f"{emulator.host}/login?token={emulator.token}", timeout=9)
        assert (answer.status_code, answer.url) == (200, f"{emulator.host}/")
        yield lambda path: session.get(emulator.host + path, timeout=9)


def condition(left="1"):
    return ConditionTask(op=ConditionTaskOp.EQUAL_TO, left=left, right="1")


def test_a_run_from_the_list_to_its_log(browser, workspace):
    tasks = [
        SubmitTask(task_key="first", condition_task=condition()),
        SubmitTask(
            task_key="second",
            condition_task=condition("2"),
            depends_on=[TaskDependency(task_key="first", outcome="true")],
        ),
    ]
    done = workspace.jobs.submit(run_name=EVIL, tasks=tasks).result()
    listed = browser("/")
    is_harmless(Document(listed.text))
    assert f'href="/run/{done.run_id}"' in listed.text
    page = browser(f"/run/{done.run_id}")
    assert done.run_page_url.endswith(f"/run/{done.run_id}")
    assert {"first", "second", "SUCCESS"} <= set(Document(page.text).texts)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    one = browser(f"/run/{done.tasks[0].run_id}")
    assert f'href="/run/{done.run_id}"' in one.text
    log = browser(f"/run/{done.tasks[0].run_id}/log")
    assert (log.status_code, log.headers["content-type"]) == (200, "text/plain; charset=utf-8")


def test_a_job_and_its_runs(browser, workspace):
    job = workspace.jobs.create(name=EVIL, tasks=[Task(task_key="t", condition_task=condition())])
    workspace.jobs.run_now(job.job_id).result()
    page = browser(f"/jobs/{job.job_id}")
    is_harmless(Document(page.text))
    assert "SUCCESS" in Document(page.text).texts
    assert f'href="/jobs/{job.job_id}"' in browser("/").text


def test_what_a_clusters_spark_has_logged(browser, emulator, workspace):
    cluster = workspace.clusters.create(spark_version="15.4.x-scala2.12", node_type_id="i3.xlarge", num_workers=0)
    log = f"/cluster/{cluster.cluster_id}/log"
    assert browser(log).text == "No task on this cluster has used Spark yet.\n"
    folder = emulator.drivers / cluster.cluster_id
    folder.mkdir()
    (folder / "output").write_text("WARN: <ä>\n")
    answer = browser(log)
    assert (answer.text, answer.headers["content-type"]) == ("WARN: <ä>\n", "text/plain; charset=utf-8")
    workspace.clusters.permanent_delete(cluster.cluster_id)
    assert not folder.exists()


def test_what_is_not_there(browser):
    for path in ("/run/999", "/jobs/999", "/run/999/log", "/cluster/999/log"):
        answer = browser(path)
        assert answer.status_code in {400, 404}
        assert "does not exist" in answer.text


def test_nobody_sees_a_page_without_signing_in(emulator):
    for path in ("/", "/run/1", "/jobs/1", "/run/1/log"):
        answer = requests.get(emulator.host + path, timeout=9, allow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")
    forged = {cookie_name(emulator): "0" * 64}
    assert requests.get(f"{emulator.host}/", cookies=forged, timeout=9, allow_redirects=False).status_code == 303


def test_signing_in_by_the_form(emulator):
    with requests.Session() as session:
        asked = session.get(f"{emulator.host}/run/1", timeout=9)
        assert 'value="/run/1"' in asked.text
        wrong = session.post(f"{emulator.host}/login", data={"token": "wrong", "next": "/"}, timeout=9)
        assert (wrong.status_code, session.cookies.get_dict()) == (403, {})
        fields = {"token": emulator.token, "next": "/jobs/1"}
        answer = session.post(f"{emulator.host}/login", data=fields, timeout=9, allow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/1")
        said = answer.headers["set-cookie"].lower()
        assert "httponly" in said
        assert "samesite=strict" in said
        assert emulator.token not in said


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_signing_in_leads_nowhere_else(emulator, path):
    answer = requests.get(
        f"{emulator.host}/login", params={"token": emulator.token, "next": path}, timeout=9, allow_redirects=False
    )
    assert answer.headers["location"] == "/"


def test_the_cookie_opens_no_interface(emulator):
    with requests.Session() as session:
        session.get(f"{emulator.host}/login?token={emulator.token}", timeout=9)
        for path in ("/api/2.1/jobs/list", "/emulator/requests"):
            assert session.get(emulator.host + path, timeout=9).status_code == 401


def test_the_style_is_served_to_everybody(emulator):
    answer = requests.get(f"{emulator.host}/login/style.css", timeout=9)
    assert answer.headers["content-type"].startswith("text/css")
