"""Live data under TorchRec: shards hold what the RecBole adapter reads, two processes learn what one does."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.data.content import ContentTable
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.data.rows import SEGMENT, TASKS
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.recbole.exchange import load_exchange
from mmbee_plugin.recbole.models.mmbee import MMBee
from mmbee_plugin.recbole.offline import snapshot_for
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.reader import EvalReader, TrainReader
from mmbee_plugin.torchrec.checkpoints import checkpoint
from mmbee_plugin.torchrec.checkpoints.checkpoint import StepState
from mmbee_plugin.torchrec.checkpoints.export import export_checkpoint, import_exchange
from mmbee_plugin.torchrec.processes.launch import process_group
from mmbee_plugin.torchrec.settings import Settings, parse_settings
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.shards.write import write_shards
from mmbee_plugin.torchrec.training.loop import Trainer

GRAPH = {"folds": 6, "fold_by": "time", "reach_top_k": 0, "top_k": 10}
SECTIONS = ("user", "author", "query", "nodes", "words")
TASKED = {"backbone": "mmoe", "content": "mta", "interest": "bdr", "head": "mlp"}


def job(shards: Path, folder: Path, sharding: str = "row_wise", **model: Any) -> dict[str, Any]:
    """Settings of one epoch on labelled rows, nothing drawn at random in the model."""
    calm = {"width": 16, "dropout": 0.0, "modality_dropout": 0.0, "default_query_rate": 0.0}
    return {
        "data": {"shards": str(shards), "history_length": 8},
        "model": calm | {"loss": "bce", "segments": 3, "searched": 3, "reach_floor": 10.0} | model,
        "tables": {section: {"sharding": sharding} for section in SECTIONS},
        "train": {"batch_size": 29, "negatives": 0, "epochs": 1, "log_every": 1},
        "checkpoint": {"folder": str(folder)},
    }


def recbole(folder: DatasetFolder, monkeypatch: pytest.MonkeyPatch, **given: Any) -> tuple[Any, list[Any]]:
    """RecBole's config and three splits."""
    monkeypatch.setattr("sys.argv", ["pytest"])
    own = {
        "embedding_size": 16,
        "graph": GRAPH,
        "graphcl": {"epochs": 1},
        "MAX_ITEM_LIST_LENGTH": 8,
        "seed": 0,
    }
    config = build_config("MMBee", folder, {"gpu_id": "", "show_progress": False, **own, **given})
    return config, MMBeeDataset(config).build()


def test_shards_hold_what_the_recbole_adapter_reads(live_folder, live_shards, monkeypatch):
    store = ShardStore(live_shards)
    config, (train, valid, test) = recbole(live_folder, monkeypatch)
    assert store.labelled and store.ordered and store.folds == 6 and not store.has_reach
    assert store.live.tasks == live_folder.tasks and store.live.per_sample == 20
    assert store.description.snapshot == snapshot_for(config, train).manifest["key"]  # amounts, times and all

    def of(split: MMBeeDataset) -> dict[str, list[Any]]:
        rows = split.inter_feat
        return {
            "user": split.user_rows[rows["user_id"].numpy()].tolist(),
            "author": split.item_rows[rows["item_id"].numpy()].tolist(),
            "time": split.times.tolist(),
            "label": rows["label"].int().tolist(),
            "segment": rows[SEGMENT].tolist(),
        }

    written = pq.read_table(live_shards / "train.parquet").to_pydict()
    expected = of(train) | {
        "position": train.histories.positions.tolist(),
        "position_by_day": train.positions_by_day.tolist(),
        "fold": training_rows(train).folds.tolist(),
    }
    tasks = train.inter_feat[TASKS].T.tolist()
    expected |= {f"task_{name}": column for name, column in zip(live_folder.tasks, tasks, strict=True)}
    assert max(expected["position_by_day"]) > 3 and set(expected["fold"]) == set(range(6))
    assert {name: written[name] for name in expected} == expected and written.keys() == expected.keys()
    for name, split in (("valid", valid), ("test", test)):
        columns = pq.read_table(live_shards / f"{name}.parquet").to_pydict()
        assert sorted(zip(*columns.values(), strict=True)) == sorted(zip(*of(split).values(), strict=True))

    users = np.array(written["user"])
    rows, lengths, times = store.history(users, np.array(written["position_by_day"]), 8)
    ids, theirs, stamps = train.training_history(torch.arange(len(users)))
    assert lengths.tolist() == theirs.tolist() and np.array_equal(times, stamps.numpy())
    filled = np.arange(8) < lengths[:, None]
    assert rows[filled].tolist() == train.item_rows[ids.numpy()[filled]].tolist()

    content = ContentTable(train, tuple(store.modalities), 4, num_queries=0, length=3)
    authors, segments = np.array(written["author"]), np.array(written["segment"])
    items = torch.from_numpy(np.argsort(train.item_rows)[1:][authors])
    for newest in (segments, None):
        vectors = torch.zeros(len(items), 4)
        side = content(items, vectors, None if newest is None else torch.from_numpy(newest))
        window = store.segments.windows(store.segments.newest(authors) if newest is None else newest, 3)
        for name in store.modalities:
            values, present = store.segments.features(name, window)
            assert present.any() and not present.all()
            np.testing.assert_array_equal(present, side.segment_mask[name].numpy())
            np.testing.assert_allclose(values, side.segments[name].numpy(), atol=1e-5)
    assert store.author_seen(authors).all() and content.seen[items].all()


