"""The split and the order of rows that runs have: one rule for all models, for tables and for `mmbee data info`."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmbee_plugin.command.yaml_settings import read_mapping
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.inspect.info import read_info
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.files import config_folder, dataset_settings
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.sources import of_model
from mmbee_plugin.recbole.config.splitting import data_lines, split_line
from mmbee_plugin.recbole.run import build_config, main, seeded_dataset
from mmbee_plugin.tables.ranking.run import with_protocol

SMALL = {"gpu_id": "", "show_progress": False}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def parts_of(folder: Path, model: str, **given) -> list[set[tuple[int, int]]]:
    """The pairs of a run's parts, by row of the folder."""
    splits = seeded_dataset(build_config(model, DatasetFolder(folder), {**SMALL, **given})).build()
    return [pairs_of(split) for split in splits]


def pairs_of(split) -> set[tuple[int, int]]:
    users, items = (split.inter_feat[field].numpy() for field in (split.uid_field, split.iid_field))
    return set(zip(split.user_rows[users].tolist(), split.item_rows[items].tolist(), strict=True))


@pytest.mark.parametrize("model", ["BPR", "LightGCN", "SASRec", "DIN", "DeepFM", "MMBee"])
def test_times_split_every_model_alike(write_folder, random_rows, model) -> None:
    path = write_folder(random_rows)
    newest = {user: item for user, item, _ in sorted(random_rows, key=lambda row: row[2])}
    folder = DatasetFolder(path)
    ranked = (
        {"eval_args": {"mode": "full"}, "train_neg_sample_args": {"sample_num": 1}}
        if model == "DeepFM"
        else {}
    )
    test = {
        (folder.user_tokens[user], folder.item_tokens[item])
        for user, item in parts_of(path, model, **ranked)[2]
    }
    assert len(newest) == 30 and set(newest.items()) <= test


@pytest.mark.parametrize(
    ("eval_args", "same"),
    [
        ({}, True),
        ({"split": {"RS": [5, 3, 2]}}, True),
        ({"group_by": "none"}, True),
        ({"split": {"LS": "valid_and_test"}}, True),
        ({"split": {"LS": "test_only"}}, True),
        ({"split": {"TS": [0.7, 0.1, 0.2]}}, True),
        ({"order": "RO"}, False),
        ({"order": "RO", "split": {"LS": "valid_and_test"}}, False),
    ],
)
def test_info_and_runs_split_by_one_rule(write_folder, random_rows, eval_args, same) -> None:
    users = [f"u{user}" for user in range(31)]
    rows = [("u30", "i1", 1_600_000_400), ("u30", "i2", 1_600_000_300), *random_rows]
    # times that float32 can hold, since RecBole compares those under TS
    folder = DatasetFolder(write_folder([(*pair, time - 1_600_000_000) for *pair, time in rows], users=users))
    info = read_info(folder, {"eval_args": eval_args})
    config = build_config("BPR", folder, {**SMALL, "eval_args": {"mode": "full", **eval_args}})
    splits = seeded_dataset(config).build()
    assert info.split == data_lines(config.final_config_dict, folder)
    assert [len(part) for part in info.parts.values()] == [len(split) for split in splits]
    found = [set(zip(part.users.tolist(), part.items.tolist(), strict=True)) for part in info.parts.values()]
    assert (found == [pairs_of(split) for split in splits]) == same


def test_tables_split_as_runs_do(write_folder, random_rows) -> None:
    for columns, rows in ((("timestamp:float",), random_rows), ((), [row[:2] for row in random_rows])):
        folder = DatasetFolder(write_folder(rows, name=f"tiny{len(columns)}", columns=columns))
        lines = {
            split_line(build_config("BPR", folder, {**SMALL, **given}).final_config_dict, folder)
            for given in ({}, with_protocol("BPR", folder, {}))
        }
        assert lines == {
            f"Split: 80/10/10 of each user's rows, {'by time, the newest held out' if columns else 'at random'}"
        }


def test_a_run_says_how_it_split(write_folder, random_rows, capsys) -> None:
    write_folder(random_rows)
    common = [
        "--model=Pop",
        "--dataset=tiny",
        "--gpu_id=",
        "--epochs=1",
        "--topk=5",
        "--valid_metric=Recall@5",
    ]
    assert main([*common, "--result=by-time.json"]) == 0
    out = capsys.readouterr().out
    assert out.count("Split: 80/10/10 of each user's rows, by time, the newest held out") == 2
    found = json.loads(Path("by-time.json").read_text())["dataset"]
    assert (found["split_by"], found["row_order"]) == (out.splitlines()[1], "file")

    assert main([*common, "--eval_args.order=RO", "--result=random.json"]) == 0
    assert (
        "warning: Split: 80/10/10 of each user's rows, at random, though the data are"
        in capsys.readouterr().out
    )
    assert "at random" in json.loads(Path("random.json").read_text())["dataset"]["split_by"]
    assert main([*common, "--TIME_FIELD=time"]) == 2
    assert "TIME_FIELD 'time': times are read" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["MMBee", "SASRec"])
