"""RecBole's dataset has the rows, tokens and texts that the folder has, whatever stands in the files."""

from __future__ import annotations

import pytest
import torch

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.run import main

ODD = [
    '"Weird Al live',
    'UHF" soundtrack',
    '"Great" film',
    "NA",
    "null",
    "# 1",
    "a,b",
    "'x",
    '"',
    "007",
    "1e5",
]


@pytest.fixture
def write_odd(write_folder, random_rows):
    """A folder whose items have one of `ODD` for a title and a genre, its lines ending as told."""

    def write(odd=ODD, end: str = "\n", mark: str = "", ratings: bool = False):
        path = write_folder(random_rows)
        lines = ["item_id:token\ttitle:token_seq\tgenre:token\tprice:float"]
        lines += [f"i{i}\t{odd[i % len(odd)]}\t{odd[i % len(odd)]}\t{i / 2 if i else ''}" for i in range(40)]
        (path / "tiny.item").write_bytes((mark + end.join([*lines, ""])).encode())
        inter = (path / "tiny.inter").read_text().splitlines()
        inter = [f"{line}\t{odd[n % len(odd)] if n else 'review:token'}" for n, line in enumerate(inter)]
        (path / "tiny.inter").write_bytes((mark + end.join([*inter, "", ""])).encode())
        return path

    return write


