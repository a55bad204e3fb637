from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.builtin import sample
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import convert
from mmbee_plugin.data.inspect.info import read_info, report
from mmbee_plugin.data.inspect.leaks import item_order, older_rows, shared_pairs
from mmbee_plugin.data.inspect.picture import check_picture, drawn
from mmbee_plugin.data.writer import Interactions, write_folder
from mmbee_plugin.errors import InputError


def _part(*pairs, times=None):
    users, items = np.array(pairs).T
    return Interactions(users, items, timestamps=None if times is None else np.array(times, dtype=float))


def test_counts_degrees_and_features(content, tmp_path):
    write_folder(tmp_path / "toy", content)
    info = read_info(DatasetFolder(tmp_path / "toy"))
    assert info.user_degrees.tolist() == [2, 1, 2] and info.item_degrees.tolist() == [2, 2, 0, 1]
    lines = report(info)
    assert "sparsity 33.3333% (6.67e-01 of 12 cells filled)" in lines
    assert [line.split() for line in lines if line.startswith(("train", "valid  "))] == [
        ["train", "5", "5", "3", "3", "0", "0"],
        ["valid", "2", "2", "2", "2", "0", "1"],
    ]
    assert any(line.split()[:5] == ["per", "item", "1", "1.25", "0"] for line in lines)
    assert any(line.startswith("visual: dense, float32 of width 2; missing 1 of 4") for line in lines)
    assert any(line.startswith("test over 1 users: recall@10 1.0000") for line in lines)


def test_leaks_are_said():
    train, held_out = _part((0, 0), (0, 3), (1, 2)), _part((0, 3), (0, 3), (1, 1))
    lines = shared_pairs({"train": train, "valid": held_out, "test": _part((1, 1))}, 9)
    assert lines == [
        "warning: 1 of 2 valid pairs are in train as well",
        "0 of 1 test pairs are in train as well",
        "warning: 1 of 1 test pairs are in valid as well",
    ]


def test_rows_older_than_training():
    train = _part((0, 0), (0, 3), (1, 2), times=[10, 20, 5])
    held_out = _part((0, 1), (1, 1), (2, 1), times=[15, 5, 1])
    line = older_rows(train, held_out, "valid", 3)
    assert line == "warning: 1 of 3 valid rows are older than their user's newest training row"
    assert older_rows(_part((0, 0)), held_out, "valid", 3) is None


def test_data_cut_in_the_order_of_the_items_is_said():
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.choice(500, 4, replace=False)) for _ in range(200)]
    train = _part(*((user, item) for user, items in enumerate(rows) for item in items[:3]))
    cut = _part(*((user, items[3]) for user, items in enumerate(rows)))
    found = item_order(train, cut, 200, 500)
    assert (found.held_out, found.above, found.below, found.chance) == (200, 1, 0, 0.25)
    assert found.surprise == pytest.approx(0.75 / np.sqrt(0.25 * 0.75 / 200))
    assert found.line("test") == (
        "warning: order artefact: 1.000 of 200 test items have a higher number than all training items of their user, "
        "0.000 a lower one; by chance 0.250, 24 standard deviations less"
    )
    upside_down = [Interactions(part.users, 499 - part.items) for part in (train, cut)]
    found = item_order(*upside_down, 200, 500)
    assert (found.above, found.below) == (0, 1) and found.line("test").startswith("warning: order artefact")
    assert item_order(train, train, 200, 500) is None


def test_items_in_no_order_are_no_artefact():
    rng = np.random.default_rng(0)
    rows = [rng.choice(500, rng.integers(2, 9), replace=False) for _ in range(2_000)]
    train = _part(*((user, item) for user, items in enumerate(rows) for item in items[1:]))
    found = item_order(train, _part(*((user, items[0]) for user, items in enumerate(rows))), 2_000, 500)
    assert found.above == pytest.approx(found.chance, abs=0.03) and found.below == pytest.approx(
        found.chance, abs=0.03
    )
    assert found.line("valid").startswith("order of items: ")


