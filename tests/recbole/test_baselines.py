"""The multi-modal baselines: every part learns and is read, and what is planted is found."""

from __future__ import annotations

import pytest
import torch
from recbole.utils import get_model, get_trainer

from mmbee_plugin.recbole.config.baselines import BASELINES
from mmbee_plugin.recbole.run import main

VARIANTS = {
    "MMGCN": [{}, {"combine": "sum", "fuse": "sum", "aggregate": "max"}],
    "GRCN": [{}, {"pruning": "hard"}],
    "EgoGCN": [{"threshold_gate": 0.2}, {"gate": "soft"}, {"reattention": False, "n_rounds": 0}],
    "MMMLP": [
        {"n_layers": 2, "dropout_prob": 0.1},
        {"softmax_items": 10, "sampled_items": 20, "n_layers": 1},
    ],
    "MMSSL": [{"critic_items": 20}, {"n_layers": 1, "heads": 2}],
}
EVERY = [(name, variant) for name, variants in VARIANTS.items() for variant in variants]


@pytest.mark.parametrize(("name", "variant"), EVERY, ids=str)
def test_every_parameter_receives_a_gradient(build_planted, name, variant):
    model, _, (train, *_) = build_planted(name, **variant)
    assert ("item_id_list" in next(iter(train))) == (name == "MMMLP")  # the others read no history
    extra = {}
    if name == "MMSSL":  # whose modality views are all alike until graphs have been generated
        model.refresh_graphs()
        extra["critic_step"] = lambda loss: loss.backward()
    model.train()
    for batch in train:
        model.calculate_loss(batch, **extra).backward()
    silent = [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not silent
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize(("name", "variant"), EVERY, ids=str)
def test_ranking_reads_every_modality_and_agrees_with_pairs(build_planted, name, variant):
    model, _, (_, valid, _) = build_planted(name, **variant)
    with torch.no_grad():
        for table in model.content.placeholder.values():
            table += 1
    batch = next(iter(valid))[0]

    def ranked():
        model.train()  # drops what was kept
        model.eval()
        with torch.no_grad():
            return model.full_sort_predict(batch)

    scores = ranked()
    assert scores.shape == (len(batch), model.n_items)
    assert (scores[:, 0] == -torch.inf).all() and scores[:, 1:].isfinite().all()
    for item in (1, model.n_items - 1):
        batch[model.ITEM_ID] = torch.full((len(batch),), item)
        torch.testing.assert_close(model.predict(batch), scores[:, item])
    for table in (model.content.tables["visual"].values, model.content.tables["text"].bag.weight.data):
        table += torch.randn_like(table)
        changed = ranked()
        assert ((changed - scores)[:, 1:].abs() > 1e-6).float().mean() > 0.9
        scores = changed


@pytest.mark.parametrize("name", ["MMGCN", "GRCN", "EgoGCN", "MMSSL"])
def test_vectors_kept_for_ranking_are_dropped_when_training_goes_on(build_planted, name):
    model, _, (train, valid, _) = build_planted(name)
    batch = next(iter(valid))[0]
    model.eval()
    before = model.full_sort_predict(batch)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model.calculate_loss(next(iter(train))).backward()
    optimizer.step()
    model.eval()
    after = model.full_sort_predict(batch)
    assert not torch.allclose(before, after)
    model.load_state_dict(state)
    torch.testing.assert_close(model.full_sort_predict(batch), before)


@pytest.mark.parametrize("name", VARIANTS)
def test_finds_what_is_planted(build_planted, name, tmp_path):
    variant = {"dropout_prob": 0.1, "n_layers": 1} if name == "MMMLP" else VARIANTS[name][0]
    found = {}
    for model_name, given in (("Pop", {}), (name, {**variant, "learning_rate": 0.01})):
        model, config, (train, valid, test) = build_planted(
            model_name, epochs=8, checkpoint_dir=str(tmp_path), **given
        )
        trainer = get_trainer(config["MODEL_TYPE"], model_name)(config, model)
        trainer.fit(train, valid, saved=False)
        found[model_name] = trainer.evaluate(test, load_best_model=False)["recall@10"]
    assert found["Pop"] < 0.35
    assert found[name] > 0.65  # the ten best of the right taste have 10 of about 8 left


def test_routing_carries_items_to_users(build_planted):
    """The authors' routing edges point the wrong way, so that a user's preferences hear nothing of the items."""
    model, *_ = build_planted("GRCN", n_routings=1)
    users = torch.nn.functional.normalize(model.preferences["visual"])
    items = torch.nn.functional.normalize(torch.randn(model.n_items, 16))
    met = torch.zeros(model.n_users, model.n_items, dtype=torch.bool)
    met[model.pairs] = True
    attention = (users @ items.T).masked_fill(~met, -torch.inf).softmax(dim=1).nan_to_num()
    expected = torch.nn.functional.normalize(users + attention @ items)
    torch.testing.assert_close(model.routed(users, items), expected)


def test_edges_of_an_item_without_features_weigh_the_same(build_planted):
    model, *_ = build_planted("GRCN")
    present = torch.ones(model.n_items, 2, dtype=torch.bool)
    present[5] = False
    present[6, 0] = False
    affinities = torch.rand(len(model.edges.senders), 2)
    weights = model.edge_weights(affinities, present)
    sender, receiver = model.edges.senders, model.edges.receivers
    bare, half = ((sender == node) | (receiver == node) for node in (model.n_users + 5, model.n_users + 6))
    torch.testing.assert_close(weights[bare], 1 / model.edges.degree[receiver[bare]])
    torch.testing.assert_close(weights[half], (model.confidence[sender] * affinities)[half, 1])


def test_modulation_by_hand(build_planted):
    """Hard and soft messages from dense matrices, with a modality missing."""
    for gate in ("hard", "soft"):
        model, *_ = build_planted("EgoGCN", gate=gate, threshold_gate=0.12)
        nodes = model.n_nodes
        x = {name: torch.nn.functional.normalize(torch.randn(nodes, 16)) for name in ("visual", "text")}
        known = torch.ones(nodes, 2, dtype=torch.bool)
        column = {name: place for place, name in enumerate(x)}
        known[model.n_users + 4, column["text"]] = False
        linked = torch.zeros(nodes, nodes, dtype=torch.bool)
        linked[model.edges.receivers, model.edges.senders] = True

        def attention(receiver, sent, linked=linked):
            """receiver (N, d), sent (N, N, d) by receiver and sender."""
            logits = torch.einsum("rd,rsd->rs", receiver, sent)
            return logits.masked_fill(~linked, -torch.inf).softmax(dim=1).nan_to_num()

        with torch.no_grad():
            found = model.modulated(x, known)
            for name, other in (("visual", "text"), ("text", "visual")):
                own, has = x[name], known[:, column[other], None].float()
                sent = own.expand(nodes, nodes, 16)
                if gate == "hard":
                    mine = known[:, column[name], None].float()
                    mean = (mine * own + has * x[other]) / (mine + has)
                    sent = torch.where((attention(own, sent) > 0.12)[:, :, None], mean, sent)
                else:
                    gated = torch.sigmoid(model.gates[f"{name} from {other}"](x[other])) * x[other]
                    sent = ((own + has * gated) / (1 + has)).expand(nodes, nodes, 16)
                heard = torch.einsum("rs,rsd->rd", attention(own, sent), sent)
                alone = ~linked.any(dim=1, keepdim=True)
                expected = torch.where(alone, own, torch.nn.functional.normalize(heard))
                torch.testing.assert_close(found[name], expected)


def test_a_history_is_mixed_as_one_padded_with_zeros(build_planted):
    """The packed form against the equations on padded tensors, and batches of other lengths."""
    model, _, (_, valid, _) = build_planted("MMMLP", n_layers=2)
    model.eval()
    batch = next(iter(valid))[0]
    history, length = batch["item_id_list"], batch["item_length"]
    mask = (history > 0)[:, :, None]

    def mixed(mixer, x):
        x = x + mixer.gather @ torch.nn.functional.gelu(mixer.spread @ (mixer.before_positions(x) * mask))
        x = x + mixer.narrow(torch.nn.functional.gelu(mixer.widen(mixer.before_channels(x))))
        return x * mask

    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
        content, _ = model.content(history.flatten())
        streams = [model.items(history), *(values.unflatten(0, history.shape) for values in content.values())]
        found = []
        for x, (name, start) in zip(streams, model.start.items(), strict=True):
            x = start(x) * mask
            for mixer in model.mixers[name]:
                x = mixed(mixer, x)
            found.append(x)
        x = mixed(model.fusion[0], model.join(torch.cat(found, dim=2)) * mask)
        expected = model.end(model.output(x[torch.arange(len(x)), length - 1]))
        torch.testing.assert_close(model(history, length), expected, atol=1e-4, rtol=1e-4)
        shortest = int(length.argmin())
        alone = model(history[shortest : shortest + 1], length[shortest : shortest + 1])
        torch.testing.assert_close(alone[0], expected[shortest], atol=1e-4, rtol=1e-4)
        assert model(torch.zeros_like(history), torch.ones_like(length)).isfinite().all()


@pytest.mark.parametrize("name", VARIANTS)
def test_a_folder_without_features_is_refused_in_one_line(
    write_folder, random_rows, monkeypatch, tmp_path, capsys, name
):
    write_folder(random_rows)
    monkeypatch.chdir(tmp_path)
    assert main([f"--model={name}", "--dataset=tiny", "--gpu_id="]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "features" in said and name in said


@pytest.mark.parametrize("section", BASELINES)
def test_a_baseline_has_the_settings_that_are_listed_for_it(section):
    model = get_model(section.__name__.removesuffix("Settings"))
    assert vars(model)["declared"] is section


@pytest.mark.parametrize("name", VARIANTS)
def test_runs_on_live_authors(live_path, monkeypatch, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    given = ["--epochs=1", "--gpu_id=", "--topk=[3]", "--embedding_size=8", "--show_progress=false"]
    given += ["--MAX_ITEM_LIST_LENGTH=4"] if name == "MMMLP" else []
    assert main([f"--model={name}", f"--dataset={live_path.name}", *given]) == 0