def test_a_files_order_is_read_where_asked_and_said(write_folder, random_rows, capsys, model) -> None:
    rows = [(user, item) for user, item, _ in random_rows]
    path = write_folder(rows, columns=())
    folder = DatasetFolder(path)
    chosen = (
        {**SMALL, "train_newest": 3, "train_neg_sample_args": None}
        if model == "SASRec"
        else {**SMALL, "train_newest": 3}
    )
    in_file = {user: [item for owner, item in rows if owner == user] for user, _ in rows}

    def ascending(**given) -> float:
        """The share of histories that stand in the order of the file."""
        train = seeded_dataset(build_config(model, folder, {**chosen, **given})).build()[0]
        kept = []
        for user, items in in_file.items():
            _, found = train.histories.items_of([train.token2id("user_id", user)])
            tokens = train.id2token("item_id", found).tolist()
            kept.append(tokens == [item for item in items if item in tokens])
        return np.mean(kept)

    assert ascending(row_order="file") == 1 and ascending() < 0.2
    for given, words in (
        ({}, "Order: none in the data; rows are in one drawn from the seed; train_newest 3 go by it"),
        (
            {"row_order": "file"},
            "warning: row_order file takes the file's row order for time (so do train_newest 3): see",
        ),
    ):
        line = data_lines(build_config(model, folder, {**chosen, **given}).final_config_dict, folder)[1]
        assert line.startswith(words)
    (path / "dataset.json").write_text('{"ordered": true}')
    folder = DatasetFolder(path)
    assert ascending() == 1 and ascending(row_order="random") < 0.2
    lines = data_lines(build_config(model, folder, chosen).final_config_dict, folder)
    assert lines == [
        "Split: 80/10/10 of each user's rows, by the order of rows (declared), the newest held out"
    ]
    last = {(user, items[-1]) for user, items in in_file.items()}
    test = {
        (folder.user_tokens[user], folder.item_tokens[item])
        for user, item in parts_of(path, model, **chosen)[2]
    }
    assert last <= test


@pytest.mark.parametrize("case", ["all the same", "in training alone", "the same in training"])
def test_times_of_no_use_are_no_times(write_folder, random_rows, case) -> None:
    train, valid, test = random_rows[:150], random_rows[150:200], random_rows[200:]
    if case == "in training alone":
        path = write_folder({"train": train})
        for name, part in (("valid", valid), ("test", test)):
            lines = ["user_id:token\titem_id:token", *(f"{user}\t{item}" for user, item, _ in part)]
            (path / f"tiny.{name}.inter").write_text("\n".join(lines) + "\n")
    else:
        same = {"train": [(*row[:2], 0) for row in train], "valid": valid, "test": test}
        path = write_folder([(*row[:2], 0) for row in random_rows] if case == "all the same" else same)
    folder = DatasetFolder(path)
    dataset = seeded_dataset(
        build_config("MMBee", folder, {**SMALL, "load_col": {"inter": ["user_id", "item_id", "timestamp"]}})
    )
    parts = dataset.build()
    assert not folder.ordered and not dataset.ordered and dataset.history_mode == "others"
    assert "timestamp" not in dataset.inter_feat and all(part.times is None for part in parts)
    assert dataset.config["row_order"] == "random"
    assert read_info(folder).split[0] == split_line(dataset.config.final_config_dict, folder)


def test_a_split_by_time_needs_times(write_folder, random_rows) -> None:
    folder = DatasetFolder(write_folder([(*row[:2], 0) for row in random_rows]))
    with pytest.raises(
        InputError, match=r"order TO: tiny is without time \(timestamp:float is 0 in every row"
    ):
        build_config("BPR", folder, {**SMALL, "eval_args": {"order": "TO"}})
    with pytest.raises(InputError, match="order TO: tiny is without time"):
        read_info(folder, {"eval_args": {"order": "TO"}})


def test_no_shipped_settings_read_an_order_that_data_lack() -> None:
    for name in ("tiktok", "movielens"):
        content = read_mapping(config_folder() / f"{name}.yaml")
        for model in content["models"]:
            found = dataset_settings(SimpleNamespace(name=name, kind="real", live=None), model)
            assert found.get("row_order") is None and found.get("history") != "prefix", (name, model)
            assert (found.get("graph") or {}).get("fold_by") != "order", (name, model)
            assert found["eval_args"].get("order") != "TO", (name, model)


def test_config_files_may_have_sections_for_models(tmp_path) -> None:
    (tmp_path / "a.yaml").write_text(
        "epochs: 7\ntopk: 5\nmodels:\n"
        "  MMBee: {epochs: 9, metapaths: a2a, graph: {folds: 3, fold_by: order}}\n  BPR: {epochs: 2}\n"
    )
    given = given_settings(None, ["--config_files=a.yaml", "--graph.folds=4"])
    assert of_model(given, "LightGCN") == {"epochs": 7, "topk": [5], "graph": {"folds": 4}}
    assert of_model(given, "BPR")["epochs"] == 2
    own = of_model(given, "MMBee")
    assert (own["epochs"], own["metapaths"], own["graph"]) == (9, ["a2a"], {"folds": 4, "fold_by": "order"})
    assert of_model(given_settings("a.yaml", ["--epochs=1"]), "MMBee")["epochs"] == 1
    (tmp_path / "a.yaml").write_text("models: [MMBee]\n")
    with pytest.raises(InputError, match="models: a config file's sections"):
        given_settings("a.yaml", [])


def test_the_order_of_tiktok_can_still_be_read() -> None:
    given = of_model(given_settings(str(config_folder() / "tiktok-order.yaml"), []), "MMBee")
    assert given["row_order"] == "file" and given["backbone"] == "sasrec" and given["history"] == "prefix"
    assert given["graph"].items() >= {"folds": 3, "fold_by": "order", "content_top_k": 0}.items()
    assert given["train_newest"] == 3