@pytest.mark.parametrize("model", ["BPR", "MMBee"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_texts_are_kept_as_they_are(write_odd, make_dataset, random_rows, model, end, mark) -> None:
    write_odd(end=end, mark=mark)
    _, dataset = make_dataset(model, load_col=None)
    assert len(dataset.inter_feat) == len(random_rows)
    assert dataset.item_num == 41 and dataset.user_num == 31
    dataset.build()
    genres = dataset.id2token("genre", dataset.item_feat["genre"])
    titles = dataset.item_feat["title"]
    for item in range(40):
        place = dataset.token2id("item_id", f"i{item}")
        assert genres[place] == ODD[item % len(ODD)]
        words = [word for word in dataset.id2token("title", titles[place]).tolist() if word != "[PAD]"]
        assert " ".join(words) == ODD[item % len(ODD)]
    assert set(dataset.field2id_token["review"][1:]) == set(ODD)
    prices = dataset.item_feat["price"]
    place = dataset.token2id("item_id", ["i0", "i1", "i39"])
    assert prices[place].tolist() == pytest.approx([10.0, 0.5, 19.5]), (
        "an empty number is the mean of the others"
    )


def test_an_empty_text_is_missing(write_odd, make_dataset) -> None:
    write_odd(odd=["", "x y"])
    _, dataset = make_dataset(load_col=None)
    dataset.build()
    place = dataset.token2id("item_id", ["i0", "i1"])
    assert dataset.item_feat["genre"][place].tolist() == [0, 1]
    assert [int((row > 0).sum()) for row in dataset.item_feat["title"][place]] == [0, 2]


def test_odd_texts_change_no_figure(write_odd, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_odd()
    figures = []
    for columns in ("{inter: [user_id, item_id]}", "~"):
        split = "--eval_args={split: {RS: [0.6, 0.2, 0.2]}}"
        assert (
            main(["--model=BPR", "--dataset=tiny", "--epochs=1", "--gpu_id=", split, f"--load_col={columns}"])
            == 0
        )
        out = capsys.readouterr().out
        figures.append([line.split()[2:8] for line in out.splitlines() if line.startswith("BPR ")])
        assert "30 users x 40 items" in out
    assert figures[0] == figures[1]


def test_numbers_in_sequences_and_their_length(write_folder, make_dataset, random_rows) -> None:
    path = write_folder(random_rows)
    rows = [f"i{i}\t{' '.join(str(i / 4 + k) for k in range(i % 4))}" for i in range(40)]
    (path / "tiny.item").write_text("\n".join(["item_id:token\tcurve:float_seq", *rows]) + "\n")
    for length, expected in ((None, [0.75, 1.75, 2.75]), ({"curve": 2}, [0.75, 1.75])):
        _, dataset = make_dataset(load_col=None, seq_len=length)
        dataset.build()
        assert dataset.item_feat["curve"][dataset.token2id("item_id", "i3")].tolist() == expected
    (path / "tiny.item").write_text(
        "item_id:token\tcurve:float_seq\n" + "".join(f"i{i}\t1 x\n" for i in range(40))
    )
    with pytest.raises(
        InputError, match=r"tiny\.item, row 1, column curve:float_seq: '1 x' holds no numbers"
    ):
        make_dataset(load_col=None)


def test_labels_are_there_and_are_numbers(write_folder, make_dataset, random_rows) -> None:
    rows = [(*row[:2], "" if number == 3 else 1, row[2]) for number, row in enumerate(random_rows)]
    write_folder(rows, columns=("label:float", "timestamp:float"))
    with pytest.raises(InputError, match=r"column label: 1 of \d+ rows have no value, the first is row 4"):
        make_dataset()
    write_folder(
        [(*row[:2], 1, row[3]) for row in rows], name="text", columns=("label:token", "timestamp:float")
    )
    with pytest.raises(InputError, match="column label: labels are of type float, found token"):
        make_dataset(dataset="text")


LABELLED = {
    "eval_args": {"split": {"RS": [0.5, 0.25, 0.25]}, "order": "RO", "mode": "labeled"},
    "train_neg_sample_args": None,
    "loss": "bce",
    "interest": "none",
}


@pytest.mark.parametrize("metric", ["AUC", "GAUC", "UAUC", "LogLoss", "MAE", "RMSE"])
@pytest.mark.parametrize("field", [{}, {"LABEL_FIELD": "rating"}])
def test_labels_are_0_or_1_whatever_is_printed(
    write_folder, make_dataset, random_rows, metric, field
) -> None:
    name = "rating" if field else "label"
    rows = [(*row[:2], 1 + row[2] % 5, row[2]) for row in random_rows]
    write_folder(rows, columns=(f"{name}:float", "timestamp:float"))
    with pytest.raises(InputError, match=f"column {name}: label 2.0 is neither 0 nor 1; set threshold"):
        make_dataset("MMBee", metrics=[metric], valid_metric=metric, **LABELLED, **field)
    _, dataset = make_dataset(
        "MMBee", metrics=[metric], valid_metric=metric, threshold={name: 4}, **LABELLED, **field
    )
    assert set(dataset.build()[0].inter_feat[dataset.label_field].tolist()) == {0, 1}


def test_ranking_reads_no_labels_but_their_sign(write_folder, make_dataset, random_rows) -> None:
    write_folder(
        [(*row[:2], 1 + row[2] % 5, row[2]) for row in random_rows],
        columns=("label:float", "timestamp:float"),
    )
    assert make_dataset("BPR")[1].build()[0].positive_rows().all()


@pytest.mark.parametrize(("bound", "missing"), [(0, 0), (9, 1)])
def test_labels_of_one_class_are_refused(write_folder, make_dataset, random_rows, bound, missing) -> None:
    rows = [(*row[:2], 1 + row[2] % 5, row[2]) for row in random_rows]
    write_folder(rows, columns=("rating:float", "timestamp:float"))
    _, dataset = make_dataset(
        "MMBee", metrics=["LogLoss"], valid_metric="LogLoss", threshold={"rating": bound}, **LABELLED
    )
    with pytest.raises(InputError, match=f"no training row has label {missing}; check threshold"):
        dataset.build()


def test_auc_of_one_class_is_refused(write_folder, make_dataset) -> None:
    labels = {"train": [0, 1] * 10, "valid": [1] * 6, "test": [0, 1] * 3}
    parts = {
        name: [(f"u{n}", f"i{n}", label) for n, label in enumerate(part)] for name, part in labels.items()
    }
    write_folder(parts, columns=("label:float",))
    given = {**LABELLED, "eval_args": {"mode": "labeled"}}
    _, dataset = make_dataset("MMBee", metrics=["AUC"], valid_metric="AUC", **given)
    with pytest.raises(InputError, match="no valid row has label 0"):
        dataset.build()
    make_dataset("MMBee", metrics=["LogLoss"], valid_metric="LogLoss", **given)[1].build()


@pytest.mark.parametrize("model", ["MMBee", "FM"])
def test_no_labels_to_learn_or_to_measure(write_folder, make_dataset, random_rows, model) -> None:
    write_folder(random_rows)
    with pytest.raises(InputError, match="tiny: no column 'label' of labels"):
        make_dataset(model, metrics=["AUC"], valid_metric="AUC", **LABELLED)


def test_aliases_bring_no_users(write_folder, make_dataset, random_rows) -> None:
    rows = [(*row[:2], f"u{number}", row[2]) for number, row in enumerate(random_rows)]
    write_folder(rows, columns=("friend:token", "timestamp:float"))
    with pytest.raises(InputError, match="alias_of_user_id: its columns have users that tiny does not"):
        make_dataset(load_col=None, alias_of_user_id=["friend"])
    write_folder(
        [(*row[:2], "u1", row[3]) for row in rows], name="known", columns=("friend:token", "timestamp:float")
    )
    _, dataset = make_dataset(dataset="known", load_col=None, alias_of_user_id=["friend"])
    dataset.build()
    assert (dataset.inter_feat["friend"] == dataset.token2id("user_id", "u1")).all()
    assert isinstance(dataset.inter_feat["friend"], torch.Tensor)
