"""Replayed rows have the scores of the model that was trained, and the answers of the scorer that serves."""

from __future__ import annotations

import copy
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.labelled import LabelledRows
from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.board.board import LiveBoard
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.board.windows import Windows
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.replay import Replayed, open_scorer, replay_rows
from mmbee_plugin.serving.service import answers
from mmbee_plugin.serving.service.schema import ScoreRequest

pytest.importorskip("recbole", reason="the recbole extra is not installed")

DAY, START = 86_400, 1_700_006_400


@pytest.fixture(scope="module")
def live(live_template, untrained_checkpoint, tmp_path_factory):
    """A checkpoint on the tiny live data, its folder and a scorer of its bundle."""
    from mmbee_plugin.recbole.bundle import open_source

    place = tmp_path_factory.mktemp("live")
    path = shutil.copytree(live_template, place / "datasets" / live_template.name)
    given = {"segments": 3, "graph": {"reach_top_k": 5, "folds": 0}, "backbone": "mmoe"}
    checkpoint, shelf = untrained_checkpoint(path, place, **given), Shelf(place / "bundles")
    return checkpoint, DatasetFolder(path), open_scorer(shelf, build_bundle(open_source(checkpoint), shelf))


def test_test_rows_have_their_offline_scores(live):
    from mmbee_plugin.experiments.scoring import open_trained

    checkpoint, folder, scorer = live
    offline = open_trained(checkpoint).scores("test")
    rows = LabelledRows.of(folder)
    shown = []
    found = replay_rows(scorer, folder, rows, shown.append)
    np.testing.assert_allclose(
        1 / (1 + np.exp(-found.logits[:, 0]))[found.scored], offline[found.scored], atol=1e-5
    )
    assert shown == [120] and found.scored.sum() > 50
    # Authors without a segment are on no board, online as here.
    assert np.array_equal(found.missing["no live segment"], rows.segments < 0)
    assert np.isnan(found.logits[~found.scored]).all()
    assert found.tasks == ("gift", "comment", "long_watch")
    np.testing.assert_allclose(
        found.chances[found.scored], offline[found.scored], atol=1e-5
    )  # at a share of 1
    truth = folder.rows("test")
    assert np.array_equal(found.labels, np.column_stack([truth.labels, truth.tasks]))


def test_each_row_is_answered_as_a_request(live, monkeypatch):
    """Rows of several days, users and authors that the bundle lacks, and segments that are long over; by a bundle that
    says that it was trained on a tenth of the negatives."""
    _, folder, scorer = live
    data = scorer.bundle.manifest["data"] | {"negatives": 0.1}
    scorer = copy.copy(scorer)
    scorer.bundle = replace(scorer.bundle, manifest=scorer.bundle.manifest | {"data": data})
    rows = LabelledRows.of(folder, ("train", "valid", "test"), since=START + 5 * DAY)
    assert set(np.floor((rows.times - START) / DAY)) == {5, 6, 7}
    rng = np.random.default_rng(0)
    rows = rows.taken(rng.permutation(len(rows))[:60])
    rows.users[:9], rows.authors[5:14] = "x", "x"
    rows.times[12:24] += np.linspace(0, 900, 12)
    monkeypatch.setattr("mmbee_plugin.serving.replay.AT_ONCE", 17)
    monkeypatch.setattr("mmbee_plugin.serving.scorer.FRESH_HOURS", 12)
    found = replay_rows(scorer, folder, rows)
    segments, fresh = folder.segments, copy.copy(scorer)
    for place in range(len(rows)):
        fresh.board = LiveBoard(scorer.bundle, Windows(scorer.bundle.live))
        fresh.board.stored = lambda row: []  # the row's own past, not that of the bundle
        author, newest = str(rows.authors[place]), int(rows.segments[place])
        if newest >= 0 and author != "x":
            for row in range(max(int(segments.first[newest]), newest - 2), newest + 1):
                values = {
                    name: segments.values(name)[row]
                    for name in folder.modalities
                    if segments.present(name)[row]
                }
                fresh.board.add(author, Segment(segments.starts[row], segments.ends[row], values))
            fresh.board.encode([author])
        user, moment = str(rows.users[place]), float(rows.times[place])
        answer = fresh.score(user, [author], moment)
        assert {name for name, rows_of in found.missing.items() if rows_of[place]} == set(
            answer.missing.values()
        )
        if not answer.missing:
            np.testing.assert_allclose(found.logits[place], answer.logits[0], atol=1e-5, rtol=1e-5)
            assert {name for name, rows_of in found.flags.items() if rows_of[place]} == set(answer.flags)
            served = answers.score(fresh, ScoreRequest(user=user, authors=[author], time=moment)).scores
            others = 1 / (1 + np.exp(-found.logits[place, 1:]))
            expected = [found.chances[place], *others]
            np.testing.assert_allclose(np.concatenate(list(served.values())), expected, atol=1e-5)
    assert all(found.missing[reason].any() for reason in ("unknown author", "no live segment"))
    assert all(found.flags[flag].any() for flag in ("cold", "stale_board", "stale_bundle"))
    assert np.array_equal(found.covered["user"], rows.users != "x")
    assert np.array_equal(found.covered["segments"], rows.segments >= 0)
    for side, rows_of, first in (("user", rows.users, scorer.store.read), ("author", rows.authors, None)):
        has = found.covered[f"{side}'s neighbours"]
        for place, token in enumerate(rows_of):
            if first is not None:
                record = first(str(token))
                expected = record is not None and record["neighbour_count"].sum() > 0
            else:
                row = scorer.bundle.tokens.row(str(token))
                expected = row > 0 and float(scorer.bundle.authors["neighbour_count"][row].sum()) > 0
            assert has[place] == expected


