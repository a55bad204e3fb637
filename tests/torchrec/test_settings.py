"""A job's settings: what is wrong is one line that names the entry, before anything starts."""

import json
import re
from pathlib import Path

import pytest

from mmbee_plugin.command.yaml_settings import replace_entry
from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec import graphcl, train
from mmbee_plugin.torchrec.settings import (
    Settings,
    parse_settings,
    read_settings,
)
from mmbee_plugin.torchrec.shards.settings import read_shard_settings

CONFIGS = Path(__file__).parents[2] / "torchrec_configs"


def with_shards(**sections):
    return {"data": {"shards": "shards/tiktok"}, **sections}


def refused(content):
    with pytest.raises(InputError) as error:
        parse_settings(content, "job.yaml")
    message = str(error.value)
    assert message.startswith("job.yaml: ") and "\n" not in message
    return message


def test_the_folder_is_the_only_setting_without_a_default():
    settings = parse_settings(with_shards(), "job.yaml")
    assert settings == Settings.model_validate({"data": {"shards": "shards/tiktok"}})
    assert "data.shards" in refused({"data": {}})


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.name)
def test_the_configs_that_come_along_are_valid(path):
    read_settings(path)


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("model.num_queries=3", "model.num_queries 3: nothing reads it, since model.content is none"),
        ("--model.searched=3", "model.searched 3: nothing reads it, since model.backbone is mean"),
        (
            "tables={query: {learning_rate: 0.3}}",
            "tables.query.learning_rate 0.3: nothing reads it, since model.content is",
        ),
        (
            "tables.user.optimizer=adam",
            "tables.user.optimizer adam: nothing reads it, since model.user_ids is false",
        ),
        ("train.patience=3", "train.patience 3: nothing reads it, since train.eval_every is 0"),
    ],
)
def test_an_override_that_nothing_reads_is_refused_and_an_entry_of_the_file_is_not(tmp_path, override, line):
    file = tmp_path / "job.yaml"
    replace_entry(
        content := with_shards(model={"content": "none", "user_ids": False}, train={"eval_every": 0}),
        override,
    )
    file.write_text(json.dumps(content))
    read_settings(file)
    with pytest.raises(InputError, match=re.escape(line)):
        read_settings(file, [override])
    with pytest.raises(InputError, match=re.escape(line)):
        read_settings(file, [override, "train.epochs=3"])


def test_an_override_with_what_reads_it_is_taken(tmp_path):
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(with_shards(model={"content": "none"})))
    read_settings(
        file,
        ["model.content=mfq", "model.num_queries=3", "tables.query.learning_rate=0.3", "train.patience=2"],
    )
    read_settings(file, ["model.use_queries=false", "tables.user.optimizer=adam", "model.embedding_size=8"])


@pytest.mark.parametrize(
    ("job", "override", "refused_in"),
    [
        (
            train,
            "graphcl.epochs=3",
            "graphcl.epochs: mmbee_plugin.torchrec.train does not read it; it reads data, model,",
        ),
        (
            graphcl,
            "train.epochs=3",
            "train.epochs: mmbee_plugin.torchrec.graphcl does not read it; it reads data, graphcl",
        ),
        (graphcl, "tables.nodes.optimizer=sgd", "tables.nodes.optimizer: "),
        (train, "train.epochs=3", None),
        (graphcl, "graphcl.epochs=3", None),
        (graphcl, "model.embedding_size=8", None),
        (graphcl, "tables.nodes.sharding=row_wise", None),
    ],
)
def test_a_job_refuses_sections_of_another(tmp_path, monkeypatch, job, override, refused_in):
    class StartedError(Exception):
        pass

    def started(*_):
        raise StartedError

    monkeypatch.setattr("mmbee_plugin.torchrec.training.loop.train", started)
    monkeypatch.setattr("mmbee_plugin.torchrec.node_vectors.training.train_nodes", started)
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps(with_shards(graphcl={"epochs": 2}, train={"epochs": 2})))
    monkeypatch.setattr("sys.argv", ["job", "--config", str(file), override])
    if refused_in is None:
        with pytest.raises(StartedError):
            job.main()
    else:
        with pytest.raises(InputError, match=re.escape(refused_in)):
            job.main()


def test_shards_refuse_what_nothing_reads():
    with pytest.raises(
        InputError, match=r"graph\.visits 0\.5: nothing reads it, since graph\.reach_top_k is 0"
    ):
        read_shard_settings(["--graph.visits=0.5", "--graph.reach_top_k=0"])
    with pytest.raises(InputError, match=r"graphcl\.epochs 3: nothing reads it, since node_tables is fresh"):
        read_shard_settings(["--node_tables=fresh", "--graphcl.epochs=3"])
    with pytest.raises(
        InputError, match=r"graph\.fold_seed 3: nothing reads it, since graph.fold_by is time"
    ):
        read_shard_settings(["--graph.fold_seed=3"], live=True)
    read_shard_settings(
        ["--graph.fold_seed=3", "--graph.visits=0.5", "--category_field=genre", "--graphcl.epochs=3"]
    )


