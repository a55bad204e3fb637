from __future__ import annotations

import errno
import json
import os
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmbee_plugin.data import writer
from mmbee_plugin.data.features import bag_from_pairs
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.writer import Interactions, SourceFeatures, write_folder
from mmbee_plugin.errors import InputError


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_what_the_folder_reads(tmp_path, content, pairs):
    content.features["text"] = bag_from_pairs(np.array([0, 1, 2, 3]), np.array([1, 0, 2, 2]), 4, 3)
    write_folder(tmp_path / "toy", content)
    assert _files(tmp_path) == ["toy"]
    assert _files(tmp_path / "toy") == [
        *("dataset.json", "text.npz", "toy.item", "toy.test.inter", "toy.train.inter", "toy.user"),
        *("toy.valid.inter", "visual.npy", "visual.present.npy"),
    ]
    assert (tmp_path / "toy/toy.train.inter").read_text().splitlines()[:2] == [
        "user_id:token\titem_id:token",
        "ann\tw",
    ]
    folder = DatasetFolder(tmp_path / "toy")
    folder.validate_interactions()
    for split, rows in pairs.items():
        read = folder.interactions(split)
        assert list(zip(read.users, read.items, strict=True)) == rows
    assert folder.modalities == {
        "visual": {"file": "visual.npy", "kind": "dense", "width": 2, "missing": 1},
        "text": {"file": "text.npz", "kind": "bag", "vocabulary": 3, "missing": 0},
    }
    assert folder.features("visual").present.tolist() == [True, True, False, True]


def test_description_and_hash(tmp_path, content):
    write_folder(tmp_path / "a" / "toy", content)
    write_folder(tmp_path / "b" / "toy", content)
    first, second = (json.loads((tmp_path / side / "toy/dataset.json").read_text()) for side in "ab")
    assert first == second
    assert first["counts"] == {"users": 3, "items": 4, "interactions": 8, "train": 5, "valid": 2, "test": 1}
    assert (first["ordered"], first["splits"], first["notes"]) == (False, ["train", "valid", "test"], [])
    content.features["visual"].values[0, 0] += 1
    write_folder(tmp_path / "c" / "toy", content)
    assert json.loads((tmp_path / "c/toy/dataset.json").read_text())["hash"] != first["hash"]


def test_one_file_with_time_is_ordered(tmp_path, content):
    times = np.array([1.5, 2.0, 3.0])
    rows = Interactions(np.array([0, 1, 2]), np.array([3, 2, 1]), np.array([1.0, 5.0, 1e300]), times)
    content.interactions = {"": rows}
    write_folder(tmp_path / "toy", content)
    folder = DatasetFolder(tmp_path / "toy")
    assert folder.ordered and folder.splits is None
    read = folder.interactions()
    assert read.ratings.tolist() == [1, 5, 1e300] and read.timestamps.tolist() == times.tolist()


def test_counts_pairs_that_leak_from_training_or_repeat(tmp_path, content):
    content.interactions["valid"] = Interactions(np.array([0, 0, 1]), np.array([0, 2, 1]))
    content.interactions["test"] = Interactions(np.array([1, 1]), np.array([3, 3]))
    write_folder(tmp_path / "toy", content)
    assert DatasetFolder(tmp_path / "toy").warnings == [
        "2 of 3 valid pairs are in training as well; kept as given",
        "1 of 2 test pairs are repetitions; kept as given",
    ]


def test_an_empty_split_is_too_small(tmp_path, content):
    content.interactions["valid"] = Interactions(np.array([], np.int64), np.array([], np.int64))
    with pytest.raises(InputError, match="no valid interaction; the data is too small"):
        write_folder(tmp_path / "toy", content)
    assert not _files(tmp_path)


@pytest.mark.parametrize(("side", "row"), [("users", -1), ("items", -1), ("items", 4)])
def test_a_row_of_nobody_is_not_the_last_ones(tmp_path, content, side, row):
    train = content.interactions["train"]
    getattr(train, side)[1] = row
    with pytest.raises(
        InputError, match=f"train interaction 1: {side[:-1]} row {row} of .* 1 rows name {side}"
    ):
        write_folder(tmp_path / "toy", content)
    assert _files(tmp_path) == []


