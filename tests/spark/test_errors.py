"""What fails on a cluster and the user can mend is one line."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.spark import java
from mmbee_plugin.spark.java import check_java

pytest.importorskip("pyspark", reason="pyspark is not installed")

from mmbee_plugin.spark import session as sessions


def fake_java(folder, says: str):
    (folder / "bin").mkdir()
    program = folder / "bin" / "java"
    program.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("says", "line"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "is Java 11; Spark needs Java 17 or later"),
        ('java version "1.8.0_392"', "is Java 8; Spark needs Java 17 or later"),
        ("no such thing", "is no Java that states its version"),
    ],
)
def test_a_java_that_is_too_old(tmp_path, monkeypatch, says, line):
    fake_java(tmp_path, says)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(InputError, match=line), sessions.session("local[2]"):
        pass


def test_java_is_missing_or_good(tmp_path, monkeypatch):
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(InputError, match=f"none in JAVA_HOME={tmp_path}: install one"):
        check_java()
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="none on PATH"):
        check_java()
    fake_java(tmp_path, f'openjdk version "{java.OLDEST}" 2021-09-14')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    check_java()


@pytest.mark.parametrize(
    ("master", "line"),
    [
        ("spark://127.0.0.1:9", r"--master=spark://127.0.0.1:9: does not answer within 2 s \("),
        ("spark://nohost", "'nohost' is no host:port"),
    ],
)
def test_a_master_that_does_not_answer(monkeypatch, master, line):
    monkeypatch.setattr(sessions, "check_java", lambda: None)
    with pytest.raises(InputError, match=line), sessions.session(master, patience=2):
        pass


def test_a_master_without_workers():
    memory = SimpleNamespace(size=lambda: 1)  # the driver's own
    gateway = SimpleNamespace(sc=lambda: SimpleNamespace(getExecutorMemoryStatus=lambda: memory))
    context = SimpleNamespace(master="spark://host:7077", _jsc=gateway, getConf=lambda: {})
    with pytest.raises(
        InputError, match=r"spark://host:7077: no executor within 0.1 s; .* 1g of memory free"
    ):
        sessions._wait_for_executors(SimpleNamespace(sparkContext=context), 0.1)


def test_what_an_executor_reports(spark, tmp_path, monkeypatch):
    def reported(task) -> str:
        def run(batches):
            task()
            yield from batches

        with pytest.raises(InputError) as refused, sessions.translated():
            spark.range(0, 1, 1, 1).mapInArrow(run, "id bigint").collect()
        return str(refused.value)

    (tmp_path / "of_the_driver.py").write_text("def task():\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import of_the_driver

    assert reported(of_the_driver.task).startswith(
        "an executor lacks the Python package of_the_driver: install"
    )
    sys.modules.pop("of_the_driver")

    def full() -> None:
        with open("/dev/full", "w") as file:
            file.write("x")

    assert reported(full) == "a disk is full: OSError: [Errno 28] No space left on device"

    def bad() -> None:
        raise InputError("file, row 3: bad")

    assert reported(bad) == "file, row 3: bad"

    def fault() -> None:
        raise ZeroDivisionError

    with pytest.raises(Exception, match="ZeroDivisionError") as other:
        reported(fault)
    assert not isinstance(other.value, InputError)