def test_settings_survive_the_way_through_a_checkpoint():
    settings = parse_settings(
        with_shards(tables={"query": {"sharding": "row_wise"}}, model={"hidden": [32, 16]}), "job.yaml"
    )
    assert parse_settings(settings.model_dump(mode="json"), "state.json") == settings


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (with_shards(model={"widht": 64}), ("model.widht: no such setting; did you mean width?",)),
        (with_shards(optimiser={}), ("optimiser", "no such setting")),
        (with_shards(tables={"users": {}}), ("tables.users", "no such setting")),
        (
            with_shards(train={"batch_size": "512"}),
            ("train.batch_size: found '512', expected a whole number of at least 1",),
        ),
        (
            with_shards(train={"batch_size": 0}),
            ("train.batch_size 0 is out of range, expected a whole number of at least 1",),
        ),
        (with_shards(train={"precision": "fp16"}), ("unknown train.precision 'fp16'; known: fp32, bf16",)),
        (
            with_shards(model={"dropout": 1.0}),
            ("model.dropout 1.0 is out of range, expected a number of at least 0 and less than 1",),
        ),
        (with_shards(model={"hidden": [200]}), ("model.hidden: found [200], expected a list of 2 whole",)),
        (with_shards(model={"backbone": "gru"}), ("unknown model.backbone 'gru'; known: sim",)),
        (with_shards(model={"pooling": "union"}), ("unknown model.pooling 'union'; known: concat, set",)),
        (
            with_shards(model={"neighbour_weights": "off"}),
            ("model.neighbour_weights: found 'off', expected true or false",),
        ),
        (
            with_shards(model={"metapaths": ["u2b"]}),
            ("model.metapaths: metapath 'u2b': expected one to three",),
        ),
        (with_shards(model={"metapaths": ["u2a", "u2a"]}), ("model.metapaths: 'u2a' is listed twice",)),
        (
            with_shards(train={"topk": []}),
            ("train.topk: found [], expected a list of whole numbers of at least 1",),
        ),
        (
            with_shards(train={"topk": [0]}),
            ("train.topk 0 is out of range, expected a list of whole numbers of at least 1",),
        ),
    ],
)
def test_unknown_keys_and_wrong_types_are_named(content, named):
    message = refused(content)
    assert all(part in message for part in named), message


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (
            with_shards(tables={"user": {"sharding": "column_wise"}}),
            ("tables.user", "column_wise with rowwise_adagrad"),
        ),
        (
            with_shards(model={"interest": "bdr", "user_ids": False}),
            ("model", "bdr reads users' id vectors"),
        ),
        (with_shards(model={"width": 66}), ("model", "width 66 is no multiple of heads 4")),
        (with_shards(model={"mfq_width": 66}), ("model", "mfq_width 66 is no multiple of heads 4")),
        (with_shards(model={"query_start": "zeros"}), ("model", "'zeros'; known: random, author")),
        (with_shards(model={"shared_queries": 1}), ("model.shared_queries",)),
        (with_shards(train={"negatives": 0}), ("loss softmax needs train.negatives",)),
    ],
)
def test_impossible_combinations_are_named(content, named):
    message = refused(content)
    assert all(part in message for part in named), message


def test_arguments_replace_entries(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("data: {shards: shards/tiktok}\ntrain: {epochs: 3}\n")
    settings = read_settings(
        path, ["train.batch_size=64", "--model.metapaths=[a2a]", "tables.user.sharding=row_wise"]
    )
    assert (settings.train.epochs, settings.train.batch_size) == (3, 64)
    assert settings.model.metapaths == ("a2a",) and settings.tables.user.sharding == "row_wise"


@pytest.mark.parametrize(
    "argument", ["epochs=3", "train.epochs", "data.shards.deep=1", "train.epochs=[", "train.epoch=3"]
)
def test_arguments_that_mean_nothing_are_named(tmp_path, argument):
    path = tmp_path / "job.yaml"
    path.write_text("data: {shards: shards/tiktok}\n")
    with pytest.raises(InputError, match=argument.partition("=")[0].replace(".", r"\.")):
        read_settings(path, [argument])


@pytest.mark.parametrize("content", [None, "data: [", "- data", "", b"\xff\xfe"])
def test_files_that_are_no_settings_are_named(tmp_path, content):
    path = tmp_path / "job.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=r"job\.yaml(, line 1)?: "):
        read_settings(path)


def test_numbers_are_read_as_on_the_recbole_side(tmp_path):
    path = tmp_path / "job.yaml"
    path.write_text("data: {shards: s}\ntrain: {weight_decay: 1e-5}\n")
    train = read_settings(path, ["train.learning_rate=1e-3"]).train
    assert (train.learning_rate, train.weight_decay) == (0.001, 1e-5)
    path.write_text("data: {shards: s}\ntrain: {epochs: 1}\ntrain: {epochs: 2}\n")
    with pytest.raises(InputError, match=r"job\.yaml, line 3: not valid YAML: 'train' is there twice"):
        read_settings(path)


@pytest.mark.parametrize(
    ("text", "names"),
    [("clip.vit", ("clip.vit",)), ("1,on", ("1", "on")), ("[a b, 'c,d']", ("a b", "c,d")), ("null", None)],
)
def test_names_are_listed_with_and_without_brackets(text, names):
    content = {"data": {"shards": "x"}}
    replace_entry(content, f"model.modalities={text}")
    assert parse_settings(content, "test").model.modalities == names
    assert read_shard_settings([f"--modalities={text}"]).modalities == names