def test_a_replay_is_read_as_it_was_written(live, tmp_path):
    _, folder, scorer = live
    found = replay_rows(scorer, folder, LabelledRows.of(folder))
    found.write(tmp_path / "scores.npz")
    again = Replayed.read(tmp_path / "scores.npz")
    assert (again.bundle, again.trained_share, again.tasks) == (found.bundle, 1.0, found.tasks)
    for name in ("users", "authors", "times", "weights", "labels", "logits"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    for group in ("missing", "flags", "covered"):
        assert getattr(again, group).keys() == getattr(found, group).keys()
        for name, values in getattr(found, group).items():
            np.testing.assert_array_equal(getattr(again, group)[name], values)


def test_weights_undo_the_sampling_of_each_split(live_path):
    file = live_path / "dataset.json"
    content = json.loads(file.read_text())
    content["log"] = {"settings": {"train_negatives": 0.1, "test_negatives": 0.25}}
    file.write_text(json.dumps(content))
    folder = DatasetFolder(live_path)
    for split, weight in (("train", 10), ("valid", 4), ("test", 4)):
        rows = LabelledRows.of(folder, (split,))
        assert np.array_equal(rows.weights, np.where(rows.labels["gift"] == 1, 1, weight))
    content["log"]["settings"]["test_negatives"] = 0
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match="test_negatives is 0, a share above 0"):
        DatasetFolder(live_path)


def test_no_row_in_the_period_and_other_shapes(live, live_path):
    _, folder, scorer = live
    with pytest.raises(InputError, match=r"none of 120 rows is from 0 to 9"):
        LabelledRows.of(folder, since=0, until=9)
    np.save(live_path / "speech.npy", np.zeros((72 * 8, 5), dtype=np.float16))
    content = json.loads((live_path / "dataset.json").read_text())
    content["modalities"]["speech"]["width"] = 5
    (live_path / "dataset.json").write_text(json.dumps(content))
    other = DatasetFolder(live_path)
    with pytest.raises(
        InputError, match="segments of speech have 1 frames of 5 numbers, the bundle reads 1 of 3"
    ):
        replay_rows(scorer, other, LabelledRows.of(folder))


def test_items_without_time(untrained_checkpoint, tmp_path):
    from mmbee_plugin.recbole.bundle import open_source

    folder = ensure("tiktok", tmp_path / "datasets")
    checkpoint = untrained_checkpoint(
        folder.path, tmp_path, graph={"folds": 0, "reach_top_k": 0}, user_ids=True
    )
    source, shelf = open_source(checkpoint), Shelf(tmp_path / "bundles")
    scorer = open_scorer(shelf, build_bundle(source, shelf))
    rows = LabelledRows.of(folder)
    with pytest.raises(InputError, match="no period can be cut"):
        LabelledRows.of(folder, since=0)
    found = replay_rows(scorer, folder, rows)
    assert found.times is None and found.scored.all() and (found.labels == 1).all()
    table = folder.interactions("test")
    offline = source.logits(table.users[:500], table.items[:500]).detach().numpy()
    np.testing.assert_allclose(found.logits[:500], offline, atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="trained on drawn negatives"):
        found.chances  # noqa: B018
