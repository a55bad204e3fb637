"""Samples of a log made by executors: all files are those of one process."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mmbee_plugin import cli
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.logs.settings import SampleSettings

SETTINGS = SampleSettings(
    train_days=3, valid_days=1, test_days=1, segments=4, negatives="both", gift_tolerance=2.0
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "changed",
    [{}, {"negatives": "visits", "train_negatives": 0.5, "segments_known": "ended"}],
    ids=["both", "drawn, ended"],
)
def test_all_files_are_those_of_one_process(spark, log, tmp_path, changed):
    from mmbee_plugin.spark.samples import rows_on
    from mmbee_plugin.spark.tasks import each_on

    settings = replace(SETTINGS, **changed)
    lines = write_samples(log, tmp_path / "one" / "tiny", settings)
    there = tmp_path / "many" / "tiny"
    assert write_samples(log, there, settings, rows_of=rows_on(spark, there), each=each_on(spark)) == lines
    expected = contents(tmp_path / "one")
    assert len(expected) > 10
    assert contents(tmp_path / "many") == expected
    assert DatasetFolder(there).live.known == settings.segments_known
    assert [file.name for file in there.parent.iterdir()] == ["tiny"]


def test_the_command_and_a_bad_row_in_one_line(spark, log, tmp_path, monkeypatch, capsys):
    from contextlib import contextmanager

    from mmbee_plugin.spark import session

    @contextmanager
    def running(master):
        assert master == "local[2]"
        yield spark

    def mmbee(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["mmbee", "data", "samples", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, capsys.readouterr().err

    monkeypatch.setattr(session, "session", running)
    made, engine = tmp_path / "tiny", ("--train-days=3", "--engine=spark", "--master=local[2]")
    status, err = mmbee(log.path, made, *engine, "--segments-known=ended")
    assert status == 0
    assert (made / "tiny.train.inter").is_file() and DatasetFolder(made).live.known == "ended"
    assert (
        mmbee(log.path, made, "--engine=duck")[1]
        == "error: --engine=duck: one of embedded, spark is needed\n"
    )
    status, err = mmbee(log.path, made, "--master=local[2]")
    assert (status, err) == (2, "error: --master=local[2] is of Spark: --engine=spark goes with it\n")
    file = sorted((log.path / "gifts").iterdir())[1]
    pl.read_parquet(file).with_columns(pl.lit(-1.0).alias("amount")).write_parquet(file)
    with pytest.raises(InputError) as refused:
        write_samples(LogFolder(log.path), tmp_path / "other", SETTINGS)
    status, err = mmbee(log.path, made, *engine, "--force")
    assert status == 2
    assert err.splitlines()[-1] == f"error: {refused.value}"
