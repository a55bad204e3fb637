"""Export and import: RecBole's MMBee scores with the weights of a TorchRec job as that job does, and back."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.modules.exchange import read_exchange, write_exchange
from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.checkpoints import checkpoint
from mmbee_plugin.torchrec.checkpoints.checkpoint import StepState
from mmbee_plugin.torchrec.checkpoints.export import export_checkpoint, import_exchange
from mmbee_plugin.torchrec.processes.launch import process_group
from mmbee_plugin.torchrec.settings import Settings, parse_settings
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.training.loop import Trainer, train

WIDTH = 16
CPU = torch.device("cpu")


def job(shards: Path, folder: Path, **model: Any) -> Settings:
    content = {
        "data": {"shards": str(shards)},
        "model": {"width": WIDTH, **model},
        "checkpoint": {"folder": str(folder)},
    }
    return parse_settings(content, "test")


def trained(settings: Settings) -> TrainModel:
    """A model on one process, whole tables, no weight where it started."""
    torch.manual_seed(0)
    model = TrainModel(Inputs.of(settings.model, open_store(settings)), device=CPU)
    for value in model.state_dict().values():
        value.copy_(0.1 * torch.randn_like(value))
    return model.eval()


def scores(model: TrainModel, settings: Settings) -> torch.Tensor:
    """(n_users, n_authors) logits, by row."""
    store = open_store(settings)
    maker = BatchMaker(store, settings)
    with torch.no_grad():
        users = model.encode_users(maker.users(np.arange(store.n_users)))
        authors = model.encode_authors(maker.authors(np.arange(store.n_authors)))
        return model.scorer.gtr.score_all(users, authors)


def publish(model: TrainModel, settings: Settings) -> Path:
    state = StepState(3, 0, 99, settings.model_dump(mode="json"), 1)
    return checkpoint.save(Path(settings.checkpoint.folder), state, model, None)


@pytest.fixture(scope="module")
def recbole_model(sample_folder, tmp_path_factory):
    """Builds RecBole's MMBee on the sample with the graph of the shards; returns it with its dataset."""
    from recbole.data.utils import data_preparation
    from recbole.utils import get_model, init_seed

    import mmbee_plugin.recbole  # noqa: F401  (registers with RecBole)
    from mmbee_plugin.recbole.data.dataset import MMBeeDataset
    from mmbee_plugin.recbole.run import build_config

    def build(**settings: Any) -> tuple[Any, Any]:
        chosen = {
            "embedding_size": WIDTH,
            "user_ids": True,
            "backbone": "mean",
            "metapaths": list(PAPER_METAPATHS),
            "num_queries": 4,
            "MAX_ITEM_LIST_LENGTH": 50,
            "gpu_id": "",
            "show_progress": False,
            "graphcl": {"epochs": 1},
            "graph": {"folds": 3, "fold_by": "order", "reach_top_k": 50},
            "checkpoint_dir": str(tmp_path_factory.mktemp("saved")),
        }
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["pytest"])
            patch.chdir(tmp_path_factory.mktemp("cwd"))
            config = build_config("MMBee", sample_folder, chosen | settings)
            init_seed(config["seed"], True)
            train = data_preparation(config, MMBeeDataset(config))[0]
            return get_model("MMBee")(config, train.dataset).eval(), train.dataset

    return build


def ranked(model: Any, dataset: Any) -> torch.Tensor:
    """(n_users, n_authors) logits of RecBole's model, by row of the files."""
    from recbole.data.interaction import Interaction

    users = torch.arange(1, dataset.user_num)
    rows = torch.from_numpy(dataset.user_rows[1:]), torch.from_numpy(dataset.item_rows[1:])
    with torch.no_grad():
        logits = model.full_sort_predict(Interaction({"user_id": users, "item_id": torch.ones_like(users)}))
    by_row = torch.empty(len(users), dataset.item_num - 1)
    by_row[rows[0][:, None], rows[1]] = logits.view(len(users), -1)[:, 1:]
    return by_row


