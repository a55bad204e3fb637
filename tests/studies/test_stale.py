"""Old snapshots: each knows the gifts before its moment and no other, and the model is left as it was."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.offline.stage import snapshot_of
from mmbee_plugin.studies import stale
from mmbee_plugin.studies.stale import aged, stale_figure

DAY, START = 86_400, 1_700_006_400  # of the tiny folder; its test day is the eighth
GIE = {"attributes": False, "graph": {"folds": 2, "fold_by": "time", "top_k": 4, "reach_top_k": 4}}


def gifts_of(folder):
    """(user, author, time) of the positives of training and validation, as the files have them."""
    files = [folder / f"tinylive.{split}.inter" for split in ("train", "valid")]
    rows = pl.concat([pl.read_csv(file, separator="\t", infer_schema_length=None) for file in files])
    rows = rows.filter(pl.col("label:float") == 1)
    return rows.select("user_id:token", "item_id:token", "timestamp:float").rows()


def quiet(stage: str) -> None:
    """Shows nothing."""


def test_a_snapshot_knows_the_gifts_before_its_moment(live_checkpoint, live_path, check_answer):
    trained = open_trained(live_checkpoint(**{**GIE, "attributes": True}))
    interest, histories = trained.network.interest, trained.rows("test").histories
    plain = trained.scores("test")
    samples, found = aged(trained, [3, 0, 7, 3], quiet)
    assert [one.age for one in found] == [0, 3, 7]  # the last one knows nothing, as the eighth would
    gifts = gifts_of(live_path)
    for one in found:
        assert one.until == START + (7 - one.age) * DAY
        assert one.edges == len({(user, author) for user, author, time in gifts if time < one.until})
        assert len(one.scores) == len(samples.labels) == 120
    assert found[-1].covered == 0 < found[1].covered <= found[0].covered
    assert trained.network.interest is interest and trained.rows("test").histories is histories
    np.testing.assert_array_equal(trained.scores("test"), plain)
    assert [one.age for one in aged(trained, [0], quiet)[1]] == [0, None]

    said, sheet, plot = stale_figure(samples, found)
    check_answer(said, sheet, plot)
    assert [row[:2] for row in sheet.rows] == [
        ("0 days", "2023-11-22 00:00"),
        ("3 days", "2023-11-19 00:00"),
        ("7 days", "2023-11-15 00:00"),
    ]
    assert len(plot.figure.data) == 3


def test_gifts_are_told_by_the_clock_that_visits_have(live_checkpoint, monkeypatch):
    trained, newest = open_trained(live_checkpoint(**GIE)), []

    def recorded(folder, gifts, *args, **options):
        newest.append(float(gifts.times.max(initial=0)))
        return snapshot_of(folder, gifts, *args, **options)

    monkeypatch.setattr(stale, "snapshot_of", recorded)
    aged(trained, [0, 3], quiet)
    days = [time / DAY for time in newest]  # since the folder's origin, as Visits.since has them
    assert 6 < days[0] < 7 and 3 < days[1] < 4 and days[2] == 0


def test_a_day_old_lists_are_those_of_the_run(live_checkpoint, monkeypatch):
    trained = open_trained(live_checkpoint(**GIE))
    monkeypatch.setattr(stale, "_fresh_histories", lambda trained, until: trained.rows("test").histories)
    day, older, _ = aged(trained, [1, 2], quiet)[1]
    np.testing.assert_allclose(day.scores, trained.scores("test"), rtol=1e-5)
    assert np.abs(older.scores - day.scores).max() > 1e-3


def test_histories_reach_to_the_test_day(live_checkpoint, live_path):
    trained = open_trained(live_checkpoint(**GIE))
    fresh = stale._fresh_histories(trained, START + 7 * DAY)
    tokens = trained.train.field2id_token["user_id"]
    users = [user for user, _, _ in gifts_of(live_path)]
    assert np.diff(fresh.indptr).tolist() == [users.count(token) for token in tokens]
    ids, lengths, times = fresh.all(torch.arange(1, len(tokens)), 1)
    newest = {
        user: (time, author) for user, author, time in sorted(gifts_of(live_path), key=lambda row: row[2])
    }
    items = trained.train.field2id_token["item_id"]
    origin = trained.origin
    for token, item, length, time in zip(tokens[1:], ids[:, 0], lengths, times[:, 0], strict=True):
        assert length == (token in newest)
        if length:
            assert (float(time) + origin, items[item]) == (
                pytest.approx(newest[token][0], abs=1),
                newest[token][1],
            )


def test_the_command_prints_and_refuses(live_checkpoint, tmp_path):
    command = ["study", "stale", str(live_checkpoint(**GIE)), "--ages=1,3"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0 and "| no gifts " in result.output and "simulated" in result.output.lower()
    assert (tmp_path / "results" / "stale.html").is_file()
    for ages, text in (("1,-1", "age -1 is out of range"), ("one", "--ages 'one': whole numbers")):
        with pytest.raises(InputError, match=text):
            CliRunner().invoke(app, [*command[:-1], f"--ages={ages}"], catch_exceptions=False)
    with pytest.raises(InputError, match="reads no metapaths"):
        aged(open_trained(live_checkpoint(interest="none")), [1], quiet)
