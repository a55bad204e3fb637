"""Every setting of RecBole's is honoured or refused in one line; none is ignored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import recbole
import torch
from recbole.data.utils import data_preparation
from recbole.utils import argument_list

from mmbee_plugin.command.yaml_settings import read_mapping
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.layers import _defaults_of_all, default_settings
from mmbee_plugin.recbole.config.stock_settings import (
    ENTRIES,
    GIVEN_SPLIT,
    REFUSED,
    check_interval,
    repeats,
)
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.run import build_config

PARTS = ("general", "training", "evaluation", "dataset")
HONOURED = frozenset(
    {
        # by RecBole's Config, trainer, log and evaluator, which are in use as they are
        "gpu_id", "use_gpu", "seed", "reproducibility", "state", "checkpoint_dir", "show_progress", "log_wandb",
        "wandb_project", "epochs", "train_batch_size", "learner", "learning_rate", "eval_step", "stopping_step",
        "clip_grad_norm", "weight_decay", "loss_decimal_place", "require_pow", "enable_amp", "enable_scaler",
        "eval_batch_size", "metric_decimal_place", "metrics", "topk", "worker",
        # by our run, dataset, sampler and loaders
        "data_path", "train_neg_sample_args", "eval_args", "repeatable", "valid_metric", "valid_metric_bigger",
        "shuffle", "transform", "seq_separator", "seq_len", "TIME_FIELD", "LABEL_FIELD", "NEG_PREFIX",
        "ITEM_LIST_LENGTH_FIELD", "LIST_SUFFIX", "MAX_ITEM_LIST_LENGTH", "load_col", "unload_col", "unused_col",
        "additional_feat_suffix", "benchmark_filename", "threshold",
        # by RecBole's Dataset, of which ours is made, on the rows that our reader gives it
        "rm_dup_inter", "val_interval", "filter_inter_by_user_or_item", "user_inter_num_interval",
        "item_inter_num_interval", "alias_of_user_id", "alias_of_item_id", "preload_weight", "normalize_field",
        "normalize_all", "numerical_features", "discretization",
        # ours, in RecBole's list of data settings
        "mmbee_dataset", "history", "mask_valid", "row_order", "sampler", "train_days", "train_newest",
        "valid_in_history",
    }
)  # fmt: skip
"""Settings that have their effect."""
RATED = ("rating:float", "timestamp:float")


@pytest.fixture
def rated(write_folder, random_rows, tmp_path, monkeypatch):
    """A folder with ratings of 1 to 5, and item and user columns."""
    monkeypatch.chdir(tmp_path)
    path = write_folder([(*row[:2], 1 + row[2] % 5, row[2]) for row in random_rows], columns=RATED)
    (path / "tiny.item").write_text(
        "item_id:token\tprice:float\tgenre:token_seq\n"
        + "".join(f"i{i}\t{i / 2}\tg{i % 3} g0\n" for i in range(40))
    )
    (path / "tiny.user").write_text(
        "user_id:token\tage:float\n" + "".join(f"u{u}\t{20 + u}\n" for u in range(30))
    )
    return DatasetFolder(path)


@pytest.fixture
def pre_split(write_folder, random_rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = {"train": random_rows[:150], "valid": random_rows[150:180], "test": random_rows[180:]}
    return DatasetFolder(write_folder(parts))


def build(folder, *arguments: str, model: str = "BPR"):
    return build_config(model, folder, given_settings(None, ["--gpu_id=", *arguments]))


def test_every_setting_of_recboles_is_one_or_the_other() -> None:
    listed = {name for part in PARTS for name in vars(argument_list)[f"{part}_arguments"]}
    stated = listed | _defaults_of_all().keys()
    assert stated - HONOURED - REFUSED.keys() == set()
    assert not HONOURED & REFUSED.keys()
    assert (HONOURED | REFUSED.keys()) - stated == {"encoding", "world_size"}  # known, without a default


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - {"RATING_FIELD"}))
def test_what_is_refused_may_keep_its_default(rated, name) -> None:
    default = default_settings("BPR").get(name)
    build_config("BPR", rated, {name: default})
    other = True if isinstance(default, bool) else "other" if isinstance(default, str) else ["other"]
    with pytest.raises(InputError, match=f"^{name} "):
        build_config("BPR", rated, {name: other})


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "--train_neg_sample_args={sample_num:4}",
            "unknown entry 'sample_num:4'.*write 'sample_num: 4', with a blank",
        ),
        (
            "--train_neg_sample_args={foo: 4}",
            "train_neg_sample_args: unknown entry 'foo'; known: distribution, sample",
        ),
        ("--train_neg_sample_args.sample_num=0", "sample_num 0 is out of range"),
        ("--train_neg_sample_args={sample_num: 1.5}", r"sample_num: found 1\.5, expected a whole number"),
        ("--train_neg_sample_args={alpha: 0.5}", "alpha: an exponent of popularity"),
        ("--train_neg_sample_args={dynamic: true}", "dynamic True with candidate_num 0; they go together"),
        ("--train_neg_sample_args={candidate_num: 3}", "dynamic False with candidate_num 3"),
        (
            "--eval_args={spilt: {RS: [8, 1, 1]}}",
            "eval_args: unknown entry 'spilt'; known: split, order, group_by, mode",
        ),
        ("--eval_args={split: {RS: [0.8, 0.2]}}", r"eval_args\.split\.RS: found .*three shares"),
        ("--eval_args={split: {RS: [0.8, 0.1, 0.1], LS: test_only}}", r"eval_args\.split"),
        (
            "--eval_args={split: {LS: last}}",
            r"eval_args\.split\.LS: found 'last', expected one of valid_and_test",
        ),
        ("--eval_args={split: {TS: [0.8, 0.1, 0.1]}, order: RO}", r"split TS needs eval_args\.order TO"),
        ("--eval_args={split: {LS: test_only}, group_by: none}", r"eval_args\.group_by none"),
        ("--eval_args.order=TT", r"eval_args\.order: found 'TT', expected one of RO, TO"),
        ("--eval_args.group_by=item", r"eval_args\.group_by 'item'"),
        (
            "--eval_args.mode={valid: full, tset: uni10}",
            r"eval_args\.mode: unknown entry 'tset'; known: valid, test",
        ),
        ("--eval_args.mode=uni", r"eval_args\.mode: found 'uni', expected full, labeled"),
        ("--eval_args.mode={test: fullsort}", r"eval_args\.mode: found 'fullsort'"),
        (
            "--clip_grad_norm={max_norm: 1, maxnorm: 1}",
            "clip_grad_norm: unknown entry 'maxnorm'; known: max_norm",
        ),
        ("--user_inter_num_interval=[5,inf", r"user_inter_num_interval '\[5,inf': no interval"),
        ("--item_inter_num_interval='5'", "item_inter_num_interval '5': no interval"),
        ("--val_interval={rating: '[5,3]'}", r"val_interval\.rating '\[5,3\]': no interval"),
        ("--val_interval={rting: '[3,5]'}", "val_interval: no column 'rting' among those that are loaded"),
        ("--rm_dup_inter=newest", "rm_dup_inter 'newest': known are first, last"),
        ("--NEG_PREFIX=", "NEG_PREFIX ''"),
        ("--mask_valid=true", "mask_valid and repeatable"),
        ("--load_col={inter: [user_id, nope]}", r"load_col\.inter: no column 'nope' among those of the file"),
        ("--unload_col={itm: [price]}", "unload_col: unknown entry 'itm'; known: inter, user, item"),
        ("--unused_col={item: [prize]}", r"unused_col\.item: no column 'prize'"),
        ("--unused_col={inter: [item_id]}", r"unused_col\.inter: item_id is needed"),
        ("--threshold={ratin: 4}", "threshold: no column 'ratin'"),
        ("--threshold={rating: high}", r"threshold\.rating 'high': a number"),
        ("--threshold=4", "threshold: found 4, expected entries"),
        ("--seq_len={price: 2}", "seq_len: column price is of type float; token_seq or float_seq is needed"),
        ("--seq_len={genre: 0}", r"seq_len\.genre 0: a whole number from 1"),
        (
            "--normalize_field=[genre]",
            "normalize_field: column genre is of type token_seq; float or float_seq",
        ),
        ("--normalize_field=[timestamp]", "normalize_field timestamp: time counts from the earliest row"),
        ("--numerical_features=price", "numerical_features 'price': a list of columns"),
        (
            "--discretization={price: {method: ED, bucket: 3}}",
            "discretization 'price': numerical_features does not",
        ),
        ("--alias_of_item_id=[nope]", "alias_of_item_id: no column 'nope'"),
        ("--preload_weight={item_id: nope}", "preload_weight: no column 'nope'"),
        ("--additional_feat_suffix=ent", r"additional_feat_suffix ent: .* has no tiny\.ent"),
        ("--transform=crop_itemseq", "transform crop_itemseq: of histories"),
        ("--benchmark_filename=[train, valid, test]", r"the folder has tiny\.inter"),
    ],
)
def test_an_entry_or_value_that_is_none_is_one_line(rated, argument, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        build(rated, "--load_col=~", "--repeatable=true", argument)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", GIVEN_SPLIT)
def test_what_a_given_split_cannot_have(pre_split, name) -> None:
    values = {
        "rm_dup_inter": "first", "val_interval": "{timestamp: '[0,inf)'}", "filter_inter_by_user_or_item": "false",
        "user_inter_num_interval": "[100,inf)", "item_inter_num_interval": "[1,inf)",
        "eval_args.split": "{LS: valid_and_test}", "eval_args.order": "TO", "eval_args.group_by": "none",
    }  # fmt: skip
    with pytest.raises(InputError, match=f"^{name}: tiny comes split into train, valid and test"):
        build(pre_split, f"--{name}={values[name]}")
    build(pre_split, "--eval_args.mode=full", "--benchmark_filename=[train,valid,test]")
    with pytest.raises(InputError, match="the folder has train, valid and test"):
        build(pre_split, "--benchmark_filename=[train,test,valid]")


def test_files_of_a_split_have_the_same_columns(write_folder, make_dataset, random_rows) -> None:
    path = write_folder(
        {"train": random_rows[:150], "valid": random_rows[150:180], "test": random_rows[180:]}
    )
    file = path / "tiny.valid.inter"
    header, *lines = file.read_text().splitlines()
    file.write_text("\n".join([f"{header}\tlabel:float", *(f"{line}\t1" for line in lines)]) + "\n")
    with pytest.raises(InputError, match="column 'label' is not in each of the three files"):
        make_dataset()


def test_intervals() -> None:
    for text in ("[3,10]", "(0,inf)", "[1,2];(5,9)", None, "[0, 5 ]"):
        check_interval("x", text)
    for text in ("[3,2]", "3,5", "[a,b]", "[1]", "[1,2", "", "[1,2];"):
        with pytest.raises(InputError, match=r"x .*: no interval"):
            check_interval("x", text)


def test_negatives_of_models_that_take_none(rated) -> None:
    for model, arguments, message in (
        ("MultiVAE", "{sample_num: 2}", "MultiVAE is trained on users"),
        ("MMBee", "{dynamic: true, candidate_num: 3}", "MMBee takes the drawn items as they are"),
    ):
        with pytest.raises(InputError, match=message):
            build(rated, f"--train_neg_sample_args={arguments}", model=model)


def test_without_a_gpu_where_it_says_so(rated, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert build(rated, "--use_gpu=false")["device"].type == "cpu"


@pytest.mark.parametrize("model", ["BPR", "MMBee", "SASRec"])
def test_repeatable_ranks_what_a_user_has_had(write_folder, make_dataset, random_rows, model) -> None:
    write_folder(random_rows)
    masked = []
    for given in ({}, {"repeatable": True}):
        config, dataset = make_dataset(model, **given)
        assert repeats(config) == bool(given)
        test = data_preparation(config, dataset)[2]
        masked.append(sum(len(history[1]) for _, history, *_ in test))
    assert masked[0] > 100 and masked[1] == 0


def test_repeatable_draws_anything_but_the_rows_own_item(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    for arguments in ({"sample_num": 40}, {"sample_num": 40, "distribution": "popularity"}):
        config, dataset = make_dataset("BPR", repeatable=True, train_neg_sample_args=arguments)
        train = data_preparation(config, dataset)[0]
        seen = set(train.dataset.positive_keys().tolist())
        rows = [(batch["user_id"], batch["item_id"], batch["neg_item_id"]) for batch in train]
        users, items, negatives = (torch.cat(column) for column in zip(*rows, strict=True))
        assert not (items == negatives).any() and (negatives > 0).all()
        assert np.isin((users * dataset.item_num + negatives).numpy(), list(seen)).any()


def test_of_two_items_the_other_one_is_drawn(write_folder, make_dataset) -> None:
    rows = {"train": [("u", "a")] * 50 + [("u", "b")], "valid": [("u", "b")], "test": [("u", "a")]}
    write_folder(rows, columns=())
    arguments = {"sample_num": 1, "distribution": "popularity", "alpha": 4.0}
    config, dataset = make_dataset("BPR", repeatable=True, train_neg_sample_args=arguments)
    for batch in data_preparation(config, dataset)[0]:
        assert (batch["item_id"] + batch["neg_item_id"] == 3).all()


@pytest.mark.parametrize("model", ["BPR", "MMBee", "SASRec", "DIN"])
def test_columns_that_are_dropped_still_order_and_mask(rated, make_config, model) -> None:
    splits = []
    for dropped in ({}, {"unused_col": {"inter": ["rating", "timestamp"], "user": ["age"]}}):
        given = {"metrics": ["Recall"], "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO"}}
        config = make_config(model, load_col=None, **given, **dropped)
        dataset = MMBeeDataset(config)
        train, valid, test = data_preparation(config, dataset)
        splits.append([part.dataset.positive_keys().tolist() for part in (train, valid, test)])
        fields = set(next(iter(train)).interaction) | set(next(iter(test))[0].interaction)
        assert fields.isdisjoint({"rating", "timestamp", "age"}) == bool(dropped)
    assert splits[0] == splits[1]


def test_shuffle_off_keeps_the_order_of_folds_too(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    graph = {"folds": 2, "fold_by": "pair"}
    for shuffle in (True, False):
        config, dataset = make_dataset("MMBee", shuffle=shuffle, graph=graph, interest="gie")
        train = data_preparation(config, dataset)[0]
        first, second = (torch.cat([batch["item_id"] for batch in train]) for _ in range(2))
        assert torch.equal(first, second) != shuffle


def test_sequential_models_may_be_told_what_they_do_anyway(rated) -> None:
    assert not repeats(build(rated, "--repeatable=false", model="SASRec"))
    assert repeats(build(rated, "--repeatable=true", model="SASRec"))


def test_entries_are_those_of_recboles_defaults() -> None:
    defaults = read_mapping(Path(recbole.__file__).parent / "properties" / "overall.yaml")
    for name in ("train_neg_sample_args", "eval_args"):
        assert set(ENTRIES[name]) == set(defaults[name])
