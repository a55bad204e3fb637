"""`mmbee study unseen`: the samples of unseen authors apart, by what training really showed."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.experiments.rows import chosen
from mmbee_plugin.experiments.training import check_split
from mmbee_plugin.studies.unseen import (
    ROWS,
    SEEN,
    STUDY,
    UNSEEN,
    measure_unseen,
    unseen_figure,
    unseen_jobs,
)

GIVEN = {"embedding_size": 8, "gpu_id": "", "show_progress": False}
NEW = ("a2", "a5")


@pytest.fixture
def folder(live_path, monkeypatch):
    """The tiny folder, whose training rows lack two authors."""
    monkeypatch.setattr("sys.argv", ["pytest"])
    file = live_path / "tinylive.train.inter"
    rows = pl.read_csv(file, separator="\t").filter(~pl.col("item_id:token").is_in(NEW))
    rows.write_csv(file, separator="\t")
    described = live_path / "dataset.json"
    description = json.loads(described.read_text())
    counts = description["counts"]
    counts["interactions"] += len(rows) - counts["train"]
    counts["train"] = len(rows)
    described.write_text(json.dumps(description))
    return DatasetFolder(live_path)


def cells(folder, rows=ROWS, seeds=1, split="test"):
    """Cells whose scores know the labels of unseen authors, and those alone, the better the later the row."""
    labels, interactions = folder.rows(split).labels, folder.interactions(split)
    new = np.isin(np.array(folder.item_tokens)[interactions.items], NEW)
    noise = np.random.default_rng(0).normal(size=(len(rows), len(labels)))
    return {
        row.name: [
            Cell({f"{split} labels": labels, f"{split} scores": noise[place] + 3 * place * new * labels})
        ]
        * seeds
        for place, row in enumerate(rows)
    }


def test_samples_are_parted_by_what_training_showed(folder, check_answer):
    made = cells(folder)
    parts = measure_unseen(folder, GIVEN, made)
    file = pl.read_csv(folder.path / "tinylive.test.inter", separator="\t")
    new = file["item_id:token"].is_in(NEW).to_numpy()
    assert parts[UNSEEN].authors == 2
    assert len(parts[UNSEEN].samples.labels) == new.sum() and len(parts[SEEN].samples.labels) == (~new).sum()
    np.testing.assert_array_equal(parts[UNSEEN].samples.labels, file["label:float"].to_numpy()[new] > 0)
    full = parts[UNSEEN].rows["SIM+MFQ+GIE"]
    assert full.pooled["auc"] == [pytest.approx(1, abs=0.01)] and full.gains["auc"] > 0.2
    assert parts[SEEN].rows["SIM+MFQ+GIE"].pooled["auc"][0] < 0.8
    said, sheet, plot = unseen_figure(parts, 1)
    check_answer(said, sheet, plot)
    assert [row[:2] for row in sheet.rows] == [(kind, row.name) for kind in (UNSEEN, SEEN) for row in ROWS]
    assert f"2 authors, {new.sum()} samples" in sheet.notes[0] and len(plot.figure.data) == 6


def test_truth_is_the_last_line_where_it_is_known(folder):
    (folder.path / "truth").mkdir()
    np.save(folder.path / "truth" / "test.npy", folder.rows("test").labels.astype(np.float32))
    part = measure_unseen(folder, GIVEN, cells(folder))[UNSEEN]
    assert list(part.rows)[-1] == "best possible" and part.rows["best possible"].pooled["auc"] == [1.0]


def test_what_cannot_be_measured_is_said(folder, live_template):
    other = cells(folder)
    other["SIM"][0].arrays["test labels"] = ~folder.rows("test").labels
    with pytest.raises(InputError, match="SIM: scored other test rows"):
        measure_unseen(folder, GIVEN, other)
    whole = DatasetFolder(live_template)
    with pytest.raises(InputError, match="no test row is of an author never seen"):
        measure_unseen(whole, GIVEN, cells(whole))
    with pytest.raises(InputError, match="--split 'train'"):
        check_split("train")


def test_rows_are_models_of_their_own(folder):
    jobs = unseen_jobs(folder, GIVEN, 2)
    assert len({json.dumps(job.key, sort_keys=True) for seeds in jobs.values() for job in seeds}) == 12
    with pytest.raises(InputError, match="setting 'content': the rows of this study set it"):
        unseen_jobs(folder, {"content": "mfq"}, 1)
    assert [row.name for row in chosen(ROWS, ["no queries"], STUDY)] == ["SIM", "SIM+MFQ+GIE", "no queries"]
    with pytest.raises(InputError, match="this study has no row 'DIN'"):
        chosen(ROWS, ["DIN"], STUDY)