def test_one_process_and_two_agree(start, live_shards, tmp_path):
    def cases(processes: int) -> dict[str, Any]:
        folder = tmp_path / f"checkpoints-{processes}"
        found = {
            "tasks": job(live_shards, folder / "tasks", **TASKED),
            "search": job(
                live_shards, folder / "search", "table_wise", backbone="sim", search="soft", head="mlp"
            ),
            "drawn": job(
                live_shards,
                folder / "drawn",
                backbone="sim",
                loss="softmax",
                content="ego_fusion",
                interest="bdr",
            ),
        }
        found["drawn"]["train"] |= {"negatives": 2, "batch_size": 11}
        # At 1e-3 Adam makes 1e-4 of the rounding within the 20 steps: it divides gradients of nothing by nothing.
        found["tasks"]["train"] |= {"learning_rate": 1e-4}
        return found

    outcome = {}
    for processes in (1, 2):
        assert start("jobs", processes, "losses", cases(processes), tmp_path) == [0] * processes
        outcome[processes] = json.loads((tmp_path / f"losses-{processes}.json").read_text())
    one, two = outcome[1], outcome[2]
    for name in one:
        before, after = np.array(one[name]["losses"]), np.array(two[name]["losses"])
        assert len(before) >= 20 and before.std() > 0.005
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-6, err_msg=name)
        for metric, value in one[name]["validation"]["1"].items():
            assert two[name]["validation"]["1"][metric] == pytest.approx(value, abs=1e-3)
    assert one["search"]["validation"]["1"].keys() >= {"auc", "gauc"}
    assert one["drawn"]["validation"]["1"].keys() >= {"recall@10"}


def test_every_part_learns(live_shards, tmp_path):
    """Of a labelled batch with several tasks: tables, experts and towers, and the recurrence over segments."""
    settings = parse_settings(job(live_shards, tmp_path, **TASKED), "test")
    store = open_store(settings)
    model = TrainModel(Inputs.of(settings.model, store), device="cpu")
    with torch.no_grad():
        for name, weight in model.tables.named_parameters():
            weight.normal_(std=0.1, generator=torch.Generator().manual_seed(len(name)))
    # Of the last stretch of time, whose graph is not empty.
    rows = next(rows for rows in TrainReader(store, settings.data, 100, 0).batches(0) if rows.fold == 5)
    loss, logits = model(BatchMaker(store, settings).train(rows, epoch=0))
    assert logits.shape == (len(rows.users), 3)
    loss.backward()
    still = [
        name
        for name, weight in model.named_parameters()
        if weight.grad is None or not weight.grad.abs().sum() > 0
    ]
    assert still == []


def test_an_idle_search_is_said(live_shards, tmp_path, caplog):
    longest = min(8, ShardStore(live_shards).longest_history)
    for search, searched, expected in (("soft", longest, 1), ("soft", longest - 1, 0), ("hard", longest, 0)):
        parts = {"backbone": "sim", "content": "none", "interest": "none", "search": search}
        settings = parse_settings(job(live_shards, tmp_path, **parts, searched=searched), "test")
        caplog.clear()
        with process_group(60) as process, caplog.at_level(logging.WARNING):
            Trainer(settings, process)
        idle = [record for record in caplog.records if "SIM's search unit is idle" in record.message]
        assert len(idle) == expected


def test_an_export_scores_under_recbole_and_comes_back(live_folder, live_shards, tmp_path, monkeypatch):
    settings = parse_settings(job(live_shards, tmp_path / "job", **TASKED), "test")
    store = open_store(settings)
    model = TrainModel(Inputs.of(settings.model, store), device="cpu").eval()
    torch.manual_seed(0)
    for value in model.state_dict().values():
        value.copy_(0.2 * torch.randn_like(value))
    state = StepState(1, 0, 9, settings.model_dump(mode="json"), 1)
    path = checkpoint.save(Path(settings.checkpoint.folder), state, model, None)
    exchange = export_checkpoint(path, tmp_path / "weights.pt")
    assert exchange.settings["gtr"]["tasks"] == ["gift", *live_folder.tasks]

    own = {"segments": 3, "searched": 3, "checkpoint_dir": str(tmp_path)}
    config, (train, _, test) = recbole(live_folder, monkeypatch, **TASKED, **own)
    ours = MMBee(config, train).eval()
    load_exchange(ours, train, tmp_path / "weights.pt")
    rows = test.inter_feat
    users, authors = test.user_rows[rows["user_id"].numpy()], test.item_rows[rows["item_id"].numpy()]
    batch = BatchMaker(store, settings).labelled(
        users, authors, segments=rows[SEGMENT].numpy(), times=test.times
    )
    with torch.no_grad():
        found = model.score(batch)
        torch.testing.assert_close(ours.predict(rows), found.sigmoid(), rtol=0, atol=1e-5)
    assert found.std() > 0.05

    again = again_from(tmp_path / "weights.pt", job(live_shards, tmp_path / "again", **TASKED), tmp_path)
    for name, table in exchange.tables.items():
        assert torch.equal(again[name], table)
    other_head = job(live_shards, tmp_path / "head", **TASKED | {"head": "dot"})  # mmoe has one of its own
    import_exchange(tmp_path / "weights.pt", parse_settings(other_head, "test"))
    for change, message in (
        ({"backbone": "sim"}, r"weights.pt: its model has .*=.*, this one has"),
        ({"segments": 2}, r"weights.pt: its model has segments=3, this one has segments=2$"),
    ):
        other = parse_settings(job(live_shards, tmp_path / "other", **TASKED | change), "test")
        with pytest.raises(InputError, match=message):
            import_exchange(tmp_path / "weights.pt", other)
    config, (train, *_) = recbole(live_folder, monkeypatch, **TASKED, **own | {"segments": 2})
    with pytest.raises(InputError, match="its model has segments=3, this one has segments=2"):
        load_exchange(MMBee(config, train), train, tmp_path / "weights.pt")