def test_the_generated_sample_is_without_leaks(tmp_path):
    info = read_info(sample.ensure("tiktok", tmp_path))
    assert not [line for line in info.leaks if line.startswith("warning")] and len(info.leaks) == 5
    assert report(info)[-1] == sample.GET_REAL and "text: bag" in "\n".join(report(info))


def test_one_file_is_split_by_time(tmp_path):
    (tmp_path / "d").mkdir()
    rows = [f"{user}\t{item}\t{100 - item}\n" for user in "ab" for item in range(10)]
    (tmp_path / "d" / "d.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(rows))
    info = read_info(DatasetFolder(tmp_path / "d"))
    assert {name: len(part) for name, part in info.parts.items()} == {"train": 16, "valid": 2, "test": 2}
    assert set(info.parts["test"].items) == {0}
    lines = report(info)
    assert (
        "Split: 80/10/10 of each user's rows, by time, the newest held out" in lines
        and "no features" in lines
    )
    assert "0 of 2 test rows are older than their user's newest training row" in lines


def test_nan_that_came_later_is_counted(content, tmp_path):
    write_folder(tmp_path / "toy", content)
    values = np.load(tmp_path / "toy" / "visual.npy")
    values[1, 0] = np.nan
    np.save(tmp_path / "toy" / "visual.npy", values)
    assert read_info(DatasetFolder(tmp_path / "toy")).features["visual"].not_finite == 1


def test_live_data_counts_gifts(live_path):
    info = read_info(DatasetFolder(live_path))
    gifts = int(info.folder.rows("train").labels.sum())
    assert info.item_degrees.sum() == len(info.parts["train"]) == gifts and info.samples["train"] == 600
    text = "\n".join(report(info))
    assert "the counts below are of gifts" in text and "samples that are gifts: train" in text
    assert "speech: dense, float16 of width 1 x 3" in text and "visual: dense, float16 of width 3 x 4" in text
    assert set(info.popularity["test"]) == {"auc", "uauc", "gauc"}


def test_the_picture_has_degrees_concentration_and_the_baseline(content, tmp_path):
    pytest.importorskip("plotly")
    write_folder(tmp_path / "toy", content)
    charts = drawn(read_info(DatasetFolder(tmp_path / "toy")))
    assert [heading for heading, *_ in charts] == [
        "Degrees",
        "Concentration",
        "Sizes of features",
        "Popularity baseline",
    ] and all(caption for _, caption, _ in charts)
    names = {trace.name for *_, figure in charts for trace in figure.data}
    assert {"users", "items", "visual", "valid", "test"} <= names


@pytest.mark.parametrize(
    ("name", "message"), [("a.png", "is an .html file"), ("no/a.html", "no such folder")]
)
def test_where_no_picture_can_be(tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        check_picture(tmp_path / name)


def test_the_authors_own_tiktok_sample_leaks(real, tmp_path):
    info = read_info(convert("mmgcn", real("mmgcn-toy") / "tiktok", tmp_path / "tiktok"))
    assert info.leaks[:2] == [
        "warning: 212 of 212 valid pairs are in train as well",
        "warning: 10 of 170 test pairs are in train as well",
    ]


def test_the_real_small_tiktok_is_cut_in_the_order_of_its_items(real, tmp_path):
    info = read_info(convert("hkuds", real("tiktok-hkuds"), tmp_path / "tiktok"))
    warnings = [line for line in info.leaks if line.startswith("warning")]
    assert len(warnings) == 2 and warnings[0].startswith(
        "warning: order artefact: 1.000 of 1,523 valid items"
    )
    assert "0.000 a lower one; by chance 0.374" in warnings[0]
    assert info.popularity["test"]["recall@20"] == pytest.approx(0.0649, abs=5e-5)
