"""Figure 5: vectors are matched with the planted types by the authors' names, and against chance."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.figures.queries import IDS, QUERIES, AuthorVectors, match, query_figure, read_authors
from mmbee_plugin.recbole.run import build_config, seeded_dataset, train_and_test
from mmbee_plugin.recbole.training import checkpoint


@pytest.fixture
def trained(live_path, tmp_path, monkeypatch):
    """A function that trains MMBee on the tiny live folder for an epoch; returns the checkpoint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])

    def train(**given):
        folder = DatasetFolder(live_path)
        small = {"epochs": 1, "embedding_size": 8, "interest": "none", "gpu_id": "", "show_progress": False}
        config = build_config("MMBee", folder, {**small, "train_batch_size": 256, **given})
        return tmp_path / train_and_test(config, folder).checkpoint

    return train


def plant(folder):
    planted = folder / "planted"
    planted.mkdir()
    names = [f"a{number}" for number in range(1, 8)]  # a0 has no type
    types = [number % 3 for number in range(1, 8)]
    pl.DataFrame({"author_id": names, "type": types}).write_parquet(planted / "authors.parquet")


def test_vectors_and_types_meet_by_the_authors_names(trained, live_path):
    path = trained(content="mfq")
    with pytest.raises(
        InputError, match=r"authors\.parquet: no such file; .*run_recbole.py --model=MMBee --dataset=livesim"
    ):
        read_authors(path)
    plant(live_path)
    found = read_authors(path, min_rows=1)
    assert sorted(found.tokens) == [f"a{number}" for number in range(1, 8)]
    assert found.types.tolist() == [int(token[1:]) % 3 for token in found.tokens]
    state = checkpoint.load(path, "cpu")
    dataset = seeded_dataset(state["config"])
    ids = dataset.token2id("item_id", found.tokens)
    for name, key in ((QUERIES, "content.queries.weight"), (IDS, "author.weight")):
        np.testing.assert_array_equal(found.vectors[name], state["state_dict"][key][ids].numpy())

    rows = pl.read_csv(live_path / "tinylive.train.inter", separator="\t")["item_id:token"].to_list()
    counts = {token: rows.count(token) for token in found.tokens}
    least = sorted(counts.values())[3]
    assert set(read_authors(path, min_rows=least).tokens) == {
        one for one, count in counts.items() if count >= least
    }
    with pytest.raises(InputError, match="more than 30 are needed"):
        query_figure(found)


def test_a_checkpoint_without_queries_is_refused(trained, live_path):
    plant(live_path)
    with pytest.raises(InputError, match=r"\.pth: a model without queries"):
        read_authors(trained(content="concat"))


def test_clusters_by_type_are_told_from_chance(live_path, check_answer):
    rng = np.random.default_rng(0)
    types = rng.integers(0, 3, 90)
    clustered = np.eye(3)[types] + 0.1 * rng.normal(size=(90, 3))
    clustered *= rng.uniform(0.1, 9, (90, 1))  # only directions count
    found, shuffled = match(clustered, types)
    assert found.nmi == pytest.approx(1) and found.share == 1
    assert np.mean([one.share for one in shuffled]) == pytest.approx(1 / 3, abs=0.03)
    assert max(one.nmi for one in shuffled) < 0.3
    noise, _ = match(rng.normal(size=(90, 3)), types)
    assert noise.nmi < 0.1 and noise.share < 0.5

    tokens = np.array([f"a{number}" for number in range(90)])
    vectors = {QUERIES: clustered, IDS: rng.normal(size=(90, 3))}
    said, sheet, plot = query_figure(AuthorVectors(DatasetFolder(live_path), tokens, types, vectors))
    check_answer(said, sheet, plot)
    assert sheet.rows[0] == (QUERIES, "1.000", "1.000")
    assert len(plot.figure.data) == 6 and sum(len(trace.x) for trace in plot.figure.data) == 180