@pytest.mark.parametrize(
    ("other", "line"),
    [
        ({"top_k": 20}, "graph.top_k=50, this one has graph.top_k=20"),
        ({"normalisation": "symmetric"}, "graph.normalisation='row', this one has"),
        ({"exclude_own": False}, "graph.exclude_own=True, this one has"),
        ({"reach_inner": 20}, "graph.reach_inner="),
        ({"folds": 0}, None),  # which training alone reads
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_neighbours_from_a_graph_of_other_settings_are_refused(
    sample_shards, recbole_model, tmp_path, other, line
):
    from mmbee_plugin.recbole.exchange import load_exchange

    settings = job(sample_shards, tmp_path / "job", content="none", node_tables="fresh")
    exchange = export_checkpoint(publish(trained(settings), settings), tmp_path / "weights.pt")
    own = {"folds": 3, "fold_by": "order", "reach_top_k": 50, **other}
    ours, dataset = recbole_model(content="none", node_tables="fresh", graph=own)
    if line is None:
        load_exchange(ours, dataset, tmp_path / "weights.pt")
        return
    with pytest.raises(InputError, match=line):
        load_exchange(ours, dataset, tmp_path / "weights.pt")
    del exchange.settings["graph"]  # as in files from before
    write_exchange(tmp_path / "before.pt", exchange)
    load_exchange(ours, dataset, tmp_path / "before.pt")


@pytest.mark.parametrize(
    "parts",
    [
        {"dropout": 0.3, "history_dropout": 0.1},
        {"backbone": "sim", "head": "mlp", "content": "concat"},
        {"pooling": "set", "neighbour_weights": False, "content": "none"},
        {"shared_queries": False, "mfq_width": 8},
    ],
    ids=["mfq", "sim", "set", "own queries"],
)
def test_recbole_scores_as_the_job(sample_shards, recbole_model, tmp_path, parts):
    from mmbee_plugin.recbole.exchange import load_exchange

    settings = job(sample_shards, tmp_path / "job", **parts)
    model = trained(settings)
    exchange = export_checkpoint(publish(model, settings), tmp_path / "weights.pt")
    unseen = open_store(settings).author_ids(np.arange(len(exchange.authors))) == 0
    assert unseen.any() and not unseen.all()
    assert torch.equal(
        exchange.tables["author"][1:][unseen], exchange.tables["author"][:1].expand(sum(unseen), -1)
    )
    if "query" in exchange.tables:
        shared = model.scorer.inputs.model.shared_queries
        default = (
            0 * exchange.tables["query"][0] if shared else exchange.dense["content.default_queries"].flatten()
        )
        assert (exchange.tables["query"][1:][unseen] == default).all(), "what an unknown author reads"
    scoring = {name: value for name, value in parts.items() if "dropout" not in name}
    ours, dataset = recbole_model(**scoring)
    load_exchange(ours, dataset, tmp_path / "weights.pt")
    torch.testing.assert_close(ranked(ours, dataset), scores(model, settings), atol=1e-5, rtol=1e-5)


def test_a_job_starts_from_recboles_weights(sample_shards, recbole_model, tmp_path):
    from mmbee_plugin.recbole.exchange import load_exchange, save_exchange

    ours, dataset = recbole_model()
    for value in ours.state_dict().values():
        value.copy_(0.1 * torch.randn_like(value))
    save_exchange(ours, dataset, tmp_path / "weights.pt")
    before = ranked(ours, dataset)

    settings = job(sample_shards, tmp_path / "job")
    path = import_exchange(tmp_path / "weights.pt", settings)
    model = trained(settings)
    state = checkpoint.load(path, model, None)
    assert (state.epoch, state.step, state.weights_only) == (0, 0, True)
    store = open_store(settings)
    users = (
        store.user_ids(np.arange(store.n_users)) > 0
    )  # those who are unseen have RecBole's rows there only
    authors = store.author_ids(np.arange(store.n_authors)) > 0
    after = scores(model, settings)
    torch.testing.assert_close(after[users][:, authors], before[users][:, authors], atol=1e-5, rtol=1e-5)
    with pytest.raises(InputError, match="the job has begun already"):
        import_exchange(tmp_path / "weights.pt", settings)

    again, _ = recbole_model()
    load_exchange(again, dataset, tmp_path / "weights.pt")
    assert torch.equal(ranked(again, dataset), before)


def test_optimizers_start_anew_with_imported_weights_and_go_on_from_there(sample_shards, tmp_path):
    """The losses are those of one run that is given the weights and nothing else."""
    parts = {"content": "none", "interest": "none"}
    source = job(sample_shards, tmp_path / "source", **parts)
    export_checkpoint(publish(trained(source), source), tmp_path / "weights.pt")

    def two_epochs(folder: Path, epochs: int = 2) -> Settings:
        own = {"epochs": epochs, "batch_size": 512, "log_every": 1, "eval_every": 0, "learning_rate": 0.01}
        content = job(sample_shards, folder, **parts).model_dump(mode="json")
        return parse_settings({**content, "train": content["train"] | own}, "test")

    weights = import_exchange(tmp_path / "weights.pt", two_epochs(tmp_path / "one"))
    with process_group(60) as process:
        trainer = Trainer(two_epochs(tmp_path / "two"), process)
        checkpoint.load(weights, trainer.model)
        whole = trainer.run()["losses"]
    losses = train(two_epochs(tmp_path / "one", epochs=1), resume=True)["losses"]
    assert len(losses) * 2 == len(whole) > 4
    assert checkpoint.tensors_of(checkpoint.latest(tmp_path / "one"), "optimizer")
    losses |= train(two_epochs(tmp_path / "one"), resume=True)["losses"]
    assert losses == whole


def test_the_command_reads_both_kinds_of_checkpoint(sample_shards, sample_folder, tmp_path, monkeypatch):
    import mmbee_plugin.recbole  # noqa: F401
    from mmbee_plugin.recbole import run

    settings = job(sample_shards, tmp_path / "job")
    model = trained(settings)
    publish(model, settings)
    done = CliRunner().invoke(app, ["export", str(tmp_path / "job"), str(tmp_path / "job.pt")])
    assert done.exit_code == 0 and "user 601 x 16" in done.stdout, done.output
    assert torch.equal(
        read_exchange(tmp_path / "job.pt").dense["head.bias.weight"], model.scorer.gtr.head.bias.weight
    )

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    chosen = {"embedding_size": 8, "epochs": 1, "interest": "none", "content": "none", "gpu_id": ""}
    config = run.build_config("MMBee", sample_folder, {**chosen, "user_ids": True, "show_progress": False})
    result = run.train_and_test(config, sample_folder)
    done = CliRunner().invoke(app, ["export", result.checkpoint, "recbole.pt"])
    assert done.exit_code == 0, done.output
    weights = torch.load(result.checkpoint, weights_only=True)["state_dict"]
    exchange = read_exchange(Path("recbole.pt"))
    assert exchange.tables.keys() == {"user", "author"}
    assert exchange.tables["user"][1:].sum() == pytest.approx(
        float(weights["user.weight"][1:].sum()), abs=1e-4
    )
    assert not exchange.tables["user"][0].any()

    old = torch.load(result.checkpoint, weights_only=True)
    del old["config"]["__config__"]["settings"]["history_dropout"]
    torch.save(old, "old.pth")
    done = CliRunner().invoke(app, ["export", "old.pth", "recbole.pt"])
    assert isinstance(done.exception, InputError)
    assert "of an older version, it does not know the setting 'history_dropout'" in str(done.exception)


def test_other_models_and_files_are_one_line(sample_shards, tmp_path):
    settings = job(sample_shards, tmp_path / "job")
    path = publish(trained(settings), settings)
    export_checkpoint(
        path.parent, tmp_path / "weights.pt"
    )  # the folder stands for its newest, where none is the best
    with pytest.raises(InputError, match=r"gtr\.backbone='mean', this one has gtr\.backbone='din'"):
        import_exchange(tmp_path / "weights.pt", job(sample_shards, tmp_path / "other", backbone="din"))
    described = (path / "state.json").read_text()
    (path / "state.json").write_text(described.replace("checkpoint 2", "checkpoint 1"))
    with pytest.raises(InputError, match=r"of another version .*; train it again"):
        export_checkpoint(path, tmp_path / "old.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "weights.pt").read_bytes()[:1000])
    for name, message in (("cut.pt", "not a readable exchange file"), ("nowhere.pt", "no such file")):
        with pytest.raises(InputError, match=message):
            read_exchange(tmp_path / name)
    exchange = read_exchange(tmp_path / "weights.pt")
    exchange.tables["user"] = exchange.tables["user"][1:]
    with pytest.raises(InputError, match="expected 601 rows"):
        exchange.__post_init__()
