"""What a day goes on from, what is served meanwhile, and which changes of a log or of settings are noticed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from mmbee_plugin.cli import app
from mmbee_plugin.cli.daily import _tell
from mmbee_plugin.command.entry import exit_status
from mmbee_plugin.daily.base import overtaken, served_before
from mmbee_plugin.daily.content import content_until
from mmbee_plugin.daily.loop import run_days
from mmbee_plugin.daily.outcome import DayOutcome
from mmbee_plugin.daily.stages import Stages
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import write_json
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.recbole.training import checkpoint
from mmbee_plugin.serving.bundle.shelf import Shelf


def test_a_day_that_the_gate_kept_back_is_trained_on_again(run, settings, tmp_path: Path) -> None:
    first = run(2)
    closed = settings.replace(gate=settings.gate.replace(psi=0))
    second = run(3, settings=closed)
    assert not second.published and second.reason.startswith("PSI ") and "(limit 0)" in second.reason
    assert Shelf(tmp_path / "bundles").current().bundle == first.bundle
    assert Shelf(tmp_path / "bundles").verify(second.bundle), "the day's work is kept"
    third = run(4)
    assert not third.cold and first.day in third.start
    work = tmp_path / "bundles" / ".daily"
    config = checkpoint.load(next((work / third.day).glob("train-*/model.pth")), "cpu")["config"]
    assert config["train_days"] == 2, "rows since the cut of the day that is served"
    assert config["graph"]["folds"] == 3 and config["graph"]["fold_by"] == "day"


def test_another_model_starts_from_nothing_and_meets_the_gate(run, small, tmp_path: Path) -> None:
    first = run(2)
    second = run(3, given={**small, "dropout_prob": 0.1})
    assert second.cold and "dropout_prob=0.0, now it is 0.1" in second.start
    gate = (tmp_path / "bundles" / ".daily" / second.day / "gate.json").read_text()
    assert first.bundle in gate, "compared with what is served"


def test_what_the_loop_decides_is_refused(run, small) -> None:
    for given, why in (
        ({"epochs": 3}, "daily.epochs"),
        ({"graph": {"folds": 3}}, "one a day"),
        ({"graphcl": {"start": "a.npz"}}, "yesterday's vectors"),
        ({"unheard_of": 1}, "unheard_of"),
    ):
        with pytest.raises(InputError, match=why):
            run(2, given={**small, **given})
    with pytest.raises(InputError, match="--adapter 'keras'"):
        run(2, adapter="keras")


def test_what_was_before_a_day_is_what_served_before_it(tmp_path: Path) -> None:
    """Whatever its day, and whichever of a day's bundles were served."""
    days = {"2025-05-02": {"bundle": "b"}, "2025-05-03": {"bundle": "c2", "earlier": ["c"]}}
    for day, result in {**days, "2025-05-04": {"bundle": "d"}}.items():
        (tmp_path / day).mkdir()
        write_json(tmp_path / day / "bundle.json", {"key": "", "result": result, "seconds": [0, 0]})

    def served(chain: str, day: int) -> tuple[str, ...]:
        *previous, bundle = chain.split()
        write_json(tmp_path / "CURRENT", {"bundle": bundle, "previous": previous, "pinned": False})
        return served_before(tmp_path, f"2025-05-0{day}", Shelf(tmp_path))

    assert served("b c", 4) == served("b c d", 4) == served("b c d hotfix", 4) == ("b", "c")
    assert served("b hotfix c", 3) == served("b hotfix c c2 d", 3) == ("b", "hotfix")
    assert served("b c hotfix", 4) == ("b", "c", "hotfix")
    assert served("b d", 2) == ()
    for chain, day, why in (
        ("b c", 3, None),
        ("b hotfix", 2, None),
        ("b c hotfix", 2, "2025-05-03"),
        ("d", 3, "05-04"),
    ):
        served(chain, day)
        found = overtaken(tmp_path, f"2025-05-0{day}", Shelf(tmp_path))
        assert found is None if why is None else found is not None and f"{why} was published" in found


def test_later_days_of_a_log_change_nothing(log: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(log, tmp_path / "log"))
    opened, cache = LogFolder(copy), tmp_path / "cache.json"
    visits = opened.files("visits")[-1]
    end = int(pl.read_parquet(visits)["enter"].max()) + 1
    before = content_until(opened, end, cache)
    later = pl.read_parquet(visits).with_columns(pl.col("enter", "exit") + 30 * 86_400_000)
    later.write_parquet(copy / "visits" / "zz-later.parquet")
    assert content_until(LogFolder(copy), end, cache) == before
    assert content_until(LogFolder(copy), end + 60 * 86_400_000, cache) != before
    (copy / "visits" / "zz-later.parquet").unlink()
    pl.read_parquet(visits)[1:].write_parquet(visits)
    assert content_until(LogFolder(copy), end, cache) != before


def test_a_stage_is_done_once_for_its_inputs(tmp_path: Path) -> None:
    done: list[str] = []

    def work(key: str) -> dict[str, str]:
        done.append(key)
        (tmp_path / "made").touch()
        return {"path": "made"}

    for value in (1, 1, 2, 2):
        assert Stages(tmp_path, lambda line: None).done("stage", {"a": value}, work) == {"path": "made"}
    assert len(done) == len(set(done)) == 2
    (tmp_path / "made").unlink()
    Stages(tmp_path, lambda line: None).done("stage", {"a": 2}, work)
    assert len(done) == 3, "what it left is gone"
    with pytest.raises(TypeError):
        Stages(tmp_path, lambda line: None).done("other", {}, lambda key: {"path": "made", "odd": object()})


def test_what_serves_is_told(capsys: pytest.CaptureFixture) -> None:
    outcome = DayOutcome("2025-05-08", "a", "a", True, "", (), "cold start", True, {}, Path("report.html"))
    for served, opens, told in (
        ("a", True, "published a"),
        ("b", True, "a was published before; b is served now"),
        ("b", False, "kept back a, the gate is closed: "),
    ):
        _tell(replace(outcome, served=served, opens=opens))
        assert capsys.readouterr().out.splitlines()[1] == f"2025-05-08: {told}"


def test_days_are_given_one_way(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for options in ([], ["--day=2", "--from=2", "--to=3"], ["--from=2"]):
        assert exit_status(lambda options=options: app(["daily", str(log), str(tmp_path), *options])) == 2
        assert "error: a day is needed" in capsys.readouterr().err
    with pytest.raises(InputError, match="the last day is before the first"):
        list(run_days(log, tmp_path, "3", "2"))
