"""Days of the loop by the TorchRec adapter; most run their job in this process, one under torchrun."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torchrec", reason="TorchRec is not installed")

from mmbee_plugin.cli import app
from mmbee_plugin.command.entry import exit_status
from mmbee_plugin.command.yaml_settings import read_mapping
from mmbee_plugin.daily import torchrec
from mmbee_plugin.daily.adapter import Start
from mmbee_plugin.daily.outcome import DayOutcome
from mmbee_plugin.daily.stages import Stages
from mmbee_plugin.daily.torchrec import CHECKPOINTS, JOB, LOCK, SHARDS, TorchRecAdapter
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked
from mmbee_plugin.logs.period import DAY
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.torchrec.checkpoints import checkpoint
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.training.loop import train

GIVEN: dict[str, Any] = {"model": {"width": 8}, "graph": {"reach_top_k": 10}, "processes": 1}


def in_this_process(folder: Path, processes: int, lock: int, show: Callable[[str], None]) -> None:
    train(parse_settings(read_mapping(folder / JOB), str(folder)), resume=True)


@pytest.fixture
def days(run: Callable[..., DayOutcome], monkeypatch: pytest.MonkeyPatch) -> Callable[..., DayOutcome]:
    monkeypatch.setattr(torchrec, "_run", in_this_process)
    return lambda number, **more: run(number, **{"adapter": "torchrec", "given": GIVEN, **more})


def trained(tmp_path: Path, outcome: DayOutcome) -> Path:
    return next((tmp_path / "bundles" / ".daily" / outcome.day).glob("train-*"))


def test_a_job_under_torchrun_is_the_same_day(days, run, tmp_path: Path, monkeypatch) -> None:
    inside = days(2)
    monkeypatch.undo()
    monkeypatch.setattr("mmbee_plugin.serving.bundle.golden.REQUESTS", 5)
    shutil.rmtree(tmp_path / "bundles")
    said: list[str] = []
    assert run(2, adapter="torchrec", given=GIVEN, show=said.append).bundle == inside.bundle
    assert any("Epoch 2" in line for line in said), "what the job says is told"


def test_a_job_that_fails_is_its_own_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    monkeypatch.setattr("sys.executable", str(program))
    said: list[str] = []
    with locked(tmp_path / LOCK) as lock:
        for script, line in (
            ("echo one; echo error: no rows >&2; exit 2", "no rows"),
            ("kill -9 $$", f"the job ended with status -9; {tmp_path / 'job.log'} has what it said"),
        ):
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
            with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
                torchrec._run(tmp_path, 1, lock, said.append)
    assert said == ["one", "error: no rows"]


def test_a_day_trains_the_rows_since_the_cut_of_the_day_before(days, tmp_path: Path, monkeypatch) -> None:
    first, second = days(2), days(3)
    assert first.cold and first.published and not second.cold and second.published
    pointer = Shelf(tmp_path / "bundles").current()
    assert pointer is not None and (pointer.bundle, pointer.previous) == (second.bundle, (first.bundle,))
    places = [trained(tmp_path, each) for each in (first, second)]
    store = ShardStore(places[1] / SHARDS)
    samples = DatasetFolder(places[1].parent / "samples" / "livesim")
    times = samples.interactions("train").timestamps - samples.origin
    cut = (times.max() // (DAY / 1000)) * (DAY / 1000)
    assert sum(store.description.rows) == (times >= cut).sum() < len(times)
    assert store.description.folds == 2
    job = read_mapping(places[1] / JOB)
    assert job["checkpoint"]["warm_from"] == str(places[0] / CHECKPOINTS)
    assert job["graphcl"]["start"] == str(places[0] / "nodes.npz") and job["train"]["epochs"] == 1
    kept = places[1] / CHECKPOINTS
    assert list(kept.glob("step-*")) == [checkpoint.latest(kept)], "the newest alone"
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    assert days(3, show=said.append) == second
    assert len(said) == 1, "found again, wherever the command is called"


def test_ended_around_every_rename_two_days_end_with_the_same_bundles(
    days, until_done, tmp_path: Path
) -> None:
    whole = [days(2), days(3)]
    shutil.rmtree(tmp_path / "bundles")
    found, ends = until_done(days, [2, 3], renames=5)
    told = [[(one.bundle, one.published, one.start) for one in each] for each in (found, whole)]
    assert told[0] == told[1] and "goes on" in found[1].start
    assert ends >= 8


def test_what_a_day_cannot_go_on_from_is_a_cold_start(days, settings, tmp_path: Path) -> None:
    first = days(2)
    dropped = {**GIVEN, "model": {"width": 8, "dropout": 0.1}}
    second = days(3, given=dropped)
    assert second.cold and "was trained with model.dropout=0.0, now it is 0.1" in second.start
    third = days(3, given={**GIVEN, "graph": {"reach_top_k": 11}})
    assert third.cold and "graph.reach_top_k=10, now it is 11" in third.start
    Shelf(tmp_path / "bundles").publish(first.bundle)
    quicker = days(3, given={**GIVEN, "tables": {"user": {"learning_rate": 0.5}}})
    assert not quicker.cold and quicker.bundle != second.bundle, "a setting that may differ, and is heard"
    place = trained(tmp_path, first)
    (place / SHARDS).rename(place / "elsewhere")
    adapter = TorchRecAdapter(settings, GIVEN)
    assert adapter.unfit(place, {}, {}) == f"was trained on {place / SHARDS}, which is gone"
    shutil.rmtree(place / CHECKPOINTS)
    assert adapter.unfit(place, {}, {}) == f"has left no checkpoint in {place / CHECKPOINTS}"


def test_a_day_of_the_other_adapter_is_not_gone_on_from(days, small: dict[str, Any]) -> None:
    first = days(2)
    second = days(3, adapter="recbole", given=small)
    assert second.cold and f"{first.day} was trained by torchrec" in second.start


def test_a_job_that_is_left_running_is_waited_for(days, tmp_path: Path, monkeypatch) -> None:
    """Its loop was killed; the next one finds what it has made."""
    order: list[str] = []

    def run(*arguments: Any) -> None:
        order.append("next")
        in_this_process(*arguments)

    monkeypatch.setattr(torchrec, "_run", run)
    free = threading.Event()
    held = threading.Event()

    def job(folder: Path) -> None:
        with locked(folder / LOCK):
            held.set()
            free.wait(60)
            order.append("left")

    def says(line: str) -> None:
        if line.endswith("graph and shards"):
            threading.Thread(
                target=job, args=(next((tmp_path / "bundles").glob(".daily/*/train-*")),)
            ).start()
            held.wait(60)
            threading.Timer(0.3, free.set).start()

    days(2, show=says)
    assert order == ["left", "next"]


def test_what_the_loop_decides_is_refused(days, tmp_path: Path, log: Path, capsys) -> None:
    for given, why in (
        ({"train": {"epochs": 3}}, "train.epochs=3.*daily.epochs"),
        ({"graph": {"folds": 3}}, "one a day"),
        ({"checkpoint": {"warm_from": "a"}}, "the day that is gone on from"),
        ({"unheard_of": 1}, "unheard_of: no such setting"),
        ({"processes": 0}, "processes 0 is out of range"),
    ):
        with pytest.raises(InputError, match=why):
            days(2, given={**GIVEN, **given})
    command = ["daily", str(log), str(tmp_path), "--day=2", "--adapter=torchrec", "--model.wdith=8"]
    assert exit_status(lambda: app(command)) == 2
    assert "model.wdith: no such setting; did you mean width" in capsys.readouterr().err


def test_cpu_seconds_are_those_of_subprocesses_too(tmp_path: Path) -> None:
    used = 0.0

    def work(key: str) -> dict[str, Any]:
        nonlocal used
        before = os.times()
        subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
        used = os.times().children_user - before.children_user
        return {}

    stages = Stages(tmp_path, lambda line: None)
    stages.done("train", {}, work)
    assert stages.costs["train"][1] >= used - 0.001 > 0


def test_a_day_s_shards_are_of_the_refreshed_graph(settings, tmp_path: Path, monkeypatch) -> None:
    graphs: list[Any] = []
    monkeypatch.setattr(
        torchrec, "write_shards", lambda samples, place, graph, *_, **__: graphs.append(graph)
    )
    adapter = TorchRecAdapter(settings.replace(refresh_limit=2), GIVEN)
    samples: Any = None  # a warm day's folds are those of its start
    for snapshot in (None, tmp_path / "graph" / "key"):
        start = Start(tmp_path, 1, snapshot)
        adapter._write_shards(
            samples, start, adapter._settings("livesim", tmp_path, start), tmp_path / SHARDS
        )
    plain, refreshed = graphs
    assert plain.refresh_from is None and plain.fold_by == "day"
    assert refreshed == plain.replace(refresh_from=str(tmp_path / "graph" / "key"), refresh_limit=2)
    with pytest.raises(InputError, match="it is up to daily"):
        TorchRecAdapter(settings, {"graph": {"refresh_from": "x"}})
