"""Shards against what the RecBole adapter reads from the same folder with the same settings."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Neighbours
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.recbole.config.settings import chosen_metapaths
from mmbee_plugin.recbole.data.content import ContentTable
from mmbee_plugin.recbole.data.interest import InterestTable
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.recbole.offline import snapshot_for
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.torchrec.shards.layout import Description
from mmbee_plugin.torchrec.shards.rows import split_folder
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.shards.write import write_shards

LENGTH = 7


@pytest.fixture(scope="module")
def rated_folder(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """30 users x 25 items with ratings and times, not yet split."""
    random = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("datasets") / "rated"
    folder.mkdir()
    pairs = [(user, item) for user in range(30) for item in random.permutation(25)[: random.integers(3, 20)]]
    pairs = [pairs[row] for row in random.permutation(len(pairs))]
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    for user, item in pairs:
        lines.append(f"u{user}\ti{item}\t{random.integers(1, 6)}\t{1_600_000_000 + random.integers(0, 500)}")
    (folder / "rated.inter").write_text("\n".join(lines) + "\n")
    return DatasetFolder(folder)


def recbole_splits(folder, monkeypatch, **settings):
    """RecBole's config and its three splits."""
    monkeypatch.setattr(sys, "argv", ["pytest"])
    config = build_config("MMBee", folder, {"gpu_id": "", "show_progress": False, **settings})
    return config, seeded_dataset(config).build()


def check_rows(store, splits):
    """The Parquet files and histories hold RecBole's rows, in its order, by row of the folder."""
    train = splits[0]
    kept = np.flatnonzero(training_rows(train).kept)
    users = train.user_rows[train.inter_feat[train.uid_field].numpy()]
    authors = train.item_rows[train.inter_feat[train.iid_field].numpy()]
    written = {name: column.to_numpy() for name, column in zip(*columns_of(store, "train"), strict=True)}
    assert len(kept) and written["user"].tolist() == users[kept].tolist()
    assert written["author"].tolist() == authors[kept].tolist()
    assert written["position"].tolist() == train.histories.positions[kept].tolist()
    assert written["fold"].tolist() == training_rows(train).folds[kept].tolist()
    assert store.description.rows == tuple(
        np.bincount(training_rows(train).folds[kept], minlength=store.folds)
    )
    if store.labelled:
        assert written["label"].tolist() == train.positive_rows()[kept].astype(int).tolist()
    assert (
        store.drawn[1:][train.item_rows[1:]].tolist()
        == training_rows(train).counts(train.item_num)[1:].tolist()
    )
    for name, split in zip(("valid", "test"), splits[1:], strict=True):
        rows = {key: column.to_numpy() for key, column in zip(*columns_of(store, name), strict=True)}
        pairs = (
            split.user_rows[split.inter_feat[split.uid_field].numpy()],
            (split.item_rows[split.inter_feat[split.iid_field].numpy()]),
        )
        assert sorted(zip(rows["user"], rows["author"], strict=True)) == sorted(zip(*pairs, strict=True))
        assert (np.diff(rows["user"]) >= 0).all()

    theirs = train.histories.before(
        train.inter_feat[train.uid_field].numpy()[kept],
        train.histories.positions[kept],
        LENGTH,
        targets=train.inter_feat[train.iid_field].numpy()[kept],
    )
    ours = store.history(users[kept], written["position"], LENGTH, authors[kept], "prefix")
    check_histories(train, theirs, ours)
    every = np.arange(1, train.user_num)
    check_histories(
        train, train.histories.all(every, LENGTH), store.history(train.user_rows[every], None, LENGTH)
    )


def check_histories(train, theirs, ours):
    ids, lengths, times = theirs
    assert ours[1].tolist() == lengths.tolist()
    filled = np.arange(LENGTH) < ours[1][:, None]
    assert ours[0][filled].tolist() == train.item_rows[ids.numpy()[filled]].tolist()
    if times is not None:
        assert np.array_equal(ours[2], times.numpy())


def columns_of(store, split):
    table = pq.read_table(store.path / f"{split}.parquet")
    return table.column_names, table.columns


