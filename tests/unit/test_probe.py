"""What the answer of a probe means."""

from __future__ import annotations

from wheelrun.probe import judge


def place(python="3.11.7", pyspark="4.3.0", host="h", process="h:/1", **versions):
    return {"host": host, "process": process, "python": python, "pyspark": pyspark, "versions": versions}


def wrong(driver, *executors, wheels=None, needed=()):
    findings = judge({"driver": driver, "executors": list(executors)}, wheels or {}, list(needed))
    return [(finding.check, finding.detail, finding.remedy) for finding in findings if not finding.ok]


def test_all_is_well():
    same = place(app="1+w1", numpy="2.0")
    assert wrong(same, same, wheels={"app": "1+w1"}, needed=["numpy"]) == []


def test_pythons_are_compared_by_major_and_minor():
    assert wrong(place(), place(python="3.11.2")) == []
    ((check, detail, remedy),) = wrong(place(), place(python="3.10.2"))
    assert (check, detail) == ("executor h:/1", "python 3.10.2, and the driver has 3.11.7")
    assert "python" in remedy


def test_another_spark():
    assert wrong(place(), place(pyspark="3.5.1"))[0][1] == "pyspark 3.5.1, and the driver has 4.3.0"


def test_a_wheel_that_is_stale_or_missing():
    found = wrong(place(app="1+w1"), place(app="1+w0"), place(process="h:/2", app=None), wheels={"app": "1+w1"})
    assert [detail for _, detail, _ in found] == ["app 1+w1 is 1+w0 there", "app 1+w1 is not there"]


def test_a_dependency_that_is_missing_or_another():
    found = wrong(place(numpy="2.0"), place(numpy="1.9"), place(process="h:/2", numpy=None), needed=["numpy"])
    assert [detail for _, detail, _ in found] == [
        "numpy 1.9, and the driver has 2.0",
        "numpy is not installed there",
    ]
    assert all("bundle" in remedy for _, _, remedy in found)


def test_no_executor_answered():
    assert wrong(place())[0][:2] == ("executors", "none answered")
