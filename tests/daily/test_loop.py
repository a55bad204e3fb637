"""Days of the loop: what each goes on from, and what it leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.daily.day import PROGRESSIVE
from mmbee_plugin.daily.loop import WORK, run_day, run_days
from mmbee_plugin.daily.stages import read_record
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.livesim.settings import DAY_MS, FIRST_DAY_MS
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.serving.board.board import LiveBoard
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.board.windows import Windows
from mmbee_plugin.serving.bundle.opened import open_bundle
from mmbee_plugin.serving.bundle.shelf import Pointer, Shelf
from mmbee_plugin.serving.replay import Replayed, open_scorer
from mmbee_plugin.serving.swap.follower import Follower
from mmbee_plugin.serving.swap.holder import store_of


@pytest.fixture
def without(log: Path, tmp_path: Path) -> Callable[[str, str, int], Path]:
    """``without(table, column, number)``: a copy of the log without a table's rows of a day, by a column of times."""

    def changed(table: str, column: str, number: int) -> Path:
        copy = shutil.copytree(log, tmp_path / "log" / log.name)
        begin = FIRST_DAY_MS + (number - 1) * DAY_MS
        inside = pl.col(column).is_between(begin, begin + DAY_MS, closed="left")
        for part in (copy / table).glob("*.parquet"):
            pl.read_parquet(part).filter(~inside).write_parquet(part)
        return copy

    return changed


def test_days_go_on_from_each_other_and_are_found_again(run, tmp_path: Path) -> None:
    first, second = run(2), run(3)
    assert first.cold and first.published and not second.cold and second.published
    pointer = Shelf(tmp_path / "bundles").current()
    assert pointer is not None and (pointer.bundle, pointer.previous) == (second.bundle, (first.bundle,))
    said: list[str] = []
    assert run(3, show=said.append) == second
    assert len(said) == 1 and "goes on from" in said[0]


def test_a_day_without_segments_ends_with_its_alarms(run, without, small, settings, tmp_path: Path) -> None:
    """Nobody is on air, so no row of the day has a score, the candidate's neither."""
    days = [run(2), run(3)]
    outage = without("segments", "start", 4)
    more = {"settings": settings, "given": small}
    said: list[str] = []
    found = run_day(outage, tmp_path / "bundles", "4", show=said.append, **more)
    assert days[1].published and not found.published and "none of" in found.reason
    assert any(alarm.startswith("rows without a score 100.0% of rows") for alarm in found.alarms)
    assert "Left out, since no row has a score: 2025-05-08." in found.report.read_text()
    at = next(place for place, line in enumerate(said) if "alarm: rows without a score 100.0%" in line)
    assert at < next(place for place, line in enumerate(said) if line.endswith(": train"))
    record = read_record(tmp_path / "bundles" / WORK / found.day, "alarms")
    assert record is not None and len(record["result"]["alarms"]) == len(found.alarms)


def test_a_day_without_a_visit_is_left_out(without, small, settings, tmp_path: Path) -> None:
    said: list[str] = []
    gap = without("visits", "enter", 3)
    more = {"settings": settings, "given": small, "show": said.append}
    first, last = run_days(gap, tmp_path / "bundles", "2", "4", **more)
    assert (first.day, last.day) == ("2025-05-06", "2025-05-08") and not last.cold
    assert "2025-05-07: no visit, left out" in said
    assert "no visit on 2025-05-07" in last.report.read_text()


def test_rows_are_answered_as_a_service_would_have_then(run, log: Path, tmp_path: Path) -> None:
    """By a board with what had ended at the row's time; with the segment that goes on then, the answer is another."""
    first, second = run(2), run(3)
    found = Replayed.read(tmp_path / "bundles" / WORK / second.day / PROGRESSIVE)
    scorer = open_scorer(Shelf(tmp_path / "bundles"), first.bundle)
    assert isinstance(scorer.board, LiveBoard) and found.times is not None
    table, frames = LogFolder(log).scan("segments").collect(), LogFolder(log).info.frames
    changed = []
    for place in range(0, len(found), 25):
        author, moment = str(found.authors[place]), float(found.times[place])
        own = table.filter(pl.col("author_id") == author, pl.col("start") <= 1000 * moment).sort("start")
        scorer.board = LiveBoard(scorer.bundle, Windows(scorer.bundle.live))
        for ended in (True, False):
            for row in own.filter((pl.col("end") <= 1000 * moment) == ended).iter_rows(named=True):
                values = {
                    name: np.reshape(row[name], (frames.get(name, 1), -1)).astype(np.float16)
                    for name in scorer.board.live.modalities
                    if row[name] is not None
                }
                scorer.board.add(author, Segment(row["start"] / 1000, row["end"] / 1000, values))
            if scorer.board.windows.of(author):
                scorer.board.encode([author])
            answer = scorer.score(str(found.users[place]), [author], moment)
            if ended:
                assert bool(answer.missing) != found.scored[place]
            if ended and not answer.missing:
                np.testing.assert_allclose(found.logits[place], answer.logits[0], atol=1e-5, rtol=1e-5)
        if found.scored[place]:
            changed.append(not np.allclose(found.logits[place], answer.logits[0], atol=1e-4))
    assert 50 < len(changed) < len(found) // 25 and np.mean(changed) > 0.9


def test_a_day_that_was_rolled_back_is_not_built_upon(run, tmp_path: Path) -> None:
    """By its id too; and it stays so when it is found again."""
    shelf = Shelf(tmp_path / "bundles")
    first, second = run(2), run(3)
    shelf.rollback(first.bundle)
    again = run(3)
    assert again == replace(second, served=first.bundle) and not again.published
    said: list[str] = []
    third = run(4, show=said.append)
    assert any(f"goes on from {first.day}" in line for line in said)
    assert not third.cold and third.bundle != second.bundle
    assert shelf.rollback() == Pointer(first.bundle)