def test_the_sample_is_what_the_recbole_adapter_reads(sample_folder, monkeypatch, tmp_path):
    graph = {"folds": 2, "fold_by": "order", "reach_top_k": 30, "top_k": 20}
    chosen = {"history": "prefix", "train_newest": 2, "node_tables": "fresh"}
    config, splits = recbole_splits(
        sample_folder, monkeypatch, graph=graph, metapaths=list(PAPER_METAPATHS), **chosen
    )
    write_shards(
        sample_folder, tmp_path / "shards", GraphSettings(**graph), train_newest=2, seed=config["seed"]
    )
    store = ShardStore(tmp_path / "shards")
    check_rows(store, splits)
    assert store.user_tokens() == sample_folder.user_tokens
    assert store.author_tokens() == sample_folder.item_tokens

    train = splits[0]
    snapshot = snapshot_for(config, train)
    assert store.description.snapshot == snapshot.manifest["key"]
    interest = InterestTable(train, snapshot, chosen_metapaths(config), 4, pretrained=False)
    assert store.attribute_width == interest.attribute_width
    ids = {"u": np.arange(1, train.user_num), "a": np.arange(1, train.item_num)}
    row_of = {"u": train.user_rows, "a": train.item_rows}
    for path in chosen_metapaths(config):
        lists, rows = interest.lists[path.name], row_of[path.start][ids[path.start]]
        for fold in (None, 0, 1):
            lengths, nodes, weights = store.neighbours(path.name, rows, fold)
            their_weights = lists.get_buffer(f"weights_{fold}")[ids[path.start]].numpy()
            filled = their_weights > 0
            assert lengths.tolist() == filled.sum(axis=1).tolist()
            their_ids = lists.get_buffer(f"ids_{fold}")[ids[path.start]].numpy()[filled]
            assert nodes.tolist() == row_of[path.end][their_ids].tolist()
            assert np.allclose(weights, their_weights[filled], atol=1e-7)
            near = Neighbours(np.concatenate([[0], np.cumsum(lengths)]), nodes, weights)
            attributes = store.brought(near, path.end, rows, fold, path.name)
            theirs = lists.attributes(ids[path.start], fold)
            assert (attributes is None) == (theirs is None)
            if theirs is not None:
                assert np.array_equal(attributes, theirs.numpy())
    for fold in (None, 1):
        authors, weights = store.reach(train.user_rows[ids["u"]], fold)
        reach = interest.reach(torch.from_numpy(ids["u"]), fold)
        assert (np.diff(authors, axis=1) >= 0).all()
        found = {
            (user, author, weight)
            for user, row, line in zip(ids["u"], authors, weights, strict=True)
            for author, weight in zip(row, line, strict=True)
            if weight > 0
        }
        theirs = {
            (user, author, weight)
            for user, row, line in zip(
                ids["u"], reach["reach_ids"].numpy(), reach["reach_weights"].numpy(), strict=True
            )
            for author, weight in zip(row, line, strict=True)
            if weight > 0
        }
        assert found == theirs and len(found) > 1000
        assert (reach["reach_ids"].diff(dim=1) >= 0).all()

    content = ContentTable(train, ("visual", "text"), 4, num_queries=0)
    rows = train.item_rows[1:]
    values, present = store.dense("visual", rows)
    assert np.array_equal(values, content.tables["visual"].values[1:].numpy())
    assert np.array_equal(present, content.tables["visual"].present[1:].numpy())
    lengths, words, present = store.bag("text", rows)
    bags = content.tables["text"]
    assert lengths.tolist() == bags.length[1:].tolist() and not present.all()
    flat = [
        bags.words[start : start + length]
        for start, length in zip(bags.start[1:], bags.length[1:], strict=True)
    ]
    assert words.tolist() == np.concatenate(flat).tolist()
    assert (
        np.array_equal(store.author_seen(rows), content.seen[1:].numpy())
        and not store.author_seen(rows).all()
    )
    assert store.author_ids(rows).tolist() == np.where(store.author_seen(rows), rows + 1, 0).tolist()


def test_rated_rows_are_split_labelled_and_dealt_as_the_recbole_adapter_does(
    rated_folder, monkeypatch, tmp_path
):
    graph = {"folds": 3, "fold_by": "pair", "reach_top_k": 0}
    split = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "labeled"}
    _, splits = recbole_splits(
        rated_folder,
        monkeypatch,
        graph=graph,
        load_col={"inter": ["user_id", "item_id", "rating", "timestamp"]},
        threshold={"rating": 3},
        eval_args=split,
        metrics=["AUC"],
        valid_metric="AUC",
    )
    write_shards(rated_folder, tmp_path / "shards", GraphSettings(**graph), threshold=3)
    store = ShardStore(tmp_path / "shards")
    assert store.labelled and store.ordered
    assert 0 < sum(store.description.positives) < sum(store.description.rows)
    check_rows(store, splits)


def test_a_failed_write_leaves_the_old_shards(sample_folder, tmp_path):
    shards = tmp_path / "shards"
    write_shards(sample_folder, shards, None, modalities=("visual",))
    before = {file: file.read_bytes() for file in shards.rglob("*.*")}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))  # as a full disk
    try:
        with pytest.raises(InputError, match="cannot be written"):
            write_shards(sample_folder, shards, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file: file.read_bytes() for file in shards.rglob("*.*")} == before
    assert [path.name for path in tmp_path.iterdir()] == ["shards"]


