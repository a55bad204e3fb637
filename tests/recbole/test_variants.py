"""Variants side by side: how they are written, what their rows are called, and that each has its own settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.options import COMPARE, RESUME, RUN, TRAIN, parse_run
from mmbee_plugin.recbole.config.variants import named, separated
from mmbee_plugin.recbole.run import main

TINY = ["--dataset=tiny", "--gpu_id=", "--eval_args={split: {RS: [0.6, 0.2, 0.2]}, order: TO}"]


@pytest.fixture
def folder(tmp_path, monkeypatch, write_folder, random_rows):
    monkeypatch.chdir(tmp_path)
    return write_folder(random_rows)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("MMBee,SIM", ["MMBee", "SIM"]),
        ("MMBee, MMBee content=none ,", ["MMBee", "MMBee content=none"]),
        ("BPR topk=[5,10],SIM", ["BPR topk=[5,10]", "SIM"]),
        ("BPR eval_args={split: {RS: [1,2]}, order: RO},SIM", ["BPR eval_args={split: {RS: [1,2]}, order: RO}", "SIM"]),
        ("", []),
    ],
)  # fmt: skip
def test_a_list_of_variants(text, parts):
    assert separated(text) == parts


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["MMBee", "SIM"], ["MMBee", "SIM"]),
        (["MMBee", "MMBee content=none"], ["MMBee", "MMBee content=none"]),
        (["MMBee content=none epochs=3", "MMBee epochs=3"], ["MMBee content=none", "MMBee"]),
        (["MMBee epochs=3", "SIM epochs=3"], ["MMBee epochs=3", "SIM epochs=3"]),
        (["MMBee graph.top-k=5 seed=1", "MMBee graph.top_k=6 seed=1"], ["MMBee graph.top_k=5", "MMBee graph.top_k=6"]),
        (["MMBee metapaths=a2a,u2a2u", "MMBee interest=~"], ["MMBee metapaths=a2a,u2a2u", "MMBee interest=~"]),
        (["BPR 'eval_args={order: RO}'", "BPR"], ["BPR eval_args.order=RO", "BPR"]),
    ],
)  # fmt: skip
def test_rows_are_named_by_what_differs(texts, names):
    assert [each.name for each in named(texts)] == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MMBe", "model 'MMBe' is not known; did you mean MMBee"),
        ("MMBee content", "variant 'MMBee content': 'content' is not understood; settings are written name=value"),
        ("MMBee contents=none", "variant 'MMBee contents=none': setting 'contents' is not known; did you mean content"),
        ("MMBee 'content=none", "expected a model and its settings"),
        (" ", "expected a model and its settings"),
    ],
)  # fmt: skip
def test_a_variant_that_is_none(text, message):
    with pytest.raises(InputError) as raised:
        named([text])
    assert message in str(raised.value)


def test_the_commands_ask_for_the_same():
    """`mmbee compare` and `--compare`, in any order and both spellings of an option."""
    words = ["BPR", "--dataset", "tiny", "BPR seed=3", "--epochs=2", "--data-path", "there", "Pop"]
    asked = parse_run(words, COMPARE)
    same = ["--epochs=2", "--compare=BPR,BPR seed=3,Pop", "--data_path=there", "--dataset=tiny"]
    assert asked == parse_run(same, RUN)
    assert [variant.name for variant in asked.variants] == ["BPR", "BPR seed=3", "Pop"]
    assert asked.data_path == Path("there") and asked.given == {"epochs": 2}
    assert parse_run(["--model=BPR", "--dataset=a"], TRAIN) == parse_run(["--model=BPR", "--dataset=a"], RUN)
    resumed = parse_run(["a-last.pth", "--epochs=3"], RESUME)
    assert resumed == parse_run(["--epochs=3", "--resume=a-last.pth"], RUN)


@pytest.mark.parametrize(
    ("arguments", "command", "message"),
    [
        (["--model=BPR,Pop", *TINY], TRAIN, "model 'BPR,Pop' is not known"),
        (TINY, COMPARE, "required: VARIANT"),
        (["BPR"], COMPARE, "needs a VARIANT, such as MMBee, and --dataset=NAME"),
        ([], RESUME, "required: CHECKPOINT"),
        (["BPR", "BPR", *TINY], COMPARE, "variants BPR and BPR have the same settings"),
        (["BPR", "BPR embedding_size=64", *TINY], COMPARE, "BPR and BPR embedding_size=64 have the same settings"),
        (["BPR", "Pop topk=[5]", *TINY], COMPARE, "Pop topk=5 has topk [5], BPR [10, 20]: a comparison needs one"),
        (["BPR", "Pop", *TINY, "Pop", "--epoch=1"], COMPARE, "'epoch' is not known"),
    ],
)  # fmt: skip
def test_refused_before_training(folder, capsys, monkeypatch, arguments, command, message):
    monkeypatch.setattr("mmbee_plugin.recbole.run.train_and_test", lambda *_, **__: pytest.fail("trained"))
    assert main(arguments, command) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_a_variants_own_settings_win_over_all_others(folder, capsys):
    Path("mine.yaml").write_text("seed: 5\nmodels: {BPR: {embedding_size: 8}}")
    arguments = ["BPR", "BPR embedding_size=16 seed=7", *TINY, "--config-files=mine.yaml", "--epochs=1"]
    assert main([*arguments, "--print-config"], COMPARE) == 0
    out = capsys.readouterr().out
    plain, own = yaml.safe_load_all(out)
    assert [plain["embedding_size"], plain["seed"], plain["epochs"]] == [8, 5, 1]
    assert [own["embedding_size"], own["seed"], own["epochs"]] == [16, 7, 1]
    assert "embedding_size: 16  # variant BPR embedding_size=16 seed=7\n" in out


def test_variants_of_one_model_are_rows_of_one_table(folder, capsys):
    arguments = ["BPR", "BPR embedding_size=8", *TINY, "--epochs=1", "--train-batch-size=64"]
    assert main([*arguments, "--result=out.json"], COMPARE) == 0
    out = capsys.readouterr().out
    results = json.loads(Path("out.json").read_text())
    assert [(each["name"], each["model"], each["settings"]["embedding_size"]) for each in results] == [
        ("BPR", "BPR", 64),
        ("BPR embedding_size=8", "BPR", 8),
    ]
    assert all(each["settings"]["train_batch_size"] == 64 for each in results)
    assert len({each["checkpoint"] for each in results}) == 2
    assert (
        "\nBPR embedding_size=8  test " in out
        and "\nBPR embedding_size=8: weights of the best epoch in" in out
    )
    assert "Settings of BPR embedding_size=8: " in out and "< variant BPR embedding_size=8\n" in out