def test_users_are_in_the_store_before_the_pointer_moves(run, settings, start_redis, tmp_path: Path) -> None:
    """So that scorers take the bundle; one that is kept back is not written."""
    shelf, nowhere = Shelf(tmp_path / "bundles"), "redis://127.0.0.1:1/0"
    closed = settings.replace(gate=settings.gate.replace(psi=0))
    with start_redis() as url:
        with pytest.raises(InputError, match=f"{nowhere}: cannot be written"):
            run(2, store=nowhere)
        assert shelf.current() is None
        follower = Follower(shelf, url)
        first, second = run(2, store=url), run(3, store=url, settings=closed)
        follower.look()
        assert first.published and follower.refused is None
        assert follower.scorer is not None and follower.scorer.bundle.id == first.bundle
        with pytest.raises(InputError, match=f"has no users of bundle {second.bundle}"):
            store_of(open_bundle(shelf.path / second.bundle, shelf.verify(second.bundle)), url, checked=True)


def test_days_are_learned_in_order(run, small, tmp_path: Path) -> None:
    """Once a later day was published a day is found again, and learned anew only when that was taken back."""
    shelf, other = Shelf(tmp_path / "bundles"), {**small, "dropout_prob": 0.1}
    first, second = run(2), run(3)
    assert run(2) == replace(first, served=second.bundle)
    refused = f"{first.day}: not learned yet .* and {second.day} was published meanwhile"
    with pytest.raises(InputError, match=refused):
        run(2, given=other)
    assert shelf.current() == Pointer(second.bundle, (first.bundle,))
    shelf.rollback()
    third = run(2, given=other)
    assert third.cold and third.published and shelf.current() == Pointer(third.bundle, (first.bundle,))


def test_a_day_is_compared_with_what_serves(run, small, tmp_path: Path) -> None:
    """Which is a bundle of no day here, so the day goes on from the one before."""
    first = run(2)
    hotfix = run(2, work=tmp_path / "elsewhere", given={**small, "dropout_prob": 0.1})
    second = run(3)
    place = tmp_path / "bundles" / WORK / second.day
    assert Replayed.read(place / PROGRESSIVE).bundle == hotfix.bundle != first.bundle
    assert hotfix.published and second.start == f"goes on from {first.day}, bundle {first.bundle}"
    assert Shelf(tmp_path / "bundles").current() == Pointer(second.bundle, (first.bundle, hotfix.bundle))


def test_a_day_refreshes_the_graph_of_the_day_before(run, settings, tmp_path: Path) -> None:
    """Days from nothing and at the limit have new lists; keys and reports tell."""
    chosen = settings.replace(refresh="touched", refresh_limit=1, on_air=7200)
    days = [run(number, settings=chosen) for number in (2, 3, 4)]
    assert [one.cold for one in days] == [True, False, False]
    graphs = []
    for one in days:
        bundle = json.loads((tmp_path / "bundles" / one.bundle / "manifest.json").read_text())
        key = bundle["data"]["snapshot"]
        assert bundle["live"]["on_air"] == 7200
        (place,) = (tmp_path / "bundles" / WORK / one.day / "samples").glob(f"*/graph/{key}")
        graphs.append(Snapshot.open(place))
        assert ("approximate graph" in one.report.read_text()) == (graphs[-1].refreshed is not None)
    facts = graphs[1].refreshed
    assert graphs[0].refreshed is None and graphs[2].refreshed is None and facts is not None
    assert facts["from"] == facts["exact"] == graphs[0].manifest["key"] and 0 < facts["users"] < 1
    assert graphs[1].settings == graphs[2].settings.replace(folds=graphs[1].settings.folds)


def test_days_with_visits_in_their_lists(run, settings, small, tmp_path: Path) -> None:
    """The second day goes on and keeps lists of the first, but not those that visits are in."""
    chosen = settings.replace(visits=True, refresh="touched")
    given = {**small, "graph": {**small["graph"], "visits": 0.5}}
    days = [run(number, settings=chosen, given=given) for number in (2, 3)]
    assert [one.cold for one in days] == [True, False]
    for one in days:
        bundle = json.loads((tmp_path / "bundles" / one.bundle / "manifest.json").read_text())
        (place,) = (tmp_path / "bundles" / WORK / one.day / "samples").glob(
            f"*/graph/{bundle['data']['snapshot']}"
        )
        made = Snapshot.open(place)
        lists = made.reach_lists()
        # Users of equal gifts have rows of their own, and nearly all have been somewhere.
        assert made.settings.visits == 0.5 and lists.n_rows == made.n_users
        assert (lists.along("reach").lengths > 0).mean() > 0.9


def test_a_graph_that_is_gone_or_has_no_tokens_is_built_anew(run, settings, tmp_path: Path) -> None:
    chosen = settings.replace(refresh="touched")
    first = run(2, settings=chosen)
    for file in (tmp_path / "bundles" / WORK / first.day).glob("samples/*/graph/*/manifest.json"):
        manifest = json.loads(file.read_text())
        manifest["files"] = {n: one for n, one in manifest["files"].items() if not n.startswith("names/")}
        file.write_text(json.dumps(manifest))
    said: list[str] = []
    assert not run(3, settings=chosen, show=said.append).cold
    assert any("has no tokens, so all lists are new" in line for line in said)