def test_damaged_shards_are_refused(sample_folder, tmp_path):
    write_shards(sample_folder, tmp_path / "shards", None, modalities=("visual",))
    with pytest.raises(InputError, match="no modality 'text'; it has: visual"):
        ShardStore(tmp_path / "shards", modalities=("text",))
    items = tmp_path / "shards" / "histories" / "items.npy"
    items.write_bytes(items.read_bytes()[:-4])
    with pytest.raises(InputError, match=r"items\.npy: \d+ bytes, expected"):
        ShardStore(tmp_path / "shards")
    items.unlink()
    with pytest.raises(InputError, match=r"items\.npy: No such file"):
        ShardStore(tmp_path / "shards")
    description = tmp_path / "shards" / "shards.json"
    description.write_text(json.dumps({**json.loads(description.read_text()), "version": 9}))
    with pytest.raises(InputError, match="version: Input should be 4; write the shards again"):
        ShardStore(tmp_path / "shards")
    with pytest.raises(InputError, match="no shards folder"):
        ShardStore(sample_folder.path)
    with pytest.raises(InputError, match="is no shards folder; it is left alone"):
        write_shards(sample_folder, sample_folder.path, None)


def test_the_command_writes_shards_and_refuses_unknown_settings(sample_folder: DatasetFolder, tmp_path: Path):
    def shards(*settings):
        path = ("--data-path", str(sample_folder.path.parent))
        return CliRunner().invoke(
            app, ["data", "shards", "tiktok", str(tmp_path / "shards"), *path, *settings]
        )

    settings = (
        "--graph.folds=2",
        "--graph.metapaths=[u2a2u]",
        "--node_tables=fresh",
        "--modalities=[visual]",
    )
    done = shards(*settings)
    assert done.exit_code == 0, done.output
    assert "Trains on 3,955 rows in 2 folds" in done.output and "SAMPLE" in done.output
    assert "Order: none in the data; rows are in one drawn from the seed\n" in done.output
    store = ShardStore(tmp_path / "shards")
    assert (store.folds, store.metapaths, store.has_reach) == (2, ("u2a2u",), True)
    assert list(store.modalities) == ["visual"] and store.attribute_width == 0 and store.nodes() is None
    for wrong, message in (
        ("--graph.fodls=3", "graph.fodls: no such setting"),
        ("--graph.folds=x", "graph.folds: found 'x', expected a whole number"),
        ("--row_order=rows", "row_order"),
    ):
        refused = shards(wrong)
        assert isinstance(refused.exception, InputError) and message in str(refused.exception)


def test_rows_without_time_are_read_in_a_drawn_order_unless_the_file_is_an_order(tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    rows = [(user, item) for item in range(20) for user in range(10)]
    lines = ["user_id:token\titem_id:token", *(f"u{user}\ti{item}" for user, item in rows)]
    (folder / "plain.inter").write_text("\n".join(lines) + "\n")

    def train(row_order=None, seed=0):
        return split_folder(DatasetFolder(folder), row_order=row_order, seed=seed)["train"].authors.tolist()

    in_file = [item for item in range(16) for _ in range(10)]
    assert train("file") == in_file and train() != train(seed=1) and train() == train("random")
    assert np.mean(np.diff(train()) >= 0) < 0.7
    (folder / "dataset.json").write_text('{"ordered": true}')
    assert train() == in_file
    with pytest.raises(InputError, match="row_order 'rows': known are file, random"):
        train("rows")
    write_shards(DatasetFolder(folder), tmp_path / "shards", None)
    store = ShardStore(tmp_path / "shards")
    assert store.history_mode(None) == "prefix" and not store.ordered
    assert "; ordered by row (declared); " in store.provenance


def test_identity_tells_shards_of_one_size_apart(tmp_path):
    """Two columns of categories, of which one is chosen: all files have the same sizes."""
    folder = tmp_path / "plain"
    folder.mkdir()
    pairs = [f"u{user}\ti{item}" for item in range(20) for user in range(10)]
    (folder / "plain.inter").write_text("\n".join(["user_id:token\titem_id:token", *pairs]) + "\n")
    items = [f"i{item}\t{item % 3}\t{item % 4}" for item in range(20)]
    header = "item_id:token\tgenre:token\tcolour:token"
    (folder / "plain.item").write_text("\n".join([header, *items]) + "\n")

    def description(field):
        write_shards(DatasetFolder(folder), tmp_path / "shards", None, category_field=field)
        return ShardStore(tmp_path / "shards").description

    genre, again, colour = map(description, ("genre", "genre", "colour"))
    assert genre.identity == again.identity
    assert genre.files == colour.files and genre.identity != colour.identity


def test_shards_of_before_keep_their_identity(sample_shards):
    """Those whose description has no digest of the content, and no statistics."""
    before = json.loads((sample_shards / "shards.json").read_text())
    del before["content"], before["statistics"]
    of_before = Description.model_validate_json(json.dumps(before))
    text = of_before.model_dump_json(exclude={"content", "statistics"})
    assert of_before.identity["description"] == hashlib.sha256(text.encode()).hexdigest()[:16]