def test_what_is_easily_given_in_another_form_is_one_line(tmp_path, content):
    def refused(match, **changes):
        rows = content.interactions["train"]
        given = {name: changes.pop(name) for name in ("users", "items", "timestamps") if name in changes}
        parts = content.interactions | {"train": replace(rows, **given)}
        with pytest.raises(InputError, match=match):
            write_folder(tmp_path / "toy", replace(content, interactions=parts, **changes))
        assert _files(tmp_path) == []

    n = len(content.interactions["train"])
    dates = np.full(n, "2024-03-11")
    refused(r"times are of <U10, expected seconds since 1970: \(pd\.to_datetime", timestamps=dates)
    refused(r"times are of datetime64", timestamps=dates.astype("datetime64[ns]"))
    refused(r"train interaction 0: time 1\.7e\+12.* not milliseconds", timestamps=np.full(n, 1.7e12))
    refused(r"time nan, expected seconds", timestamps=np.full(n, np.nan))
    refused(r"item rows are of float64.*get_indexer", items=np.zeros(n))
    refused(r"user rows are of list", users=[0] * n)
    short = {"visual": SourceFeatures(np.ones((3, 2)), "v.npy")}
    refused(r"visual has 3 rows for 4 items; items without features need a row too", features=short)


@pytest.mark.parametrize(
    ("tokens", "match"),
    [(["a", "b", "c", "a"], "item token 'a' stands for 2 rows"), (["a", "", "c", None], "item 1 has no token; 2 are"),
     (["a", "b", float("nan"), "d"], "item 2 has no token; 1 are")],
)  # fmt: skip
def test_a_token_names_one_row(tmp_path, content, tokens, match):
    content.items = tokens
    with pytest.raises(InputError, match=match):
        write_folder(tmp_path / "toy", content)


def test_real_data_is_replaced_with_force_only_and_a_sample_always(tmp_path, content):
    folder = tmp_path / "toy"
    content.kind = "sample"
    write_folder(folder, content)
    content.kind = "real"
    write_folder(folder, content)
    with pytest.raises(InputError, match="--force replaces it"):
        write_folder(folder, content)
    content.source = "the second"
    write_folder(folder, content, force=True)
    assert DatasetFolder(folder).source == "the second"
    (folder / "dataset.json").unlink()  # somebody's own files
    with pytest.raises(InputError, match="--force replaces it"):
        write_folder(folder, content)
    assert _files(tmp_path) == ["toy"]


def test_a_folder_of_something_else_is_never_replaced(tmp_path, content):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="no dataset folder"):
        write_folder(tmp_path / "home", content, force=True)
    with pytest.raises(InputError, match="is not a folder"):
        write_folder(tmp_path / "home" / "thesis.tex", content, force=True)
    assert _files(tmp_path / "home") == ["thesis.tex"]


def test_bad_features_leave_the_old_data(tmp_path, content):
    write_folder(tmp_path / "toy", content)
    content.features["visual"] = SourceFeatures(np.full((4, 2), np.nan), "v.npy")
    with pytest.raises(InputError, match=r"v\.npy, row 0, column 0: nan"):
        write_folder(tmp_path / "toy", content, force=True)
    assert (
        _files(tmp_path) == ["toy"] and DatasetFolder(tmp_path / "toy").features("visual").values[1, 0] == 2
    )


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_full_disk_or_an_interruption_leaves_nothing(tmp_path, content, monkeypatch, failure):
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(writer, "content_hash", fail)
    with pytest.raises(InputError if isinstance(failure, OSError) else KeyboardInterrupt) as caught:
        write_folder(tmp_path / "toy", content)
    assert not _files(tmp_path)
    if isinstance(failure, OSError):
        assert "(No space left on device); nothing was changed" in str(caught.value)


@pytest.mark.parametrize("limit", [10, 100, 1_000, 10_000])
def test_a_file_that_does_not_fit_leaves_nothing(tmp_path, content, limit):
    content.features = {
        "text": bag_from_pairs(np.arange(1_500) % 4, np.zeros(1_500, np.int64), 4, 1),
        "visual": SourceFeatures(np.ones((4, 10_000), np.float32), "v"),
    }
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(InputError, match=r"cannot be written \(File too large\); nothing was changed"):
            write_folder(tmp_path / "toy", content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not _files(tmp_path)


def test_a_failed_swap_puts_the_old_data_back(tmp_path, content, monkeypatch):
    write_folder(tmp_path / "toy", content)
    replace = os.replace

    def fail_second(source: Path, target: Path) -> None:
        if ".writing-" in str(source):
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail_second)
    with pytest.raises(InputError, match="nothing was changed"):
        write_folder(tmp_path / "toy", content, force=True)
    assert _files(tmp_path) == ["toy"]
    DatasetFolder(tmp_path / "toy").validate_interactions()


def test_cannot_write(tmp_path, content):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_folder(tmp_path / "file" / "toy", content)