def again_from(source: Path, content: dict[str, Any], tmp_path: Path) -> dict[str, torch.Tensor]:
    """The tables of a file that was imported into a job and exported from there."""
    settings: Settings = parse_settings(content, "test")
    return export_checkpoint(import_exchange(source, settings), tmp_path / "again.pt").tables


def test_evaluation_sees_each_row_as_of_its_moment(live_folder, live_shards):
    store = ShardStore(live_shards)
    segments = live_folder.rows("test").segments
    first = min(live_folder.interactions(split).timestamps.min() for split in live_folder.splits)
    times = live_folder.interactions("test").timestamps - first
    read = [
        pair
        for rows in EvalReader(store, "test").labelled(50)
        for pair in zip(rows.segments, rows.times, strict=True)
    ]
    assert sorted(read) == sorted(zip(segments, times, strict=True))


@pytest.mark.parametrize(
    ("section", "entries", "message"),
    [
        ("model", {"segments": 25}, "model.segments 25: the data hold the last 20 of a sample"),
        ("model", {"segments": 0}, "model.segments 0 is out of range, expected a whole number from 1 to 32"),
        ("model", {"fusion": "firm"}, "unknown model.fusion 'firm'; known: soft, hard"),
        ("model", {"content": "mta", "heads": 3}, "width 16 is no multiple of heads 3"),
    ],
)
def test_bad_settings_are_one_line(live_shards, tmp_path, section, entries, message):
    content = job(live_shards, tmp_path)
    content[section] |= entries
    with pytest.raises(InputError, match=message):
        settings = parse_settings(content, "test")
        Inputs.of(settings.model, open_store(settings))


def test_bad_data_are_one_line(live_folder, live_shards, sample_shards, tmp_path):
    with pytest.raises(InputError, match="labelled by their gifts; threshold 4 has no use"):
        write_shards(live_folder, tmp_path / "shards", None, threshold=4)
    write_shards(live_folder, tmp_path / "shards", None, modalities=("speech",))
    store = ShardStore(tmp_path / "shards")
    no_lists = parse_settings(job(tmp_path / "shards", tmp_path, **TASKED), "test")
    with pytest.raises(InputError, match="no metapath 'u2a2u'; it has: none"):
        open_store(no_lists)
    table = pq.read_table(store.path / "train.parquet")
    column = table["segment"].to_numpy().copy()
    column[7] = store.live.segments
    place = table.column_names.index("segment")
    pq.write_table(table.set_column(place, "segment", [column]), store.path / "train.parquet")
    settings = parse_settings(job(tmp_path / "shards", tmp_path, interest="none"), "test")
    with pytest.raises(InputError, match=r"train.parquet: .* bytes, expected|row 7: segment"):
        list(TrainReader(ShardStore(store.path), settings.data, 50, 0).batches(0))
    daily = parse_settings({"data": {"shards": str(sample_shards), "history": "daily"}}, "test")
    with pytest.raises(InputError, match="no time, so no histories by day"):
        TrainReader(open_store(daily), daily.data, 50, 0)


def test_the_command_writes_folds_by_time(live_folder, tmp_path):
    arguments = ["data", "shards", live_folder.name, str(tmp_path / "shards")]
    options = ["--data-path", str(live_folder.path.parent), "--node_tables=fresh", "--graph.top_k=10"]
    done = CliRunner().invoke(app, [*arguments, *options])
    assert done.exit_code == 0, done.output
    assert "Trains on 600 rows in 6 folds" in done.output and "SIMULATED" in done.output
    store = ShardStore(tmp_path / "shards")
    assert store.description.snapshot is not None and store.has_reach
    lengths = [store.neighbours("a2u2a", np.arange(8), fold)[0].sum() for fold in (0, 5)]
    assert lengths[0] == 0 < lengths[1]
